"""A TCP proxy between client and server: records, changes, cuts up, delays, stops."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

__all__ = ["Change", "Cut", "Path", "Proxy", "at_once", "proxied", "whole"]

Change = Callable[[bytes], Iterable[bytes]]
"""Returns what is sent, piece by piece, instead of a chunk that arrived."""


def whole(data: bytes) -> Iterable[bytes]:
    """Send a chunk as it is."""
    return (data,)


async def at_once() -> None:
    """Send a piece without waiting."""


class Cut(Exception):
    """Raised by a `Change`: the connection is to end here, without a word."""


@dataclass(kw_only=True)
class Path:
    """One direction of all connections through a proxy.

    Attributes:
        change: Applied to each chunk.
        pause: Awaited before each piece is sent.
        recorded: What came out of it, after `change`.
        open: While it is not set nothing is taken from the sender.
    """

    change: Change = whole
    pause: Callable[[], Awaitable[None]] = at_once
    recorded: bytearray = field(default_factory=bytearray)
    open: anyio.Event = field(default_factory=anyio.Event)

    async def carry(self, source: SocketStream, target: SocketStream) -> None:
        """Carry bytes until the source ends or either end breaks."""
        async for data in source:
            await self.open.wait()
            for piece in self.change(data):
                await self.pause()
                self.recorded += piece
                await target.send(piece)
        await target.send_eof()


class Proxy:
    """Stands at an address of its own for a server.

    Attributes:
        address: Where clients connect to.
        to_server: The direction to the server.
        to_client: The direction to the client.
        connections: How many there were.
    """

    def __init__(self, target: str, port: int) -> None:
        self._host, _, target_port = target.removeprefix("tcp://").rpartition(":")
        self._port = int(target_port)
        self.address = f"tcp://127.0.0.1:{port}"
        self.to_server = Path()
        self.to_client = Path()
        self.connections = 0
        self._scopes: set[anyio.CancelScope] = set()
        self.resume()

    def stop(self) -> None:
        """Take nothing more from either end until `resume`."""
        self.to_server.open = self.to_client.open = anyio.Event()

    def resume(self) -> None:
        """Go on."""
        self.to_server.open.set()
        self.to_client.open.set()

    def drop(self) -> None:
        """Close all connections, without a word of either end's."""
        for scope in [*self._scopes]:
            scope.cancel()

    async def handle(self, client: SocketStream) -> None:
        """Carry one connection."""
        scopes: set[anyio.CancelScope] = set()
        try:
            async with client, await anyio.connect_tcp(self._host, self._port) as far:
                async with anyio.create_task_group() as group:
                    self.connections += 1
                    scopes.add(group.cancel_scope)
                    self._scopes |= scopes
                    group.start_soon(self._carry, self.to_server, client, far, group)
                    group.start_soon(self._carry, self.to_client, far, client, group)
        except OSError:
            pass  # no server; the client sees its connection closed
        finally:
            self._scopes -= scopes

    async def _carry(
        self,
        path: Path,
        source: SocketStream,
        target: SocketStream,
        group: anyio.abc.TaskGroup,
    ) -> None:
        try:
            await path.carry(source, target)
        except (Cut, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            group.cancel_scope.cancel()


@asynccontextmanager
async def proxied(target: str) -> AsyncGenerator[Proxy]:
    """Give a proxy for the server at `target`."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    proxy = Proxy(target, port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, proxy.handle)
        try:
            yield proxy
        finally:
            group.cancel_scope.cancel()
