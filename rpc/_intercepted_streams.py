"""Streams with interceptors around them, as callers see them.

The interceptors of a call run in a task of their own.  So they can begin with the
call, before anything is read; a reader that stops waiting loses nothing; and what they
open in one step of a generator they close in the same task.  They are a few items ahead
of the reader, never more.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio

from signetrpc.transport import Protection
from signetrpc.transport._loops import Loop

from ._call_info import CallInfo
from ._chain import Chain
from ._client_call import ClientCall
from ._handover import Handover, Sent
from ._items import raised
from ._metadata import Metadata
from ._status import StatusCode
from ._streams import BidirectionalStream, ServerStream, headers_so_far
from .errors import RpcError

__all__ = [
    "InterceptedBidirectionalStream",
    "InterceptedServerStream",
    "StreamRun",
]

I = TypeVar("I")  # noqa: E741 - an item of the caller's
R = TypeVar("R")


def _cancelled() -> RpcError:
    return RpcError(StatusCode.CANCELLED, "the call was cancelled")


class StreamRun(Generic[R]):
    """The task that runs the interceptors of a stream, and what it has come to.

    The stream is not known here: when nobody has it any more, it ends the task.

    Attributes:
        replies: What came out of the outermost.
    """

    def __init__(
        self,
        loop: Loop,
        chain: Chain,
        call: ClientCall,
        start: Callable[..., ServerStream[R]],
        *given: Any,
    ) -> None:
        self.replies: Handover[R] = Handover()
        self._loop = loop
        self._chain = chain
        self._call = call
        self._start = start
        self._given = given
        self._scope = anyio.CancelScope()
        self._begun = False
        self._over = anyio.Event()
        self._answering = anyio.Event()
        self._stream: ServerStream[R] | None = None

    def begin(self) -> None:
        """Start the task, unless it was."""
        if not self._begun:
            self._begun = True
            self._loop.spawn(self._run(), copy_context())

    async def _run(self) -> None:
        end: Exception = _cancelled()
        try:
            with self._scope:
                await self._hand_on()
                end = StopAsyncIteration()
        except Exception as error:
            end = error
        except BaseExceptionGroup as group:
            # Cancelled under trio, with tasks of its own that failed on the way out.
            errors, cancellations = group.split(Exception)
            end = end if errors is None else errors
            if cancellations is not None:
                raise cancellations from None
        finally:
            self.replies.close(end)
            for each in self._given:
                if isinstance(each, Sent):
                    text = "the call has ended"
                    each.fail(RpcError(StatusCode.CANCELLED, text))
            self._answering.set()
            self._over.set()

    async def _hand_on(self) -> None:
        items = self._chain(self._attempt, self._call, *self._given)
        try:
            async for item in items:
                await self.replies.put(item)
        finally:
            await items.aclose()

    async def _attempt(self, *given: Any) -> AsyncGenerator[R]:
        """What is innermost: make the call, once more."""
        call, headed = self._call, False
        with call.attempt(CallInfo()) as info:
            stream = self._start(*given)
            try:
                async with stream:
                    self._stream = stream
                    self._answering.set()
                    async for item in stream:
                        if not headed:
                            headed, call.headers = True, headers_so_far(stream)
                        yield item
            finally:
                info.headers = headers_so_far(stream)
                info.trailers = stream.trailers

    def cancel(self) -> None:
        """Give the call up."""
        if self._over.is_set():
            return
        self.replies.close(_cancelled(), at_once=True)
        if self._begun:
            self._scope.cancel()
        else:
            self._begun = True  # there is nothing left to begin
            self._answering.set()
            self._over.set()

    def abandon(self) -> None:
        """Give the call up, from anywhere: from a finaliser, or in another thread."""
        if self._begun and not self._over.is_set():
            with suppress(RuntimeError):  # the loop is closed, and the task over
                self._loop.call_soon_threadsafe(self.cancel)

    async def stop(self) -> None:
        """Give the call up and wait until the interceptors have noticed."""
        self.cancel()
        with anyio.CancelScope(shield=True):
            await self._over.wait()

    @property
    def trailers(self) -> Metadata:
        """What the server sent at the end, the last time."""
        return () if self._stream is None else self._stream.trailers

    async def headers(self) -> Metadata:
        """Wait for what the server sends ahead; nothing, if it never comes to that."""
        await self._answering.wait()
        return () if self._stream is None else await self._stream.headers()


class InterceptedServerStream(ServerStream[R]):
    """A `ServerStream` whose items come through interceptors.

    What goes wrong when the call begins comes with the first item.
    """

    def __init__(self, run: StreamRun[R]) -> None:
        self._call = None
        self._run = run

    async def __anext__(self) -> R:
        self._run.begin()
        return await self._run.replies.take()

    async def __aenter__(self) -> Self:
        self._run.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._run.stop()

    def __del__(self) -> None:
        self._run.abandon()

    @property
    def waiting(self) -> bool:
        """True while there is an item to have without waiting for it."""
        return self._run.replies.waiting

    def cancel(self) -> None:
        """Give the call up, unless it has ended: the server's handler is cancelled."""
        self._run.cancel()

    async def headers(self) -> Metadata:
        """Wait for the metadata that the server sends ahead of its first item."""
        self._run.begin()
        return await self._run.headers()

    @property
    def trailers(self) -> Metadata:
        """The metadata that came at the end; empty before."""
        return self._run.trailers


class InterceptedBidirectionalStream(
    InterceptedServerStream[R], BidirectionalStream[I, R]
):
    """A `BidirectionalStream` whose items go and come through interceptors."""

    def __init__(
        self, run: StreamRun[R], sent: Sent[I] | None, check: Callable[[I], None]
    ) -> None:
        """Take what it is made of.

        Args:
            run: Of the interceptors.
            sent: What `send` sends to them; None if the caller gave a source.
            check: Raises RpcError for an item that cannot be sent.
        """
        super().__init__(run)
        self._sent = sent
        self._check = check

    async def send(self, item: I, *, protection: Protection | None = None) -> None:
        """Send one item; wait while the server and the interceptors have no room.

        Raises:
            RpcError: The call has ended; or the item cannot be sent, and the call goes
                on without it.
        """
        self._run.begin()
        self._check(item)
        sent = self._given_sent()
        await sent.put(item if protection is None else raised(item, protection))

    async def end(self) -> None:
        """Tell the server that nothing more comes.  It may still send."""
        self._run.begin()
        self._given_sent().end()

    def _given_sent(self) -> Sent[I]:
        if self._sent is None:
            text = "the stream sends the items that it was given"
            raise RpcError(StatusCode.FAILED_PRECONDITION, text)
        return self._sent
