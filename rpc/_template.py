"""The service's handle on its template process, which forks the identity workers."""

import itertools
import logging
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Final

import anyio
import anyio.to_thread

from signetrpc.transport import LocalUser
from signetrpc.transport._loops import Loop, on_trio

from ._metadata import DEFAULT_MAX_METADATA_BYTES
from ._packets import Packets, packet_pair
from ._worker_messages import (
    Ended,
    Failed,
    Fork,
    Kill,
    Setup,
    encode,
    read_from_template,
)
from .errors import ImpersonationError

__all__ = ["Template", "check_platform", "make_setup"]

_log: Final = logging.getLogger("signetrpc.rpc")

_START_SECONDS: Final = 60.0
"""For importing the services."""
_END_SECONDS: Final = 10.0

_PROGRAM: Final = "from signetrpc.rpc._worker_template import main; main({}, {!r})"
_KEPT: Final = (
    "PATH|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|PYTHON[A-Z]+|VIRTUAL_ENV"
    "|LD_LIBRARY_PATH|KRB5_CONFIG|SSL_CERT_(FILE|DIR)"
)
_CAPABILITIES: Final = {"CAP_SETGID": 6, "CAP_SETUID": 7}


def check_platform() -> None:
    """Refuse where identity workers cannot be.

    Raises:
        ImpersonationError: Another system than Linux, or a process that may not
            switch ids.
    """
    if sys.platform != "linux":
        raise ImpersonationError(f"impersonation needs Linux; this is {sys.platform}")
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    effective = int(lines["CapEff"], 16)
    missing = [
        name for name, bit in _CAPABILITIES.items() if not effective & (1 << bit)
    ]
    if missing:
        raise ImpersonationError(
            f"impersonation needs {' and '.join(missing)}: run the server as root, or "
            "with AmbientCapabilities=CAP_SETUID CAP_SETGID (systemd), or by setpriv "
            "--inh-caps=+setuid,+setgid --ambient-caps=+setuid,+setgid"
        )


def backend_name() -> str:
    """Return which event loop runs: `asyncio`, `uvloop` or `trio`."""
    if on_trio():
        return "trio"
    import asyncio

    module = type(asyncio.get_running_loop()).__module__
    return "uvloop" if module.partition(".")[0] == "uvloop" else "asyncio"


def _main_module() -> tuple[str, str]:
    """Return how the main module was run: its name or its file, where it has one."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        name: str = spec.name
        return name, ""
    path = getattr(main, "__file__", None)
    return "", os.path.abspath(path) if path else ""


def needs_main(offer: bytes) -> bool:
    """Return whether something of the main module is in a packed offer."""
    return b"__main__" in offer


class Template:
    """A running template process.

    Attributes:
        on_end: Called with a worker's number and its `waitpid` status when it is gone;
            with every number left, and None, when the template itself is.
    """

    def __init__(self, on_end: Callable[[int, int | None], None]) -> None:
        self.on_end = on_end
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Packets | None = None
        self._folders = os.path.join(
            tempfile.gettempdir(), f"signetrpc-{secrets.token_hex(16)}-"
        )
        self._workers: set[int] = set()
        self._reading: anyio.CancelScope | None = None
        self._read = anyio.Event()

    @property
    def running(self) -> bool:
        """True if workers can be asked for."""
        return self._control is not None

    async def start(
        self, loop: Loop, setup: Setup, environment: Sequence[str] = ()
    ) -> None:
        """Start the process and wait until it has imported the services.

        Args:
            loop: Runs the task that listens to it.
            setup: What it imports.
            environment: Names of further variables that it gets.

        Raises:
            ImpersonationError: It could not; the text says why.
        """
        control, far = packet_pair()
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM.format(far.fileno(), self._folders)],
                stdin=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
                cwd="/",
                env=_environment(environment),
            )
        try:
            try:
                control.send(encode(setup))
            except OSError as error:
                raise ImpersonationError(
                    f"the services cannot be sent to the template process: {error}"
                ) from error
            with anyio.fail_after(_START_SECONDS):
                data, _ = await control.receive()
            if not data:
                raise ImpersonationError("the template process of the workers ended")
            answer = read_from_template(data)
            if isinstance(answer, Failed):
                raise ImpersonationError(
                    f"identity workers cannot start: {answer.text}"
                )
        except BaseException as error:
            control.close()
            with anyio.CancelScope(shield=True):
                await self._wait_process()
            if isinstance(error, TimeoutError):
                raise ImpersonationError(
                    f"importing the services took over {_START_SECONDS:g} seconds"
                ) from error
            raise
        self._control = control
        loop.spawn(self._listen(control))

    async def _listen(self, control: Packets) -> None:
        try:
            with anyio.CancelScope() as self._reading:
                while True:
                    data, _ = await control.receive()
                    if not data:
                        break
                    message = read_from_template(data)
                    if isinstance(message, Ended):
                        self._workers.discard(message.id)
                        self.on_end(message.id, message.status)
        finally:
            self._control = None
            control.close()
            self._read.set()
            for number in list(self._workers):
                self.on_end(number, None)
            self._workers.clear()

    def fork(self, user: LocalUser, far: socket.socket) -> int:
        """Ask for a worker and return its number.

        Args:
            user: Whom it is to become.
            far: The worker's end of its control socket.

        Raises:
            OSError: The template does not take it.
        """
        number = next(self._numbers)
        if self._control is None:
            raise OSError("the template process has ended")
        # One that nobody else can make first.
        folder = f"{self._folders}{secrets.token_hex(16)}"
        self._control.send(encode(Fork(number, user, folder)), far.fileno())
        self._workers.add(number)
        return number

    def kill(self, number: int) -> None:
        """Have a worker killed, unless it is gone."""
        if self._control is not None and number in self._workers:
            try:
                self._control.send(encode(Kill(number)))
            except OSError as error:
                _log.error("killing an identity worker: %s", error)

    async def aclose(self) -> None:
        """End the process and every worker, and wait for that."""
        with anyio.CancelScope(shield=True):
            if self._reading is not None:
                self._reading.cancel()
                await self._read.wait()
            await self._wait_process()

    async def _wait_process(self) -> None:
        process = self._process
        if process is None:
            return
        try:
            await anyio.to_thread.run_sync(process.wait, _END_SECONDS)
        except subprocess.TimeoutExpired:
            _log.error("the template process of the workers does not end: killed")
            process.kill()
            await anyio.to_thread.run_sync(process.wait)
        self._process = None


def _environment(names: Sequence[str]) -> dict[str, str]:
    kept = re.compile("|".join((_KEPT, *map(re.escape, names))))
    return {name: value for name, value in os.environ.items() if kept.fullmatch(name)}


def make_setup(
    offer: bytes,
    *,
    max_body_bytes: int,
    max_calls: int,
    max_threads: int,
    max_memory_bytes: int,
    max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
) -> Setup:
    """Describe to a template what its workers serve, in the running event loop."""
    module, path = _main_module() if needs_main(offer) else ("", "")
    return Setup(
        offer=offer,
        # The folder of a script and the current one are there as "" or relative.
        search_path=[os.path.abspath(each) for each in sys.path],
        main_module=module,
        main_path=path,
        backend=backend_name(),
        max_body_bytes=max_body_bytes,
        max_calls=max_calls,
        max_threads=max_threads,
        max_memory_bytes=max_memory_bytes,
        log_level=logging.getLogger().getEffectiveLevel(),
        max_metadata_bytes=max_metadata_bytes,
    )
