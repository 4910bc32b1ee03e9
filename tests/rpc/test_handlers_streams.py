"""Handlers of streams: their style, and how the stream is passed."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from signetrpc.rpc import Impersonation, Protection
from signetrpc.rpc._decorators import method, service, service_definition
from signetrpc.rpc._extract import extract
from signetrpc.rpc._handlers import HandlerStyle
from signetrpc.rpc.errors import SchemaError
from tests.support.stepping import finished


@service("test.Streams")
class Streams:
    @method
    async def gives(self, a: int) -> AsyncIterator[int]:
        yield a

    @method
    def gives_plainly(self, a: int) -> Iterator[int]:
        yield a

    @method
    def gives_later(self, a: int) -> AsyncIterator[int]:
        return self.gives(a)

    @method
    async def takes(self, a: int, items: AsyncIterator[int], b: int = 5) -> list[int]:
        return [a, *[each async for each in items], b]

    @method
    def takes_first(self, items: Iterator[int], /, a: int) -> list[int]:
        return [*items, a]

    @method
    def by_name(self, a: int, *, b: int, items: Iterator[int], c: int = 7) -> list[int]:
        return [a, b, *items, c]

    @method
    def alone(self, items: Iterator[int]) -> list[int]:
        return list(items)

    @method
    async def both(self, items: AsyncIterator[int], a: int) -> AsyncIterator[int]:
        async for each in items:
            yield each * a

    @method
    def both_plainly(self, *, items: Iterator[int], a: int) -> Iterator[int]:
        for each in items:
            yield each * a


def handler(name: str) -> Any:
    return service_definition(Streams).handlers[f"test.Streams/{name}"]


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("gives", HandlerStyle.ASYNC_ITEMS),
        ("gives_plainly", HandlerStyle.THREAD_ITEMS),
        ("gives_later", HandlerStyle.ASYNC_ITEMS),
        ("takes", HandlerStyle.ASYNC),
        ("takes_first", HandlerStyle.THREAD),
        ("both", HandlerStyle.ASYNC_ITEMS),
        ("both_plainly", HandlerStyle.THREAD_ITEMS),
    ],
)
def test_styles(name: str, style: HandlerStyle) -> None:
    assert handler(name).style is style
    threads = {HandlerStyle.THREAD, HandlerStyle.THREAD_ITEMS}
    assert style.in_thread == (style in threads)


def called(name: str, body: bytes, items: object) -> Any:
    found = handler(name)
    return found.bind(Streams())(found.method.decode_arguments(body), items)


def test_the_stream_is_passed_at_its_place() -> None:
    body = b"\x81\xa1a\x01"
    assert called("takes_first", body, iter([8, 9])) == [8, 9, 1]
    assert called("alone", b"\x80", iter([8, 9])) == [8, 9]
    two = b"\x82\xa1a\x01\xa1b\x02"
    assert called("by_name", two, iter([8, 9])) == [1, 2, 8, 9, 7]
    assert list(called("both_plainly", body, iter([8, 9]))) == [8, 9]
    assert finished(called("takes", body, later(8, 9))) == [1, 8, 9, 5]


async def later(*numbers: int) -> AsyncIterator[int]:
    for number in numbers:
        yield number


def test_a_schema_says_where_the_stream_stands() -> None:
    methods = {each.name: each for each in service_definition(Streams).schema.methods}
    places = {
        name: (each.stream.name, each.stream_index)
        for name, each in methods.items()
        if each.stream is not None
    }
    assert places == {
        "takes": ("items", 1),
        "takes_first": ("items", 0),
        "by_name": ("items", 3),
        "alone": ("items", 0),
        "both": ("items", 0),
        "both_plainly": ("items", 1),
    }


class OfTheOtherKind:
    @method
    async def work(self, items: Iterator[int]) -> int:
        return sum(items)


class OfTheOtherKindToo:
    @method
    def work(self, items: AsyncIterator[int]) -> int:
        return 0


class GivesOther:
    @method
    async def work(self, items: Iterator[int]) -> AsyncIterator[int]:
        for each in items:
            yield each


class PlainGenerator:
    @method
    def work(self) -> AsyncIterator[int]:  # type: ignore[misc]
        yield 5  # pyright: ignore


class AsyncGeneratorForPlain:
    @method
    async def work(self) -> Iterator[int]:  # type: ignore[misc]
        yield 5  # pyright: ignore


class AsyncOneValue:
    @method
    async def work(self) -> int:  # type: ignore[misc]
        yield 5  # pyright: ignore


class InlineStream:
    @method(inline=True)
    def work(self) -> Iterator[int]:
        yield 5


class InlineTaking:
    @method(inline=True)
    def work(self, items: Iterator[int]) -> None: ...


@pytest.mark.parametrize(
    ("cls", "says"),
    [
        (OfTheOtherKind, "is of the other kind than the method (hint: write Async"),
        (OfTheOtherKindToo, "is of the other kind than the method (hint: write Iter"),
        (GivesOther, 's.work: parameter "items" is of the other kind'),
        (PlainGenerator, "s.work: a plain generator is no AsyncIterator"),
        (AsyncGeneratorForPlain, "s.work: an async generator is no Iterator"),
        (AsyncOneValue, "hint: write -> AsyncIterator[...] with what it yields"),
        (InlineStream, "s.work: inline is for a plain def, not for a stream"),
        (InlineTaking, "s.work: inline is for a plain def, not for a stream"),
    ],
)
def test_refusals(cls: type[object], says: str) -> None:
    with pytest.raises(SchemaError) as caught:
        extract(cls, "s", Protection.SEAL, Impersonation.ALLOWED)
    assert says in str(caught.value)
