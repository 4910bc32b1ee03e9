"""The template process: clean, single-threaded, with the services already imported.

    python -c "from signetrpc.rpc._worker_template import main; main(FD)"

The service starts it before the first connection, as a program of its own and not as a
fork of itself: of the service's memory, with its keys and passwords, nothing is in it,
nor in the workers that it forks.  It keeps two capabilities, to set user and group ids.
A worker ends when it does, and it when the service does.

It adopts what a worker leaves behind and ends that too.  A service that is not root may
not signal another user's processes: for that, and to clean up, it forks a child whose
effective id is the user's, and whose real one is not, so that the user cannot stop it.
"""

import errno
import gc
import importlib
import os
import pickle
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Final

from signetrpc.transport import LocalUser

from ._offer import Offer
from ._packets import Packets
from ._worker_identity import (
    CAP_SETGID,
    CAP_SETUID,
    act_as,
    adopt_orphans,
    die_with_parent,
    keep_capabilities,
    kill_for,
)
from ._worker_messages import (
    Ended,
    Failed,
    Fork,
    Kill,
    Ready,
    Setup,
    encode,
    read_to_template,
)

__all__ = ["main"]

_LOOK_SECONDS: Final = 1.0
"""How often orphans are looked for while there are workers: nothing tells of them."""

_MOST_AT_ONCE: Final = 200
"""Orphans ended at one look; each takes a descriptor meanwhile."""

_MAIN: Final = "__signet_main__"


@dataclass(frozen=True, slots=True)
class _Child:
    """A worker: its number, who it is and where its credential cache may be."""

    id: int
    user: LocalUser
    folder: str


def main(descriptor: int) -> None:
    """Serve a service's requests for workers until it closes the socket."""
    os.setsid()  # a terminal's signals are the service's to handle
    control = Packets(socket.socket(fileno=descriptor))
    select.select([control], [], [])
    data, _ = control.receive_now()
    if not data:
        return
    try:
        setup = read_to_template(data)
        assert isinstance(setup, Setup)
        offer = _import(setup)
        _check_single()
        adopt_orphans()
        keep_capabilities(CAP_SETGID, CAP_SETUID)
        _children()
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        control.send(encode(Failed(text[:8192])))
        raise
    # What is here already is not looked at again, so that forks share its memory.
    gc.collect()
    gc.freeze()
    gc.disable()
    template = _Template(control, setup, offer)
    control.send(encode(Ready()))
    try:
        template.run()
    finally:
        template.end()


def _import(setup: Setup) -> Offer:
    sys.path[:] = setup.search_path
    if setup.main_module or setup.main_path:
        _import_main(setup)
    offer: Offer = pickle.loads(setup.offer)
    # What a worker would import only when it is the user, and perhaps may not read.
    backend = "trio" if setup.backend == "trio" else "asyncio"
    importlib.import_module(f"anyio._backends._{backend}")
    for name in (*_NEEDED, *_NEEDED_ON.get(setup.backend, ())):
        importlib.import_module(name)
    if find_spec("gssapi") and find_spec("krb5"):  # an extra
        importlib.import_module("signetrpc.transport._delegation")
        importlib.import_module("signetrpc.transport._negotiate_kerberos")
    return offer


_NEEDED: Final = (
    "concurrent.futures.thread",
    "encodings.idna",
    "signetrpc.rpc._worker",
    "subprocess",
    "tempfile",
    "traceback",
)
_NEEDED_ON: Final = {
    "uvloop": ("uvloop",),
    "trio": (
        "trio",
        "signetrpc.transport._loops_trio",
        "signetrpc.transport._pipes_trio",
    ),
}


def _import_main(setup: Setup) -> None:
    """Make what the service's main module defines known as that of `__main__`.

    As `multiprocessing` does it: the module runs again, under another name than
    `__main__`, so the part that starts the service does not.
    """
    if setup.main_module:
        found = runpy.run_module(setup.main_module, run_name=_MAIN, alter_sys=True)
    else:
        found = runpy.run_path(setup.main_path, run_name=_MAIN)
    module = ModuleType(_MAIN)
    module.__dict__.update(found)
    sys.modules["__main__"] = sys.modules[_MAIN] = module


