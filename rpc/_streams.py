"""Streams as callers see them."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
)
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio

from signetrpc.transport import BusyError, Protection
from signetrpc.transport._loops import Loop

from ._assembly import check_size
from ._items import lowered
from ._metadata import Metadata
from ._stream_call import StreamCall
from .errors import RpcError

__all__ = [
    "BidirectionalStream",
    "ItemSource",
    "ServerStream",
    "headers_so_far",
    "one_reply",
]

I = TypeVar("I")  # noqa: E741 - an item of the caller's
R = TypeVar("R")

ItemSource = AsyncIterable[I] | Iterable[I]
"""What a caller may give as a stream."""

Begin = Callable[[], Awaitable[StreamCall]]


class _Sending(Generic[I]):
    """Encodes and sends a caller's items."""

    def __init__(
        self, call: StreamCall, encode: Callable[[I], bytes], limit: int
    ) -> None:
        self._call = call
        self._encode = encode
        self._limit = limit

    async def send(self, item: I, protection: Protection | None = None) -> None:
        value, level = lowered(item)
        body = self._encode(value)
        if len(body) > self._limit:
            check_size(len(body), self._limit, "item")
        if self._call.outbox.send_now(body, protection or level):
            return
        try:
            await self._call.outbox.send(body, protection or level)
        except BusyError:
            raise  # what is midway is another's
        except BaseException:
            if self._call.outbox.midway:
                self._call.cancel()  # half an item cannot be taken back
            raise

    async def send_all(self, source: ItemSource[I]) -> None:
        if isinstance(source, AsyncIterable):
            later = aiter(source)
            try:
                async for item in later:
                    await self.send(item)
            finally:
                # What it holds is let go now, and in this task.
                if isinstance(later, AsyncGenerator):
                    await later.aclose()
        else:
            iterator = iter(source)
            try:
                for item in iterator:
                    await self.send(item)
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()
        self._call.end_sending()


async def one_reply(
    loop: Loop,
    call: StreamCall,
    source: ItemSource[I],
    encode: Callable[[I], bytes],
    decode: Callable[[bytes], R],
    limit: int,
) -> R:
    """Send a stream and return the one reply to it.

    Raises:
        RpcError: The call ended otherwise.
        Exception: What the source raised; the call is cancelled.
    """
    pump = _Pump(loop, call, _Sending(call, encode, limit), source)
    try:
        body = await call.inbox.take()
    except RpcError:
        if pump.failure is not None:
            raise pump.failure from None
        raise
    finally:
        await pump.stop()
        call.cancel()
    return decode(body)


class _Pump:
    """The task that sends a caller's items while the caller waits for answers.

    Attributes:
        failure: What the source raised, if it did; the call is cancelled then.
    """

    def __init__(
        self, loop: Loop, call: StreamCall, sending: _Sending[I], source: ItemSource[I]
    ) -> None:
        self.failure: Exception | None = None
        self._call = call
        self._loop = loop
        self._over = anyio.Event()
        self._scope = anyio.CancelScope()
        loop.spawn(self._run(sending, source), copy_context())

    async def _run(self, sending: _Sending[I], source: ItemSource[I]) -> None:
        try:
            with self._scope:
                await sending.send_all(source)
        except RpcError as error:
            if not self._call.ended:
                self._fail(error)
        except Exception as error:
            self._fail(error)
        finally:
            self._over.set()

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self._call.cancel()

    def cancel(self) -> None:
        """Let the task end."""
        self._scope.cancel()

    def abandon(self) -> None:
        """Let the task end, from anywhere: from a finaliser, or in another thread."""
        if not self._over.is_set():
            with suppress(RuntimeError):  # the loop is closed, and the task over
                self._loop.call_soon_threadsafe(self.cancel)

    async def stop(self) -> None:
        """End the task, and wait for that: the source is the caller's own code."""
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._over.wait()


