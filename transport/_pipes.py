"""The byte pipe under a session: one small interface over sockets and streams.

    write()            never waits: hands over what it can, keeps the rest
    drain()            waits until little is kept
    receive()          pull: the next bytes, b"" at the end of the stream
    start_receiving()  push: every chunk goes to a callback, until the end

Under asyncio a socket is a Protocol (`_pipes_asyncio`), under trio a bare socket
(`_pipes_trio`); anything else comes as an anyio ByteStream.  `write` is synchronous so
that no cancellation can fall between sealing a record and handing it over.
"""

from abc import ABC, abstractmethod
from typing import Final, Protocol

import anyio
from anyio.abc import ByteStream

from ._loops import Loop
from .errors import BusyError, ConnectionClosed

__all__ = ["BufferedPipe", "Pipe", "Receiver", "StreamPipe", "broken"]

CHUNK: Final = 256 * 1024
"""Bytes asked for at a time."""

HIGH_WATER: Final = 256 * 1024
"""`drain` waits while more than this is kept for writing."""

LINGER_SECONDS: Final = 1.0
"""How long a closing end waits for the peer's end of stream.

Closing a TCP socket with unread data resets it, which can destroy the CLOSE frame
on its way and make a clean end look like a truncation.
"""


class Receiver(Protocol):
    """Who gets the bytes of a pipe in push mode."""

    def data_received(self, data: bytes, /) -> None:
        """Take a chunk."""
        ...

    def pipe_ended(self, error: ConnectionClosed | None, /) -> None:
        """The stream ended: None for an end of stream, else what broke."""
        ...


class Pipe(ABC):
    """A connected byte stream, owned by one session."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Hand over bytes; never waits.  A broken pipe swallows them."""

    @property
    @abstractmethod
    def congested(self) -> bool:
        """True while so much is kept that writers should `drain`."""

    @abstractmethod
    async def drain(self) -> None:
        """Wait until the pipe is not congested.

        Raises:
            ConnectionClosed: The pipe broke.
        """

    @abstractmethod
    async def receive(self) -> bytes:
        """Return the next bytes, or b"" at the end of the stream.

        Cancelling loses nothing.

        Raises:
            ConnectionClosed: The pipe broke.
        """

    @abstractmethod
    def start_receiving(self, loop: Loop, receiver: Receiver) -> None:
        """Give every chunk to `receiver` from now on."""

    @abstractmethod
    def pause_receiving(self) -> None:
        """Push mode: take nothing more from the peer for now."""

    @abstractmethod
    def resume_receiving(self) -> None:
        """Push mode: go on."""

    @abstractmethod
    async def aclose(self, *, linger: bool = True) -> None:
        """Send what is kept and close.

        Args:
            linger: Wait briefly for the peer's end of stream before closing.  Not
                needed where the peer has said that nothing more comes.
        """

    @abstractmethod
    def abort(self) -> None:
        """Close at once.  What is kept is lost."""


def broken(error: Exception | None) -> ConnectionClosed:
    """Return the error for a pipe that broke with `error`."""
    cause = f"the connection broke: {error}" if error else "the connection broke"
    closed = ConnectionClosed(cause, clean=False)
    closed.__cause__ = error
    return closed