def _check_single() -> None:
    """A fork has only the thread that forks; locks that others hold stay locked."""
    names = [each.name for each in threading.enumerate()]
    count = len(os.listdir("/proc/self/task"))
    if count != 1:
        raise RuntimeError(
            f"importing the services started {count - 1} threads ({', '.join(names)}); "
            "start them in a service's __init__ instead"
        )


def _children_file() -> Path:
    return Path(f"/proc/self/task/{os.getpid()}/children")


def _children() -> set[int]:
    """Return all children, ended ones that are not reaped too."""
    return {*map(int, _children_file().read_text().split())}


class _Template:
    """The loop of the template process."""

    def __init__(self, control: Packets, setup: Setup, offer: Offer) -> None:
        self._control = control
        self._setup = setup
        self._offer = offer
        self._workers: dict[int, _Child] = {}
        self._janitors: dict[int, int] = {}  # the uid that each acts as
        self._wake, wakes = socket.socketpair()
        self._wake.setblocking(False)
        wakes.setblocking(False)
        self._wakes = wakes
        signal.signal(signal.SIGCHLD, _nothing)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve requests until the service is gone."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            busy = self._workers or self._janitors
            poll.poll(_LOOK_SECONDS * 1000 if busy else None)
            try:
                self._wake.recv(4096)
            except BlockingIOError:
                pass
            self._reap()
            self._end_orphans()
            try:
                data, sockets = self._control.receive_now()
            except BlockingIOError:
                continue
            if not data:
                return
            self._obey(read_to_template(data), sockets)

    def _obey(self, request: Setup | Fork | Kill, sockets: list[socket.socket]) -> None:
        match request:
            case Fork():
                (control,) = sockets
                with control:
                    self._fork(request, control)
            case Kill(id=number):
                for pid, child in self._workers.items():
                    if child.id == number:
                        self._send_janitor(child.user, [pid])
            case Setup():
                raise AssertionError("set up twice")

    def _fork(self, request: Fork, control: socket.socket) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(Ended(request.id, _status_of(error)))
            return
        if pid == 0:
            from ._worker import run_worker

            run_worker(self._setup, request, self._offer, control)
        self._workers[pid] = _Child(request.id, request.user, request.folder)

    def _tell(self, message: Ended) -> None:
        try:
            # The service's loop may be busy; there is nothing else to do meanwhile.
            self._control.send_waiting(encode(message))
        except OSError:
            pass  # it is gone, which the next turn finds

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._workers.get(pid)
            if os.WIFSTOPPED(status):
                # It answers nobody, and its calls must not wait for it.
                if child is not None:
                    self._send_janitor(child.user, [pid])
                continue
            self._janitors.pop(pid, None)
            if child is not None:
                del self._workers[pid]
                self._send_janitor(child.user, folder=child.folder)
                self._tell(Ended(child.id, status))

    def _end_orphans(self) -> None:
        """End the processes that workers have left behind."""
        busy = {*self._janitors.values()}
        orphans: dict[LocalUser, list[int]] = {}
        unknown = _children() - self._workers.keys() - self._janitors.keys()
        for pid in sorted(unknown)[:_MOST_AT_ONCE]:
            user = _owner(pid)
            if user is not None and user.uid not in busy:
                orphans.setdefault(user, []).append(pid)
        for user, pids in orphans.items():
            self._send_janitor(user, pids)

    def _send_janitor(
        self, user: LocalUser, pids: Sequence[int] = (), *, folder: str = ""
    ) -> None:
        """Have a child in the user's name kill children and remove a folder."""
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
                self._janitors[pid] = user.uid
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

    def end(self) -> None:
        """End every worker and wait until nothing of them is left."""
        for pid, child in self._workers.items():
            self._send_janitor(child.user, [pid])
        while True:
            self._reap()
            self._end_orphans()
            if not _children():
                return
            select.select([self._wake], [], [], _LOOK_SECONDS)
            try:
                self._wake.recv(4096)
            except BlockingIOError:
                pass


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


def _status_of(error: OSError) -> int:
    return (error.errno or 1) << 8  # as if it had ended with that number
