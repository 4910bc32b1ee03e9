"""Ways in which a handler tries to become somebody else.

Each returns the name of the error that stopped it, what a program that it started
printed, or nothing.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.support.people import SET_UID_ID

__all__ = ["CLIMBS", "rights"]

_PR_SET_DUMPABLE: Final = 4
_PR_SET_KEEPCAPS: Final = 8
_PR_SET_SECUREBITS: Final = 28
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAP_SETUID: Final = 7
_CAP_VERSION_3: Final = 0x20080522
_RIGHTS: Final = "Uid Gid Groups CapInh CapPrm CapEff CapAmb NoNewPrivs".split()

_libc = ctypes.CDLL(None, use_errno=True)


def rights() -> str:
    """Return what the kernel says of this thread's rights."""
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    return "\n".join(line for line in lines if line.split(":")[0] in _RIGHTS)


def _called(result: int) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _prctl(*arguments: int) -> None:
    _called(_libc.prctl(*map(ctypes.c_ulong, (*arguments, *[0] * 4)[:5])))


def _take_capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(_CAP_VERSION_3, 0)
    everything = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    _called(_libc.capset(header, everything))


def _file_system_ids() -> None:
    # These two tell of no error.
    _libc.setfsuid(0)
    _libc.setfsgid(0)


def _printed(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return done.stdout or f"status {done.returncode}"


def _in_a_namespace(*command: str) -> str:
    """Run a command as root of a user namespace, which the kernel may give anybody."""
    return _printed("unshare", "--map-root-user", *command)


_ATTEMPTS: Final[dict[str, Callable[[], object]]] = {
    "setuid": lambda: os.setuid(0),
    "seteuid": lambda: os.seteuid(0),
    "setresuid": lambda: os.setresuid(-1, -1, 0),
    "setgid": lambda: os.setgid(0),
    "setresgid": lambda: os.setresgid(-1, 0, -1),
    "setgroups": lambda: os.setgroups([0]),
    "initgroups": lambda: os.initgroups("root", 0),
    "setfsuid": _file_system_ids,
    "capset": _take_capabilities,
    "ambient": lambda: _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_SETUID),
    "keep capabilities": lambda: _prctl(_PR_SET_KEEPCAPS, 1),
    "secure bits": lambda: _prctl(_PR_SET_SECUREBITS, 0),
    "new privileges": lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 0),
    "chroot": lambda: os.chroot("/run"),
    "set-uid program": lambda: _printed(str(SET_UID_ID), "-u"),
    "set-gid program": lambda: _printed(str(SET_UID_ID), "-g"),
    "su": lambda: _printed("su", "--command", "id -u"),
    "mount": lambda: _printed("mount", "-t", "tmpfs", "none", "/mnt"),
    "namespace reads": lambda: _in_a_namespace("cat", "/etc/shadow"),
    "namespace writes": lambda: _in_a_namespace("touch", "/etc/planted"),
    "namespace uid": lambda: _in_a_namespace(str(SET_UID_ID), "-u"),
}


def _climb(attempt: Callable[[], object]) -> str:
    before = rights()
    try:
        found = str(attempt() or "")
    except OSError as error:
        found = type(error).__name__
    after = rights()
    return found if after == before else f"{found}: now {after}"


def _climber(attempt: Callable[[], object]) -> Callable[[], str]:
    return lambda: _climb(attempt)


CLIMBS: Final = {name: _climber(attempt) for name, attempt in _ATTEMPTS.items()}
