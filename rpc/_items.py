"""The caller's stream as a handler sees it, and items that are raised to a level."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, Generic, TypeVar, cast

import anyio.from_thread

from signetrpc.transport import Protection

from ._inbox import Inbox

__all__ = ["AsyncItems", "ThreadItems", "lowered", "raised"]

T = TypeVar("T")

_MOST_AT_ONCE: Final = 256


class AsyncItems(AsyncIterator[T]):
    """The items of a stream, decoded when they are taken."""

    __slots__ = ("_decode", "_take")

    def __init__(self, inbox: Inbox, decode: Callable[[bytes], T]) -> None:
        self._take = inbox.take
        self._decode = decode

    async def __anext__(self) -> T:
        return self._decode(await self._take())


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


class _Raised(Generic[T]):
    __slots__ = ("level", "value")

    def __init__(self, value: T, level: Protection) -> None:
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
    return cast("T", _Raised(item, protection))


def lowered(item: Any) -> tuple[Any, Protection | None]:
    """Return an item, and the level that it was raised to, if it was."""
    if type(item) is _Raised:
        return item.value, item.level
    return item, None
