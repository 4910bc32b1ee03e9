"""The half of a stream that threads send, up to the event loop that has the call.

What crosses from one to the other costs far more than an item does, so that items
cross in batches: as many as there are when the loop looks.  A thread waits while much
waits to cross, so the flow control of the call is the thread's too.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar

from ._blocking_loop import LoopThread
from ._status import StatusCode
from .errors import RpcError

__all__ = ["Sending", "feed"]

I = TypeVar("I")  # noqa: E741 - an item of the caller's

_MOST_AT_ONCE: Final = 256
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


def feed(sending: Sending[I], source: Iterable[I]) -> None:
    """Send a source's items from a thread of their own.

    It is the caller's code and may take its time, or all the time there is: the call's
    end does not wait for it.
    """
    threading.Thread(
        target=copy_context().run,
        args=(sending.put_all, source),
        name="signet items",
        daemon=True,
    ).start()
