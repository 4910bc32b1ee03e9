"""A server's run: the connections that come in at one place, while they are served."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop

__all__ = ["LinkSource", "Retiring", "Run"]


class Retiring(Protocol):
    """A connection, as far as a run needs it."""

    @property
    def busy(self) -> bool:
        """True while calls are under way."""
        ...

    def retire(self, grace: float) -> None:
        """Let the client go elsewhere; see `ServerConnection.retire`."""
        ...

    def cut_off(self) -> None:
        """End now; see `ServerConnection.cut_off`."""
        ...


class LinkSource(Protocol):
    """Where connections come from, their handshakes over; a `Listener` is one."""

    @property
    def address(self) -> object:
        """Where it takes them; its text is for `connect`."""
        ...

    async def serve_links(
        self, loop: Loop, handler: Callable[[Link], Awaitable[None]]
    ) -> None:
        """See `Listener.serve_links`."""
        ...

    def close(self) -> None:
        """Take no more of them."""
        ...


class Run:
    """One listener's connections, while they are served."""

    def __init__(self, listener: LinkSource) -> None:
        self.connections: set[Retiring] = set()
        self.over = anyio.Event()
        self._listener = listener
        self._grace: float | None = None

    def enter(self, connection: Retiring) -> None:
        """Count a connection in; one that comes while all go is sent away."""
        self.connections.add(connection)
        if self._grace is not None:
            connection.retire(self._grace)

    def drain(self, grace: float) -> None:
        """Let nobody in any more, and send away who is there."""
        self._grace = grace
        self._listener.close()
        for connection in list(self.connections):
            connection.retire(grace)

    def stop(self) -> None:
        """End the connections that are left: the server stops."""
        for connection in list(self.connections):
            connection.cut_off()
