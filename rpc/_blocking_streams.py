"""Streams as threads see them."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from signetrpc.transport import Protection

from ._blocking_loop import LoopThread
from ._blocking_receiving import Receiving
from ._blocking_sending import Sending, feed
from ._items import raised
from ._metadata import Metadata
from ._streams import BidirectionalStream, ServerStream
from .errors import RpcError

__all__ = [
    "BlockingBidirectionalStream",
    "BlockingServerStream",
]

I = TypeVar("I")  # noqa: E741 - an item of the caller's
R = TypeVar("R")


class BlockingServerStream(Iterator[R], Generic[R]):
    """The server's items, one after the other.

        with client.watch("42") as entries:
            for entry in entries:
                print(entry)

    The call has begun.  Leaving the block cancels what is left of it; without a block,
    what is not read to its end is cancelled when it is garbage.  Several threads may
    read one stream: each item goes to one of them.  An interrupt (KeyboardInterrupt)
    cancels the call.
    """

    def __init__(
        self, thread: LoopThread[Any], begin: Callable[[], ServerStream[R]]
    ) -> None:
        self._thread = thread
        self._receiving = receiving = Receiving[R](thread)

        # Not a method: the task must not keep alive what nobody else uses.
        async def run() -> None:
            async with begin() as stream:
                await receiving.fetch_all(stream)

        receiving.start(run)

    def __next__(self) -> R:
        """Return the next item; wait for it.

        Raises:
            StopIteration: The stream has ended with status OK.
            RpcError: It ended otherwise, or the call could not be made.
            ValueError: The metadata breaks a rule.
            RuntimeError: This is a process that was forked after the call began.
        """
        try:
            return self._receiving.take()
        except KeyboardInterrupt:
            self.cancel()
            raise

    def __enter__(self) -> Self:
        """Wait until the call has begun."""
        try:
            self._receiving.wait_begun()
        except BaseException:
            self.cancel()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def __del__(self) -> None:
        receiving: Receiving[R] | None = getattr(self, "_receiving", None)
        if receiving is not None:
            receiving.cancel()

    def cancel(self) -> None:
        """Give the call up, unless it has ended: the server's handler is cancelled."""
        self._receiving.cancel()

    def headers(self) -> Metadata:
        """Wait for the metadata that the server sends ahead of its first item."""
        return self._thread.run(self._receiving.wait_begun().headers)

    @property
    def trailers(self) -> Metadata:
        """The metadata that came at the end; empty before."""
        stream = self._receiving.stream
        return () if stream is None else stream.trailers


class BlockingBidirectionalStream(BlockingServerStream[R], Generic[I, R]):
    """A stream each way.

        with client.chat() as talk:
            talk.send("hello")
            print(next(talk))
            talk.end()

    One thread may send while another reads.  Given items, the stream sends them by
    itself, from a thread of its own.
    """

    def __init__(
        self,
        thread: LoopThread[Any],
        begin: Callable[[], BidirectionalStream[I, R]],
        measure: Callable[[I], int],
        source: Iterable[I] | None,
    ) -> None:
        self._thread = thread
        self._sending = sending = Sending[I](thread, measure)
        self._receiving = receiving = Receiving[R](thread, sending)

        async def run() -> None:
            async with begin() as stream:
                await _both_ways(stream, sending, receiving)

        receiving.start(run)
        if source is not None:
            feed(sending, source)

    def send(self, item: I, *, protection: Protection | None = None) -> None:
        """Send one item; wait while too much waits to be sent.

        Args:
            item: Of the method's type.
            protection: A level to raise this item to.

        Raises:
            RpcError: The item cannot be sent, or the call has ended.
            RuntimeError: This is a process that was forked after the call began.
        """
        try:
            self._sending.put(item if protection is None else raised(item, protection))
        except KeyboardInterrupt:
            self.cancel()
            raise

    def end(self) -> None:
        """Tell the server that nothing more comes.  It may still send."""
        self._sending.end()


async def _both_ways(
    stream: BidirectionalStream[I, R], sending: Sending[I], receiving: Receiving[R]
) -> None:
    failure: Exception | None = None

    async def send_all() -> None:
        nonlocal failure
        try:
            async for item in sending:
                await stream.send(item)
            await stream.end()
        except Exception as error:
            failure = error
            sending.close(error)
            stream.cancel()

    task = asyncio.create_task(send_all())
    try:
        await receiving.fetch_all(stream)
    except RpcError:
        # What cannot be sent ends the call, which says no more than that it ended.
        if failure is not None:
            raise failure from None
        raise
    finally:
        task.cancel()
