"""The caller's stream as a handler sees it, and items that are raised to a level."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar, cast

import anyio.from_thread

from signetrpc.transport import Protection

from ._inbox import Inbox

__all__ = [
    "AsyncItems",
    "FetchedItems",
    "ThreadItems",
    "from_thread",
    "lowered",
    "raised",
]

T = TypeVar("T")

_MOST_AT_ONCE: Final = 256


class AsyncItems(AsyncIterator[T]):
    """The items of a stream, decoded when they are taken."""

    __slots__ = ("_decode", "_inbox")

    def __init__(self, inbox: Inbox, decode: Callable[[bytes], T]) -> None:
        self._inbox = inbox
        self._decode = decode

    async def __anext__(self) -> T:
        inbox = self._inbox
        # Not by way of a coroutine where nothing has to be waited for.
        return self._decode(inbox.pop() if inbox.waiting else await inbox.take())


class ThreadItems(Iterator[T]):
    """The items of a stream, for a worker thread, which fetches what is there."""

    def __init__(self, inbox: Inbox, decode: Callable[[bytes], T]) -> None:
        self._inbox = inbox
        self._decode = decode
        self._fetched: Iterator[bytes] = iter(())

    def __next__(self) -> T:
        body = next(self._fetched, None)
        if body is None:
            self._fetched = iter(anyio.from_thread.run(self._fetch))
            body = next(self._fetched)
        return self._decode(body)

    async def _fetch(self) -> list[bytes]:
        try:
            bodies = [await self._inbox.take()]
        except StopAsyncIteration:
            return []
        while self._inbox.waiting and len(bodies) < _MOST_AT_ONCE:
            bodies.append(await self._inbox.take())
        return bodies


class FetchedItems(Iterator[T]):
    """An asynchronous iterator's items, for a worker thread, one at a time."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items

    def __next__(self) -> T:
        found = anyio.from_thread.run(self._fetch)
        if not found:
            raise StopIteration
        return found[0]

    async def _fetch(self) -> list[T]:
        async for item in self._items:
            return [item]
        return []


async def from_thread(
    items: Iterator[T], run: Callable[..., Awaitable[Any]]
) -> AsyncIterator[T]:
    """Give an iterator's items, each fetched in a worker thread.

    Args:
        items: What may block.
        run: Runs a function in a thread and returns what it returns.
    """
    nothing = object()
    try:
        while (item := await run(next, items, nothing)) is not nothing:
            yield item
    finally:
        if (close := getattr(items, "close", None)) is not None:
            await run(close)


class _Raised:
    __slots__ = ("level", "value")

    def __init__(self, value: Any, level: Protection) -> None:
        self.value = value
        self.level = level


def raised(item: T, protection: Protection) -> T:
    """Send this one item of a stream at a higher level than the rest.

        yield raised(entry, Protection.SEAL)

    Args:
        item: What a handler yields, or what a client sends.
        protection: A level.  Nothing is ever sent below the level of its call.

    Returns:
        Something to yield or send in the item's place, at once: it is not the item.
    """
    value, level = lowered(item)
    if level is not None and level > protection:
        protection = level
    return cast("T", _Raised(value, protection))


def lowered(item: Any) -> tuple[Any, Protection | None]:
    """Return an item, and the level that it was raised to.

    For interceptors that look at items: one that was raised comes as `raised` made it.

    Args:
        item: What came from a handler, or from a client.

    Returns:
        The item itself, and the level; None if it was not raised.
    """
    if type(item) is _Raised:
        return item.value, item.level
    return item, None
