"""One identity worker, as the service sees it."""

import logging
from typing import TYPE_CHECKING, Final

import anyio

from signetrpc.transport import LocalUser

from ._keepalive import KeepalivePolicy
from ._status import StatusCode
from ._worker_control import WorkerControl
from .errors import RpcError

if TYPE_CHECKING:
    from ._workers import Workers

__all__ = ["Worker", "WorkerKey"]

_log: Final = logging.getLogger("signetrpc.rpc")

WorkerKey = tuple[LocalUser, str]
"""By name too: who gets the id of a user that is gone does not get its processes."""


class Worker:
    """One worker, as the service sees it.

    Attributes:
        calls: Under way in it.
        opening: Links to it that are being made, each for calls to come.
        running: False once it is ending.
        dismissed: True once its end was asked for.
    """

    def __init__(self, workers: "Workers", user: LocalUser, key: WorkerKey) -> None:
        self.user = user
        self.key = key
        self.calls = 0
        self.opening = 0
        self.running = False
        self.dismissed = False
        self.number = 0
        self.idle_since = 0.0
        self.watched = False
        self.control: WorkerControl | None = None
        self.ready = anyio.Event()
        self.gone = anyio.Event()
        self.failure: RpcError | None = None
        self.reading: anyio.CancelScope | None = None
        self._workers = workers

    def __str__(self) -> str:
        return f"worker {self.number} of {self.user.name}"

    @property
    def keepalive(self) -> KeepalivePolicy:
        """When to ask whether it still reacts."""
        half = self._workers.config.stall_seconds / 2
        return KeepalivePolicy(idle_seconds=half, timeout_seconds=half)

    def enter(self) -> bool:
        """Count a call in; False if there are as many as may be."""
        if self.calls >= self._workers.config.max_calls:
            return False
        self.calls += 1
        return True

    def leave(self) -> None:
        """Count a call out."""
        self.calls -= 1
        if not self.busy:
            self._workers.idle(self)

    @property
    def busy(self) -> bool:
        """True if there are calls, or will be at once: it must not end."""
        return self.calls + self.opening > 0

    @property
    def going(self) -> bool:
        """True if it has been told to end, and has not yet."""
        return self.ready.is_set() and not self.running

    async def wait_gone(self) -> None:
        """Wait until its process has ended, so that another can have its place.

        Raises:
            RpcError: UNAVAILABLE; it has not for too long.
        """
        try:
            with anyio.fail_after(self._workers.config.start_seconds):
                await self.gone.wait()
        except TimeoutError as error:
            _log.error("%s does not end", self)
            raise RpcError(
                StatusCode.UNAVAILABLE, "there is no room for a process to run the call"
            ) from error

    def kill(self) -> None:
        """End it now: it is not to be trusted with anything more."""
        self._workers.kill(self)
