"""The half of a stream that threads read, from the event loop that has the call.

Items cross in batches here, too: as many as have come when the loop looks.  One batch
is fetched while the one before it is worked off, and no more, so that a slow thread
stops its server.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, Generic, TypeVar

from ._blocking_loop import LoopThread, channel_closed
from ._blocking_sending import Sending
from ._context import CURRENT
from ._status import StatusCode
from ._streams import ServerStream
from .errors import RpcError

__all__ = ["Receiving"]

R = TypeVar("R")

_MOST_AT_ONCE: Final = 256
"""Items that cross together."""


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
        self._take_back: Callable[[], None] | None = None

    def start(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin to receive.

        Begun in a handler's thread, it ends with the call that the handler serves.

        Args:
            run: Runs the call on the loop; it uses `fetch_all`.

        Raises:
            RpcError: CANCELLED; the channel is closed.
            RuntimeError: This is a forked process.
        """
        self._thread.call_soon(lambda: self._begin(run))
        serving = CURRENT.get(None)
        if serving is not None:
            self._take_back = serving.on_cancelled(self.cancel)
            if self._over:  # so soon that nobody took it back
                self._take_back()

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
        if self._take_back is not None:
            self._take_back()
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
