"""Streams as callers see them."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
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
from ._opening import Begin, Opening
from ._stream_call import StreamCall
from .errors import NotCarriedOut, RpcError

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


class _Sending(Generic[I]):
    """Encodes and sends a caller's items."""

    def __init__(
        self,
        opening: Opening,
        call: StreamCall,
        encode: Callable[[I], bytes],
        limit: int,
    ) -> None:
        self._opening = opening
        self._call = call
        self._encode = encode
        self._limit = limit

    async def send(self, item: I, protection: Protection | None = None) -> None:
        value, level = lowered(item)
        body = self._encode(value)
        if len(body) > self._limit:
            check_size(len(body), self._limit, "item")
        call = self._call
        if call.outbox.send_now(body, protection or level):
            return
        while True:
            try:
                await call.outbox.send(body, protection or level)
                return
            except BusyError:
                raise  # what is midway is another's
            except NotCarriedOut:
                call = self._call = await self._opening.again(call)
            except BaseException:
                if call.outbox.midway:
                    call.cancel()  # half an item cannot be taken back
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
        await self.end()

    async def end(self) -> None:
        if self._call.not_taken:
            with suppress(RpcError):  # whoever reads learns of it
                self._call = await self._opening.again(self._call)
        self._call.end_sending()


async def one_reply(
    loop: Loop,
    opening: Opening,
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
    call = await opening.made()
    pump = _Pump(loop, opening, _Sending(opening, call, encode, limit), source)
    try:
        while True:
            try:
                body = await call.inbox.take()
                break
            except NotCarriedOut:
                call = await opening.again(call)
    except RpcError:
        if pump.failure is not None:
            raise pump.failure from None
        raise
    finally:
        await pump.stop()
        opening.cancel()
    return decode(body)


class _Pump:
    """The task that sends a caller's items while the caller waits for answers.

    Attributes:
        failure: What the source raised, if it did; the call is cancelled then.
    """

    def __init__(
        self, loop: Loop, opening: Opening, sending: _Sending[I], source: ItemSource[I]
    ) -> None:
        self.failure: Exception | None = None
        self._opening = opening
        self._loop = loop
        self._over = anyio.Event()
        self._scope = anyio.CancelScope()
        loop.spawn(self._run(sending, source), copy_context())

    async def _run(self, sending: _Sending[I], source: ItemSource[I]) -> None:
        try:
            with self._scope:
                await sending.send_all(source)
        except RpcError as error:
            call = self._opening.call
            if call is not None and not call.ended:
                self._fail(error)
        except Exception as error:
            self._fail(error)
        finally:
            self._over.set()

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self._opening.cancel()

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
        self._opening = Opening(begin)
        self._decode = decode
        self._call: StreamCall | None = None

    async def _started(self) -> StreamCall:
        if self._call is None:
            call = await self._opening.made()
            if self._call is None:  # or another task has come this far meanwhile
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
        while True:
            inbox = call.inbox
            try:
                # Not by way of a coroutine where nothing has to be waited for.
                body = inbox.pop() if inbox.waiting else await inbox.take()
            except NotCarriedOut:
                call = self._call = await self._opening.again(call)
            else:
                return self._decode(body)

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
        opening: Opening | None = getattr(self, "_opening", None)
        if opening is not None:
            opening.abandon()

    @property
    def waiting(self) -> bool:
        """True while there is an item to have without waiting for it."""
        return self._call is not None and self._call.inbox.waiting

    def cancel(self) -> None:
        """Give the call up, unless it has ended: the server's handler is cancelled."""
        self._opening.cancel()

    async def headers(self) -> Metadata:
        """Wait for the metadata that the server sends ahead of its first item."""
        call = await self._started()
        headers = await call.wait_headers()
        if call.not_taken:
            with suppress(RpcError):  # whoever reads learns of it
                call = self._call = await self._opening.again(call)
                headers = await call.wait_headers()
        return headers

    @property
    def trailers(self) -> Metadata:
        """The metadata that came at the end; empty before."""
        call = self._opening.call
        return () if call is None else call.trailers


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
        opening = self._opening
        self._sending: _Sending[I] = _Sending(opening, call, self._encode, self._limit)
        if self._source is not None:
            self._pump = _Pump(self._loop, opening, self._sending, self._source)

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
        await self._started()
        await self._sending.end()

    async def __aexit__(self, *_: Any) -> None:
        self.cancel()
        if self._pump is not None:
            await self._pump.stop()