class BufferedPipe(Pipe):
    """A pipe that keeps by itself what could not be written yet.

    Subclasses say how to receive, send and close.  In push mode one task of the loop
    sends for everybody, so that no writer's cancellation can hurt the others.
    """

    def __init__(self) -> None:
        self._backlog = bytearray()
        self._sending = anyio.Lock()
        self._broken: ConnectionClosed | None = None
        self._loop: Loop | None = None
        self._flushed: anyio.Event | None = None
        self._running = anyio.Event()
        self._running.set()
        self._receiving = False
        self._receiver_scope: anyio.CancelScope | None = None
        self._pushed: anyio.Event | None = None

    @abstractmethod
    async def _receive_some(self) -> bytes:
        """Return the next bytes, b"" at the end; raise ConnectionClosed."""

    @abstractmethod
    async def _send_backlog(self) -> None:
        """Send what is kept until nothing is; raise ConnectionClosed."""

    @abstractmethod
    async def _end(self) -> None:
        """Tell the peer that nothing more comes, if the stream can say so."""

    @abstractmethod
    async def _close(self) -> None:
        """Close."""

    def write(self, data: bytes) -> None:
        """Keep bytes for `drain`, which in push mode a task of the loop calls."""
        if self._broken is not None:
            return
        self._backlog += data
        if self._loop is not None and self._flushed is None:
            self._flushed = anyio.Event()
            self._loop.spawn(self._flush(self._flushed))

    @property
    def congested(self) -> bool:
        """True while more is kept than one may let grow."""
        return len(self._backlog) > HIGH_WATER

    async def drain(self) -> None:
        """Send what is kept, or wait while the task that sends does."""
        while self._flushed is not None:
            await self._flushed.wait()
        await self._drain()
        if self._broken is not None:
            raise self._broken

    async def _drain(self) -> None:
        async with self._sending:
            if self._backlog and self._broken is None:
                try:
                    await self._send_backlog()
                except ConnectionClosed as error:
                    self._break(error)

    async def _flush(self, flushed: anyio.Event) -> None:
        try:
            await self._drain()
        finally:
            self._flushed = None
            flushed.set()

    def _break(self, error: ConnectionClosed) -> None:
        if self._broken is None:
            self._broken = error
            self._backlog.clear()
            if self._receiver_scope is not None:
                self._receiver_scope.cancel()

    async def receive(self) -> bytes:
        """Return the next bytes, or b"" at the end."""
        if self._receiving:
            raise BusyError("another task is receiving from this connection")
        if self._broken is not None:
            raise self._broken
        self._receiving = True
        try:
            with anyio.CancelScope() as self._receiver_scope:
                return await self._receive_some()
        finally:
            self._receiving = False
            self._receiver_scope = None
        raise self._broken or broken(None)

    def start_receiving(self, loop: Loop, receiver: Receiver) -> None:
        """Give every chunk to `receiver` from a task of `loop`."""
        self._loop = loop
        self._receiving = True
        self._receiver_scope = anyio.CancelScope()
        self._pushed = anyio.Event()
        loop.spawn(self._push(receiver, self._receiver_scope, self._pushed))
        if self._backlog:
            self.write(b"")

    async def _push(
        self, receiver: Receiver, scope: anyio.CancelScope, pushed: anyio.Event
    ) -> None:
        error: ConnectionClosed | None = None
        try:
            with scope:
                while data := await self._receive_some():
                    receiver.data_received(data)
                    await self._running.wait()
        except ConnectionClosed as closed:
            error = closed
        finally:
            self._receiving = False
            self._receiver_scope = None
            pushed.set()
        receiver.pipe_ended(error or self._broken)

    def pause_receiving(self) -> None:
        """Take nothing more from the peer for now."""
        if self._running.is_set():
            self._running = anyio.Event()

    def resume_receiving(self) -> None:
        """Go on taking."""
        self._running.set()

    async def aclose(self, *, linger: bool = True) -> None:
        """Send what is kept and close."""
        try:
            with anyio.move_on_after(LINGER_SECONDS):
                if self._pushed is not None and self._receiver_scope is not None:
                    self._receiver_scope.cancel()
                    await self._pushed.wait()
                await self.drain()
                await self._end()
                while linger and await self.receive():
                    pass
        except (ConnectionClosed, BusyError):
            pass  # it is gone already, or the task that receives sees to the rest
        finally:
            self._break(broken(None))
            with anyio.CancelScope(shield=True):
                await self._close()


class StreamPipe(BufferedPipe):
    """Any anyio `ByteStream`: memory pairs, TLS under trio, what users bring."""

    def __init__(self, stream: ByteStream) -> None:
        super().__init__()
        self._stream = stream

    async def _receive_some(self) -> bytes:
        try:
            return await self._stream.receive(CHUNK)
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise broken(error) from error

    async def _send_backlog(self) -> None:
        while self._backlog and self._broken is None:
            data = bytes(self._backlog)
            self._backlog.clear()
            try:
                await self._stream.send(data)
            except (
                anyio.BrokenResourceError,
                anyio.ClosedResourceError,
                OSError,
            ) as error:
                raise broken(error) from error
            except BaseException:
                # A cancelled send may have sent any part of it, and a stream with
                # a hole in it is worthless.
                self._break(broken(None))
                raise

    async def _end(self) -> None:
        try:
            await self._stream.send_eof()
        except (
            NotImplementedError,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
            OSError,
        ):
            pass  # TLS cannot half-close; a broken stream has ended already

    async def _close(self) -> None:
        await self._stream.aclose()

    def abort(self) -> None:
        """Break now; the stream's owner closes it."""
        self._break(broken(None))
