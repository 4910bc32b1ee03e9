"""How a channel stands to its server, and the news of it."""

from enum import Enum

import anyio

__all__ = ["ConnectivityState", "News"]


class ConnectivityState(Enum):
    """How a channel stands to its server.

    Source: https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md.
    """

    IDLE = "idle"
    """No connection, and none on its way: the next call opens one.

    So it is when the server went away or a connection was lost.  A channel does not
    become idle by itself because nobody calls.
    """
    CONNECTING = "connecting"
    """A connection is on its way."""
    READY = "ready"
    """There is a connection, which takes calls."""
    TRANSIENT_FAILURE = "transient failure"
    """The last attempt to connect failed.

    It stays so, when the server need not be left alone any more too, until a call
    makes the next attempt.
    """
    SHUTDOWN = "shutdown"
    """The channel is closed, for good."""


class News:
    """Wakes who waits for another state."""

    def __init__(self) -> None:
        self._state = ConnectivityState.IDLE
        self._changed: anyio.Event | None = None

    def tell(self, state: ConnectivityState) -> None:
        """Say what the state is now; it may be the one it was."""
        if state is not self._state:
            self._state = state
            changed, self._changed = self._changed, None
            if changed is not None:
                changed.set()

    async def wait(self) -> None:
        """Wait until another state is told than was told last."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()
