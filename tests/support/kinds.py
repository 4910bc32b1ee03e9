"""A service with a handler of each kind and each style, and calls to them by name."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Final

from signetrpc.rpc import (
    BidirectionalStream,
    Channel,
    Protection,
    ServerStream,
    current_call,
    method,
    service,
)
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._methods import Method
from signetrpc.rpc._schema import CallKind

__all__ = [
    "CHANGED",
    "EACH",
    "GIVING",
    "KINDS",
    "ONE",
    "RESULTS",
    "TAKING",
    "Numbers",
    "Shown",
    "call",
    "of",
]

ONE: Final[tuple[str, ...]] = ("twice", "twice_in_thread", "twice_inline")
TAKING: Final[tuple[str, ...]] = ("total", "total_in_thread")
GIVING: Final[tuple[str, ...]] = ("count", "count_in_thread")
EACH: Final[tuple[str, ...]] = ("scaled", "scaled_in_thread")
KINDS: Final[tuple[str, ...]] = (*ONE, *TAKING, *GIVING, *EACH)
"""All methods of `Numbers`: handlers of every style, of every kind of call."""


def _for(names: Iterable[str], given: list[int]) -> dict[str, list[int]]:
    return dict.fromkeys(names, given)


RESULTS: Final[dict[str, list[int]]] = (
    _for(ONE, [4]) | _for(TAKING, [12]) | _for(GIVING, [0, 1]) | _for(EACH, [2, 4, 6])
)
"""What the methods of `Numbers` give with nothing around them."""
CHANGED: Final[dict[str, list[int]]] = (
    _for(ONE, [60])
    | _for(TAKING, [360])
    | _for(GIVING, [0, 10, 20])
    | _for(EACH, [60, 120, 180])
)
"""What they give when `Changing` is around them."""


class Shown:
    """What a service saw."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.metadata: list[tuple[str, str | bytes]] = []


@service("test.Numbers", protection=Protection.SIGN)
class Numbers:
    """Calls that are of one argument, `number`, and of numbers each way.

    Called with 2, and 1, 2, 3 where they take a stream, they give 4, 12 (their sum
    times 2), 0 and 1, or 2, 4 and 6.
    """

    def __init__(self, shown: Shown | None = None) -> None:
        self.shown = shown or Shown()

    def _see(self) -> None:
        self.shown.events.append("handler")
        call = current_call()
        self.shown.metadata = list(call.metadata)
        call.set_trailers({"from": "handler"})

    @method
    async def twice(self, number: int) -> int:
        self._see()
        return number * 2

    @method
    def twice_in_thread(self, number: int) -> int:
        self._see()
        return number * 2

    @method(inline=True)
    def twice_inline(self, number: int) -> int:
        self._see()
        return number * 2

    @method
    async def total(self, number: int, numbers: AsyncIterable[int]) -> int:
        self._see()
        return number * sum([each async for each in numbers])

    @method
    def total_in_thread(self, number: int, numbers: Iterable[int]) -> int:
        self._see()
        return number * sum(numbers)

    @method
    async def count(self, number: int) -> AsyncIterator[int]:
        self._see()
        for each in range(number):
            yield each

    @method
    def count_in_thread(self, number: int) -> Iterator[int]:
        self._see()
        yield from range(number)

    @method
    async def scaled(
        self, number: int, numbers: AsyncIterable[int]
    ) -> AsyncIterator[int]:
        self._see()
        async for each in numbers:
            yield each * number

    @method
    def scaled_in_thread(self, number: int, numbers: Iterable[int]) -> Iterator[int]:
        self._see()
        for each in numbers:
            yield each * number


def of(name: str, served: type = Numbers) -> Method[Any, Any]:
    """Return a method of a service by its name."""
    for handler in service_definition(served).handlers.values():
        if handler.method.name == name:
            return handler.method
    raise LookupError(name)


async def call(
    channel: Channel,
    name: str,
    number: int = 2,
    *,
    served: type = Numbers,
    **options: Any,
) -> list[Any]:
    """Call a method with a number, and 1, 2, 3 where it takes a stream.

    Args:
        channel: The way to it.
        name: Its name.
        number: Its one argument.
        served: The service.
        options: As `Channel.unary` takes them.

    Returns:
        What it gave: of calls with one reply, that alone.
    """
    method: Any = of(name, served)
    arguments = method.arguments(number=number)
    kind: CallKind = method.kind
    match kind:
        case CallKind.CLIENT_STREAM:
            items = [1, 2, 3]
            return [await channel.client_stream(method, arguments, items, **options)]
        case CallKind.SERVER_STREAM:
            stream: ServerStream[Any]
            stream = channel.server_stream(method, arguments, **options)
            async with stream as given:
                return [each async for each in given]
        case CallKind.BIDIRECTIONAL:
            both: BidirectionalStream[int, Any]
            both = channel.bidirectional(method, arguments, [1, 2, 3], **options)
            async with both as given:
                return [each async for each in given]
        case CallKind.UNARY:
            return [await channel.unary(method, arguments, **options)]
