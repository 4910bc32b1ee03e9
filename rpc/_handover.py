"""Items on their way from one task to another, a few at a time."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeVar

import anyio

from ._status import StatusCode
from .errors import RpcError

__all__ = ["Handover", "Sent"]

T = TypeVar("T")

_AHEAD: Final = 16


class Handover(Generic[T]):
    """A few items on their way from one task to another."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._end: Exception | None = None
        self._changed: anyio.Event | None = None

    @property
    def waiting(self) -> bool:
        """True while there is an item to be taken."""
        return bool(self._items)

    async def put(self, item: T) -> None:
        """Hand an item over; wait while many wait to be taken.

        Raises:
            Exception: What it was closed with.
        """
        while len(self._items) >= _AHEAD and self._end is None:
            await self._change()
        if self._end is not None:
            raise self._end
        self._items.append(item)
        self._wake()

    async def take(self) -> T:
        """Return the next item; wait for it.

        Raises:
            Exception: What it was closed with, and there are no more.
        """
        while not self._items:
            if self._end is not None:
                raise self._end
            await self._change()
        self._wake()
        return self._items.popleft()

    def close(self, end: Exception, *, at_once: bool = False) -> None:
        """Let nothing more be put in; `at_once`, nothing taken either."""
        if at_once:
            self._items.clear()
        if self._end is None:
            self._end = end
        self._wake()

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()


class Sent(AsyncIterator[T]):
    """What a caller sends, one item at a time, as interceptors are given it."""

    def __init__(self) -> None:
        self._items: Handover[T] = Handover()

    async def put(self, item: T) -> None:
        """Send an item.

        Raises:
            RpcError: Sending has ended, or the call has.
        """
        try:
            await self._items.put(item)
        except StopAsyncIteration:
            text = "sending has ended"
            raise RpcError(StatusCode.FAILED_PRECONDITION, text) from None

    def end(self) -> None:
        """Let nothing more be sent."""
        self._items.close(StopAsyncIteration())

    def fail(self, error: Exception) -> None:
        """Let whoever sends get an error from now on: the call has ended."""
        self._items.close(error, at_once=True)

    async def __anext__(self) -> T:
        return await self._items.take()
