"""The template process: clean, single-threaded, with the services already imported.

    python -c "from signetrpc.rpc._worker_template import main; main(FD, FOLDERS)"

The service starts it before the first connection, as a program of its own and not as a
fork of itself: of the service's memory, with its keys and passwords, nothing is in it,
nor in the workers that it forks.  It keeps two capabilities, to set user and group ids.
It ends when the service does, and its workers with it: by its janitors, or by its
warden's where it was killed.
"""

import gc
import importlib
import os
import pickle
import runpy
import select
import socket
import sys
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Final

from signetrpc.transport import LocalUser

from ._janitors import LOOK_SECONDS, Bell, Janitors, children
from ._offer import Offer
from ._packets import Packets
from ._warden import fork_guarded
from ._worker_identity import (
    CAP_SETGID,
    CAP_SETUID,
    adopt_orphans,
    keep_capabilities,
    outlive_parent,
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

_MAIN: Final = "__signet_main__"


@dataclass(frozen=True, slots=True)
class _Child:
    """A worker: its number, who it is and where its credential cache may be."""

    id: int
    user: LocalUser
    folder: str


def main(descriptor: int, folders: str) -> None:
    """Serve a service's requests for workers until it closes the socket.

    Args:
        descriptor: The socket.
        folders: How the paths of the workers' folders begin.
    """
    os.setsid()  # a terminal's signals are the service's to handle
    guarded = fork_guarded(descriptor, folders)
    os.setsid()
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
        children()
        outlive_parent()
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        control.send(encode(Failed(text[:8192])))
        raise
    # What is here already is not looked at again, so that forks share its memory.
    gc.collect()
    gc.freeze()
    gc.disable()
    template = _Template(control, guarded, setup, offer)
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


class _Template:
    """The loop of the template process."""

    def __init__(
        self, control: Packets, guarded: socket.socket, setup: Setup, offer: Offer
    ) -> None:
        self._control = control
        self._guarded = guarded
        self._setup = setup
        self._offer = offer
        self._workers: dict[int, _Child] = {}
        self._janitors = Janitors()
        self._bell = Bell()

    def run(self) -> None:
        """Serve requests until the service is gone, or the warden."""
        poll = select.poll()
        for each in (self._control, self._guarded, self._bell):
            poll.register(each, select.POLLIN)
        guarded = self._guarded.fileno()
        while True:
            busy = self._workers or self._janitors.busy
            ready = poll.poll(LOOK_SECONDS * 1000 if busy else None)
            self._bell.quiet()
            self._reap()
            self._janitors.end_all_but(self._workers)
            if any(each == guarded for each, _ in ready):
                return
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
                        self._janitors.send(child.user, [pid])
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
        for pid, status in self._janitors.reap():
            child = self._workers.get(pid)
            if child is None:
                continue
            if os.WIFSTOPPED(status):
                # It answers nobody, and its calls must not wait for it.
                self._janitors.send(child.user, [pid])
                continue
            del self._workers[pid]
            self._janitors.send(child.user, folder=child.folder)
            self._tell(Ended(child.id, status))

    def end(self) -> None:
        """End every worker and wait until nothing of them is left."""
        for pid, child in self._workers.items():
            self._janitors.send(child.user, [pid])
        self._janitors.end_all(self._bell, self._reap)


def _status_of(error: OSError) -> int:
    return (error.errno or 1) << 8  # as if it had ended with that number