class ServerStream(Generic[R]):
    """The server's items, one after the other.

        async with client.watch("42") as entries:
            async for entry in entries:
                print(entry)

    The call begins with the block or the first item.  Leaving the block cancels what
    is left of it; without a block, what is not read to its end is cancelled when it is
    garbage.
    """

    def __init__(self, begin: Begin, decode: Callable[[bytes], R]) -> None:
        self._begin = begin
        self._decode = decode
        self._call: StreamCall | None = None
        self._beginning: anyio.Lock | None = None

    async def _started(self) -> StreamCall:
        if self._call is not None:
            return self._call
        if self._beginning is None:
            self._beginning = anyio.Lock(fast_acquire=True)
        async with self._beginning:  # one task can send while another reads
            if self._call is None:
                call = await self._begin()
                self._begun(call)
                self._call = call
            return self._call

    def _begun(self, call: StreamCall) -> None:
        """Prepare what else there is to a call."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        """Return the next item.

        Raises:
            StopAsyncIteration: The stream has ended with status OK.
            RpcError: It ended otherwise.
        """
        call = self._call
        if call is None:
            call = await self._started()
        inbox = call.inbox
        # Not by way of a coroutine where nothing has to be waited for.
        return self._decode(inbox.pop() if inbox.waiting else await inbox.take())

    async def __aenter__(self) -> Self:
        await self._started()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def __del__(self) -> None:
        call = getattr(self, "_call", None)
        if call is not None:
            call.abandon()

    @property
    def waiting(self) -> bool:
        """True while there is an item to have without waiting for it."""
        return self._call is not None and self._call.inbox.waiting

    def cancel(self) -> None:
        """Give the call up, unless it has ended: the server's handler is cancelled."""
        if self._call is not None:
            self._call.cancel()

    async def headers(self) -> Metadata:
        """Wait for the metadata that the server sends ahead of its first item."""
        return await (await self._started()).wait_headers()

    @property
    def trailers(self) -> Metadata:
        """The metadata that came at the end; empty before."""
        return () if self._call is None else self._call.trailers


def headers_so_far(stream: ServerStream[Any]) -> Metadata:
    """Return what the server sent ahead; nothing, if it has not come."""
    call = stream._call  # pyright: ignore[reportPrivateUsage]
    return () if call is None else call.headers or ()


class BidirectionalStream(ServerStream[R], Generic[I, R]):
    """A stream each way.

        async with client.chat() as talk:
            await talk.send("hello")
            print(await anext(talk))
            await talk.end()

    Given a source, the stream sends it by itself.
    """

    def __init__(
        self,
        loop: Loop,
        begin: Begin,
        encode: Callable[[I], bytes],
        decode: Callable[[bytes], R],
        limit: int,
        source: ItemSource[I] | None,
    ) -> None:
        super().__init__(begin, decode)
        self._loop = loop
        self._encode = encode
        self._limit = limit
        self._source = source
        self._pump: _Pump | None = None

    def _begun(self, call: StreamCall) -> None:
        self._sending: _Sending[I] = _Sending(call, self._encode, self._limit)
        if self._source is not None:
            self._pump = _Pump(self._loop, call, self._sending, self._source)

    async def __anext__(self) -> R:
        try:
            return await super().__anext__()
        except (RpcError, StopAsyncIteration):
            if self._pump is not None:
                self._pump.cancel()
                if self._pump.failure is not None:
                    raise self._pump.failure from None
            raise

    def __del__(self) -> None:
        super().__del__()
        pump = getattr(self, "_pump", None)
        if pump is not None:
            pump.abandon()

    async def send(self, item: I, *, protection: Protection | None = None) -> None:
        """Send one item, when the server has room for it.

        Cancelled in the middle of a long item, it cancels the call.

        Args:
            item: Of the method's type.
            protection: A level to raise this item to.

        Raises:
            BusyError: Another task is sending.
            RpcError: The call has ended; or the item cannot be sent, and the call goes
                on without it.
        """
        await self._started()
        await self._sending.send(item, protection)

    async def end(self) -> None:
        """Tell the server that nothing more comes.  It may still send.

        Raises:
            BusyError: Another task is sending.
        """
        (await self._started()).end_sending()

    async def __aexit__(self, *_: Any) -> None:
        self.cancel()
        if self._pump is not None:
            await self._pump.stop()
