"""Pipes to test with: joined ends of each kind, and a receiver that notes."""

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import UNIXSocketStream

from signetrpc.transport._pipes import Pipe, StreamPipe
from signetrpc.transport._sockets import pipe_over
from signetrpc.transport.errors import ConnectionClosed

__all__ = ["KINDS", "Noted", "far_end", "joined"]

KINDS = ("socket", "stream")
"""A socket as the backend has it, and a socket as any anyio stream."""


async def _pipe(kind: str, sock: socket.socket) -> Pipe:
    if kind == "socket":
        return await pipe_over(sock)
    return StreamPipe(await UNIXSocketStream.from_socket(sock))


@asynccontextmanager
async def joined(kind: str) -> AsyncGenerator[tuple[Pipe, Pipe]]:
    """Give two pipes of one kind that are joined."""
    one, two = socket.socketpair()
    async with _closing(await _pipe(kind, one)) as first:
        async with _closing(await _pipe(kind, two)) as second:
            yield first, second


@asynccontextmanager
async def far_end(kind: str) -> AsyncGenerator[tuple[Pipe, socket.socket]]:
    """Give a pipe and the bare, non-blocking socket at its other end."""
    one, two = socket.socketpair()
    with two:
        two.setblocking(False)
        async with _closing(await _pipe(kind, one)) as first:
            yield first, two


@asynccontextmanager
async def _closing(pipe: Pipe) -> AsyncGenerator[Pipe]:
    try:
        yield pipe
    finally:
        pipe.abort()
        await pipe.aclose()


class Noted:
    """A receiver that keeps what it gets."""

    def __init__(self, then: Callable[[bytes], None] | None = None) -> None:
        """Call `then` with each chunk, too."""
        self.data = b""
        self.ends: list[ConnectionClosed | None] = []
        self._then = then
        self._changed = anyio.Event()

    def data_received(self, data: bytes, /) -> None:
        """Note a chunk."""
        self.data += data
        if self._then is not None:
            self._then(data)
        self._change()

    def pipe_ended(self, error: ConnectionClosed | None, /) -> None:
        """Note the end."""
        self.ends.append(error)
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, condition: Callable[["Noted"], bool]) -> None:
        """Wait until a condition holds; give up in a few seconds."""
        with anyio.fail_after(10):
            while not condition(self):
                await self._changed.wait()
