"""A socket under asyncio or uvloop: a Protocol, so that bytes arrive in a callback.

asyncio's streams and anyio's cost a task switch per chunk and more; here a chunk is
parsed, unsealed and dispatched where the event loop delivers it.
"""

import asyncio
from typing import cast

import anyio

from ._loops import Loop
from ._pipes import CHUNK, HIGH_WATER, LINGER_SECONDS, Pipe, Receiver, broken
from .errors import BusyError, ConnectionClosed

__all__ = ["AsyncioPipe"]


class AsyncioPipe(asyncio.Protocol, Pipe):
    """A socket under asyncio or uvloop.  Made by a protocol factory."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._received: list[bytes] = []
        self._held = 0
        self._waiter: asyncio.Future[None] | None = None
        self._drainers: list[asyncio.Future[None]] = []
        self._full = False
        self._eof = False
        self._lost: ConnectionClosed | None = None
        self._over = False
        self._closed = self._loop.create_future()

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        # uvloop's transport is one by its methods, not by its class.
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        """Pass a chunk on, or hold it for `receive`."""
        if self._receiver is not None:
            self._receiver.data_received(data)
            return
        self._received.append(data)
        self._held += len(data)
        if self._held >= CHUNK and self._transport is not None:
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        """Note the end; stay open for what is still to be written."""
        self._eof = True
        self._wake_reader()
        if self._receiver is not None:
            self._receiver.pipe_ended(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the pipe is gone, and tell everybody who waits."""
        receiver, told = self._receiver, self._eof
        self._lost = broken(exc)
        self._wake_reader()
        for drainer in self._drainers:
            if not drainer.done():
                drainer.set_result(None)
        if not self._closed.done():
            self._closed.set_result(None)
        if receiver is not None and not told:
            receiver.pipe_ended(self._lost)

    def pause_writing(self) -> None:
        """The transport keeps more than it likes."""
        self._full = True

    def resume_writing(self) -> None:
        """The transport has room again."""
        self._full = False
        for drainer in self._drainers:
            if not drainer.done():
                drainer.set_result(None)

    # The session calls these.

    def write(self, data: bytes) -> None:
        """Hand over bytes; never waits."""
        if self._lost is None:
            self._write(data)

    @property
    def congested(self) -> bool:
        """True while the transport keeps more than it likes."""
        return self._full

    async def drain(self) -> None:
        """Wait until the transport has room."""
        while self._full and self._lost is None:
            drainer = self._loop.create_future()
            self._drainers.append(drainer)
            try:
                await drainer
            finally:
                self._drainers.remove(drainer)
        if self._transport is not None and self._transport.is_closing():
            await asyncio.sleep(0)  # that it broke is known in the next turn
        if self._lost is not None:
            raise self._lost

    async def receive(self) -> bytes:
        """Return the next bytes, or b"" at the end."""
        while not self._received:
            if self._over:
                raise self._lost or broken(None)
            if self._eof:
                return b""
            if self._lost is not None:
                raise self._lost
            if self._waiter is not None:
                raise BusyError("another task is receiving from this connection")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take()

    def _take(self) -> bytes:
        data = b"".join(self._received)
        self._received.clear()
        if self._held >= CHUNK and self._transport is not None:
            self._transport.resume_reading()
        self._held = 0
        return data

    def _wake_reader(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def start_receiving(self, loop: Loop, receiver: Receiver) -> None:
        """Give every chunk to `receiver` from now on."""
        if self._received:
            receiver.data_received(self._take())
        self._receiver = receiver
        if self._eof or self._lost is not None:
            receiver.pipe_ended(None if self._eof else self._lost)

    def pause_receiving(self) -> None:
        """Take nothing more from the peer for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_receiving(self) -> None:
        """Go on taking."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def aclose(self, *, linger: bool = True) -> None:
        """Send what is kept and close."""
        transport = self._transport
        if transport is None:
            return
        self._receiver = None
        try:
            with anyio.move_on_after(LINGER_SECONDS):
                self.resume_receiving()
                if self._lost is None and transport.can_write_eof():
                    transport.write_eof()
                while linger and await self.receive():
                    pass
        except (ConnectionClosed, BusyError, OSError):
            pass  # it is gone already, or the task that receives sees to the rest
        finally:
            self._over = True
            transport.abort() if self._full else transport.close()
        try:
            with anyio.move_on_after(LINGER_SECONDS):
                await asyncio.shield(self._closed)
        finally:
            transport.abort()

    def abort(self) -> None:
        """Close at once."""
        self._over = True
        self._received.clear()
        if self._transport is not None:
            self._transport.abort()
