"""`LinuxImpersonation`: how a server runs its handlers as their callers."""

from collections.abc import Sequence
from dataclasses import dataclass

from ._mapping import NameMapping

__all__ = ["LinuxImpersonation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxImpersonation:
    """Run handlers in processes of their callers' own; see docs/impersonation.md.

    The server has to be root, or have the capabilities CAP_SETUID and CAP_SETGID.

    Attributes:
        mapping: Which local user a caller is: one rule or several, of which the first
            that knows the caller decides.
        lowest_uid: Users below are refused, and so is root always.
        lowest_gid: Users in a group below are refused; 0 is always.
        max_workers: Processes at once. With all busy, a further caller's call fails
            with RESOURCE_EXHAUSTED.
        max_user_workers: Of those, processes of one user, who has several if sessions
            bring delegated credentials.
        max_memory_bytes: Private memory of one process.
        max_calls: Calls under way in one process; one more fails the same way.
        stall_seconds: A process that says nothing for so long while calls are under
            way, though asked at half of it, is killed: a handler holds its loop up.
        idle_seconds: A process without calls ends after this time.
        recheck_seconds: After this time a connection's next call asks again who the
            caller is here, and in which groups.
        start_seconds: A process has to be ready within this time. The one that makes
            them, if it was killed, has a minute before that to be there again.
        environment: Names of the server's environment variables that the processes
            have too. Of themselves they have what programs need to run (`PATH`,
            `LANG`, `TZ`, `PYTHON*` and the like): anything else may be a secret, and
            a program that a handler starts shows its environment to its user.
    """

    mapping: NameMapping | Sequence[NameMapping]
    lowest_uid: int = 1000
    lowest_gid: int = 100
    max_workers: int = 64
    max_user_workers: int = 16
    max_memory_bytes: int = 1024 * 1024 * 1024
    max_calls: int = 1024
    stall_seconds: float = 60.0
    idle_seconds: float = 60.0
    recheck_seconds: float = 60.0
    start_seconds: float = 10.0
    environment: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in (
            "max_workers",
            "max_user_workers",
            "max_memory_bytes",
            "max_calls",
            "stall_seconds",
            "idle_seconds",
            "recheck_seconds",
            "start_seconds",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} {getattr(self, name)} is not over 0")
        for name in ("lowest_uid", "lowest_gid"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} {getattr(self, name)} is not at least 1")
