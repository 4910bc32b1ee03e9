"""The halves of a stream between a thread and the event loop that has the call.

What crosses from one to the other costs far more than an item does, so that items cross
in batches: as many as there are when the other side looks.  Neither side looks again
before it has worked its batch off, so the flow control of the call is the thread's too.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final, Generic, TypeVar

from ._blocking_loop import LoopThread, channel_closed
from ._status import StatusCode
from ._streams import ServerStream
from .errors import RpcError

__all__ = ["Receiving", "Sending"]

I = TypeVar("I")  # noqa: E741 - an item of the caller's
R = TypeVar("R")

_MOST_AT_ONCE: Final = 256
"""Items that cross together."""
_MOST_BYTES: Final = 64 * 1024
"""A thread that sends waits where so much, or more by an item, waits to cross."""


class Sending(AsyncIterator[I]):
    """Items from threads, to iterate on the loop."""

    def __init__(self, thread: LoopThread[Any], measure: Callable[[I], int]) -> None:
        """Have nothing to send.

        Args:
            thread: Where the loop is.
            measure: Returns an item's size in bytes; raises if it cannot be sent.
        """
        self._thread = thread
        self._measure = measure
        self._changed = threading.Condition()
        # Of these, the threads put in and the loop takes out, with the lock.
        self._items: deque[I] = deque()
        self._size = 0
        self._ended = False
        self._failure: Exception | None = None
        self._closed: Exception | None = None
        self._asleep: asyncio.Future[None] | None = None
        # What the loop has taken out.
        self._batch: Iterator[I] = iter(())

    def put(self, item: I) -> None:
        """Send an item; wait while much waits to be sent.

        Raises:
            RpcError: The item cannot be sent, or nothing can be any more.
            RuntimeError: This is a forked process.
        """
        self._thread.check()
        size = self._measure(item)
        with self._changed:
            while self._full and self._closed is None:
                self._changed.wait()
            if self._closed is not None:
                raise self._closed
            if self._ended:
                raise RpcError(StatusCode.FAILED_PRECONDITION, "sending has ended")
            self._items.append(item)
            self._size += size
            self._wake()

    @property
    def _full(self) -> bool:
        return len(self._items) >= _MOST_AT_ONCE or self._size >= _MOST_BYTES

    def end(self, failure: Exception | None = None) -> None:
        """Let nothing more be sent.

        Args:
            failure: What the iteration ends with, after what waits; None for its end.

        Raises:
            RuntimeError: This is a forked process.
        """
        self._thread.check()
        with self._changed:
            if not self._ended and self._closed is None:
                self._ended = True
                self._failure = failure
                with suppress(RpcError):  # closed with its channel
                    self._wake()

    def put_all(self, source: Iterable[I]) -> None:
        """Send all of a source and end, or fail as it does; stop when the call ends."""
        try:
            for item in source:
                self.put(item)
        except Exception as error:
            self.end(error)
        except BaseException as error:
            self.end(RuntimeError(f"the items ended with {type(error).__name__}"))
            raise
        else:
            self.end()

    def close(self, error: Exception) -> None:
        """Let whoever sends get an error from now on; drop what was not sent."""
        with self._changed:
            if self._closed is None:
                self._closed = error
                self._items.clear()
                self._changed.notify_all()

    def _wake(self) -> None:
        asleep, self._asleep = self._asleep, None
        if asleep is not None:
            self._thread.call_soon(partial(_wake, asleep))

    # The loop calls this.

    async def __anext__(self) -> I:
        for item in self._batch:
            return item
        while True:
            with self._changed:
                if self._items:
                    batch, self._items = self._items, deque()
                    self._size = 0
                    self._changed.notify_all()
                    self._batch = iter(batch)
                    return next(self._batch)
                if self._failure is not None:
                    raise self._failure
                if self._ended or self._closed is not None:
                    raise StopAsyncIteration
                asleep = asyncio.get_running_loop().create_future()
                self._asleep = asleep
            await asleep


def _wake(asleep: asyncio.Future[None]) -> None:
    if not asleep.done():
        asleep.set_result(None)


class Receiving(Generic[R]):
    """Items from the loop, for threads to iterate.  Each item goes to one thread.

    A batch is fetched while the one before it is worked off.

    Attributes:
        stream: The stream, once it has begun.  The loop's, but for its trailers.
    """

    def __init__(
        self, thread: LoopThread[Any], sending: Sending[Any] | None = None
    ) -> None:
        """Have nothing yet.

        Args:
            thread: Where the loop is.
            sending: The other half, which ends with this one.
        """
        self.stream: ServerStream[R] | None = None
        self._thread = thread
        self._sending = sending
        self._changed = threading.Condition()
        # With the lock, the loop puts a batch here, and a thread takes it.
        self._batch: list[R] | None = None
        self._items: Iterator[R] = iter(())
        self._end: Exception | None = None
        self._over = False
        self._task: asyncio.Task[None] | None = None
        self._taken = asyncio.Event()

    def start(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin to receive.

        Args:
            run: Runs the call on the loop; it uses `fetch_all`.

        Raises:
            RpcError: CANCELLED; the channel is closed.
            RuntimeError: This is a forked process.
        """
        self._thread.call_soon(lambda: self._begin(run))

    def take(self) -> R:
        """Return the next item; wait for it.

        Raises:
            StopIteration: The stream has ended with status OK.
            Exception: What it ended with otherwise.
            RuntimeError: This is a forked process.
        """
        self._thread.check()
        with self._changed:
            while True:
                for item in self._items:
                    return item
                if self._batch is not None:
                    self._items, self._batch = iter(self._batch), None
                    self._thread.call_soon_if_open(self._taken.set)
                elif self._over:
                    raise self._end or StopIteration
                else:
                    self._changed.wait()

    def wait_begun(self) -> ServerStream[R]:
        """Wait until the call has begun.

        Raises:
            Exception: It never did, because of this.
            RuntimeError: This is a forked process.
        """
        self._thread.check()
        with self._changed:
            while self.stream is None and not self._over:
                self._changed.wait()
            if self.stream is None:
                raise self._end or channel_closed()
            return self.stream

    def cancel(self) -> None:
        """Give the call up, unless it has ended.  Finalizers may call this."""
        if not self._over:
            self._thread.call_soon_if_open(self._cancel)

    # What follows runs on the loop.

    def _begin(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._task = self._thread.spawn(self._run(run))
        # A task that is cancelled before it has begun runs nothing at all.
        self._task.add_done_callback(lambda _: self._finish(channel_closed()))

    async def _run(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await run()
        except Exception as error:
            self._finish(error)
        else:
            self._finish(None)

    def _finish(self, end: Exception | None) -> None:
        with self._changed:
            if self._over:
                return
            self._over = True
            self._end = end
            self._changed.notify_all()
        if self._sending is not None:
            text = "answered before all of it was sent"
            self._sending.close(end or RpcError(StatusCode.CANCELLED, text))

    def _cancel(self) -> None:
        if self._over:
            return
        with self._changed:
            self._batch = None
            self._items = iter(())
        self._finish(RpcError(StatusCode.CANCELLED, "the call was cancelled"))
        if self._task is not None:
            self._task.cancel()

    async def fetch_all(self, stream: ServerStream[R]) -> None:
        """Fetch what a stream brings.

        Raises:
            Exception: What it ends with, unless that is status OK.
        """
        with self._changed:
            self.stream = stream
            self._changed.notify_all()
        batch: list[R] = []
        try:
            while True:
                batch.append(await anext(stream))
                while stream.waiting and len(batch) < _MOST_AT_ONCE:
                    batch.append(await anext(stream))
                self._taken.clear()
                self._hand_over(batch)
                batch = []
                await self._taken.wait()
        except StopAsyncIteration:
            pass
        finally:
            # Nobody needs to wait until the last is taken.
            self._hand_over(batch)

    def _hand_over(self, batch: list[R]) -> None:
        if batch and not self._over:
            with self._changed:
                self._batch = batch
                self._changed.notify_all()
