"""What the kernel says of a server, its template and its workers, from outside."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio

from tests.e2e.processes import PATIENCE
from tests.impersonation.processes import status_of

__all__ = [
    "IdentityWatch",
    "children_of",
    "descriptors_of",
    "processes",
    "resident_bytes",
    "running",
    "settled",
    "template_of",
]

# Whose rights a thread has, and which it could take.
_RIGHTS: Final = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb")
_PAUSE_SECONDS: Final = 0.001


class IdentityWatch:
    """Looks all the time whose rights each thread of a process has.

    A context manager; at its end they must have been the same in every look.
    """

    def __init__(self, pid: int) -> None:
        """Note what the process's first thread has now."""
        self._tasks = Path(f"/proc/{pid}/task")
        self._wanted = _rights_of(self._tasks / str(pid) / "status")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.looks = 0
        self.differences: set[str] = set()

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            self._look()

    def _look(self) -> None:
        for task in os.listdir(self._tasks):
            try:
                rights = _rights_of(self._tasks / task / "status")
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread has ended
            if rights != self._wanted:
                self.differences.add(rights)
        self.looks += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if kind is None:
            self._look()
            assert self.differences == set()


def _rights_of(status: Path) -> str:
    lines = status.read_text().splitlines()
    return "\n".join(line for line in lines if line.split(":")[0] in _RIGHTS)


def children_of(pid: int) -> set[int]:
    """Return the processes that a process has, ended ones that it has not noted too."""
    found: set[int] = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        text = Path(f"/proc/{pid}/task/{task}/children").read_text()
        found.update(map(int, text.split()))
    return found


def template_of(service: int) -> int:
    """Return the process that makes a service's workers; its warden is in between."""
    (warden,) = children_of(service)
    (template,) = children_of(warden)
    return template


def processes() -> set[int]:
    """Return all processes of this machine."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def running() -> set[int]:
    """Return the processes that run: those of a killed parent stay, ended."""
    found = set[int]()
    for pid in processes():
        with suppress(FileNotFoundError, ProcessLookupError):
            if status_of(pid)["State"][0] != "Z":
                found.add(pid)
    return found


def descriptors_of(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has, shared memory included."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def settled(condition: Callable[[], bool]) -> None:
    """Return once something is so; of another process, so there is nothing to await.

    Raises:
        TimeoutError: It never was.
    """
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.sleep(0.01)
