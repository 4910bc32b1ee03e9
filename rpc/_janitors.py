"""What ends a process's children, whoever they are, and removes what they leave.

A service that is not root may not signal another user's processes.  For that, and to
clean up, a child is forked whose effective id is the user's, and whose real one is not,
so that the user cannot stop it: a janitor.  What descendants leave behind becomes a
child of the process too (`adopt_orphans`), and so within reach.
"""

import errno
import os
import select
import shutil
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from signetrpc.transport import LocalUser

from ._worker_identity import act_as, die_with_parent, kill_for

__all__ = ["LOOK_SECONDS", "MOST_AT_ONCE", "Bell", "Janitors", "children"]

LOOK_SECONDS: Final = 1.0
"""How often orphans are looked for while there may be any: nothing tells of them."""

MOST_AT_ONCE: Final = 200
"""Orphans ended at one look, each of which takes a descriptor; or folders removed."""


class Bell:
    """Rings when a child has ended.  A terminal's signals are not for this process."""

    def __init__(self) -> None:
        self._rings, self._wakes = socket.socketpair()
        self._rings.setblocking(False)
        self._wakes.setblocking(False)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """The descriptor that is readable once it has rung."""
        return self._rings.fileno()

    def wait(self, seconds: float) -> None:
        """Wait until it rings, or for so long."""
        select.select([self], [], [], seconds)
        self.quiet()

    def quiet(self) -> None:
        """Let it ring again."""
        try:
            self._rings.recv(4096)
        except BlockingIOError:
            pass


def children() -> set[int]:
    """Return all children, ended ones that are not reaped too."""
    return {
        *map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    }


class Janitors:
    """Those of this process, and whom they are to end."""

    def __init__(self) -> None:
        self._acting: dict[int, int] = {}  # the uid that each acts as

    @property
    def busy(self) -> bool:
        """True while one is at work."""
        return bool(self._acting)

    def reap(self) -> Iterator[tuple[int, int]]:
        """Yield each other child that has ended or stopped, and its status."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if os.WIFSTOPPED(status) or self._acting.pop(pid, None) is None:
                yield pid, status

    def send(
        self, user: LocalUser, pids: Sequence[int] = (), *, folder: str = ""
    ) -> None:
        """Have one kill children and remove a folder, in a user's name."""
        if not pids and not os.path.lexists(folder):
            return
        parent = os.getpid()
        with ExitStack() as stack:
            try:
                targets = [_process(pid, stack) for pid in pids]
                pid = os.fork()
            except OSError:
                return  # tried again at the next look
            if pid:
                self._acting[pid] = user.uid
                return
            try:
                act_as(user)
                for each in targets:
                    kill_for(user, each)
                os.seteuid(user.uid)
                die_with_parent(parent)
                if folder:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os._exit(0)

    def end_all_but(self, kept: Collection[int]) -> None:
        """Have all other children killed that run, each in its own user's name."""
        busy = {*self._acting.values()}
        found: dict[LocalUser, list[int]] = {}
        others = children().difference(kept, self._acting)
        for pid in sorted(others)[:MOST_AT_ONCE]:
            user = _owner(pid)
            if user is not None and user.uid not in busy:
                found.setdefault(user, []).append(pid)
        for user, pids in found.items():
            self.send(user, pids)

    def end_all(self, bell: Bell, reap: Callable[[], object]) -> None:
        """Have every child killed, and return when there are none.

        Args:
            bell: Rings when one has ended.
            reap: Takes note of all that have.
        """
        while True:
            reap()
            self.end_all_but(())
            if not children():
                return
            bell.wait(LOOK_SECONDS)


def _process(pid: int, stack: ExitStack) -> int:
    """Return a descriptor of a child: its id may be another's before it is used."""
    process = os.pidfd_open(pid)
    stack.callback(os.close, process)
    return process


def _nothing(number: int, frame: object) -> None:
    """Handle a signal by waking up."""


def _owner(pid: int) -> LocalUser | None:
    """Return the ids of a process, if it still runs."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH):
            return None
        raise
    found = dict(line.split(":", 1) for line in lines)
    if found["State"].split()[0] == "Z":
        return None
    uid, gid = int(found["Uid"].split()[0]), int(found["Gid"].split()[0])
    return LocalUser(name="", uid=uid, gid=gid, groups=(gid,))
