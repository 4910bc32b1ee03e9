"""Pipes for tests: a pair joined in memory, and one that can be tampered with."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from ._loops import Loop
from ._pipes import Pipe, Receiver, StreamPipe

__all__ = ["TappedPipe", "memory_pipes"]

_MOST_HELD: Final = 64 * 1024
"""Bytes on their way in one direction: like a socket's buffers, and as bounded."""


class _Direction:
    """Bytes on their way from one end to the other."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._ended = False
        self._abandoned = False
        self._changed = anyio.Event()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def put(self, data: bytes) -> None:
        rest = memoryview(data)
        while True:
            if self._ended:
                raise anyio.ClosedResourceError
            if self._abandoned:
                raise anyio.BrokenResourceError
            taken = _MOST_HELD - len(self._data)
            self._data += rest[:taken]
            rest = rest[taken:]
            self._change()
            if not rest:
                return
            await self._changed.wait()

    async def get(self, most: int) -> bytes:
        while not self._data:
            if self._abandoned:
                raise anyio.ClosedResourceError
            if self._ended:
                raise anyio.EndOfStream
            await self._changed.wait()
        data = bytes(self._data[:most])
        del self._data[:most]
        self._change()
        return data

    def end(self) -> None:
        self._ended = True
        self._change()

    def abandon(self) -> None:
        self._abandoned = True
        self._data.clear()
        self._change()


class _MemoryStream(ByteStream):
    def __init__(self, outward: _Direction, inward: _Direction) -> None:
        self._outward = outward
        self._inward = inward

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        await self._outward.put(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        return await self._inward.get(max_bytes)

    async def send_eof(self) -> None:
        self._outward.end()

    async def aclose(self) -> None:
        self._outward.end()
        self._inward.abandon()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}


def memory_pipes() -> tuple[Pipe, Pipe]:
    """Return two pipes that are joined in memory.

    Each direction holds up to 64 KiB; whoever writes more waits for the reader.
    """
    one, two = _Direction(), _Direction()
    return StreamPipe(_MemoryStream(one, two)), StreamPipe(_MemoryStream(two, one))


class TappedPipe(Pipe):
    """A pipe that counts what is written, and changes it on demand.

    Attributes:
        written: Bytes written so far.
        change: Applied to what is written from now on; None passes it on.
    """

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.written = 0
        self.change: Callable[[bytes], bytes] | None = None

    def write(self, data: bytes) -> None:
        """Count, change and pass on."""
        self.written += len(data)
        self._pipe.write(data if self.change is None else self.change(data))

    @property
    def congested(self) -> bool:
        """As the pipe below."""
        return self._pipe.congested

    async def drain(self) -> None:
        """Wait for the pipe below."""
        await self._pipe.drain()

    async def receive(self) -> bytes:
        """Receive from the pipe below."""
        return await self._pipe.receive()

    def start_receiving(self, loop: Loop, receiver: Receiver) -> None:
        """Let the pipe below push."""
        self._pipe.start_receiving(loop, receiver)

    def pause_receiving(self) -> None:
        """Pause the pipe below."""
        self._pipe.pause_receiving()

    def resume_receiving(self) -> None:
        """Let the pipe below go on."""
        self._pipe.resume_receiving()

    async def aclose(self, *, linger: bool = True) -> None:
        """Close the pipe below."""
        await self._pipe.aclose(linger=linger)

    def abort(self) -> None:
        """Abort the pipe below."""
        self._pipe.abort()
