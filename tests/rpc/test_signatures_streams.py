"""Signatures of streams: what is a stream, whose, and of what."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)
from types import FunctionType
from typing import Any, cast

import msgspec
import pytest

from signetrpc.rpc._schema import CallKind, Scalar, ScalarType
from signetrpc.rpc._signatures import Signature, StreamParameter, read_signature
from signetrpc.rpc._types import TypeReader
from signetrpc.rpc.errors import SchemaError

TEXT = ScalarType(scalar=Scalar.STRING)


class Service:
    def value(self, a: list[int]) -> list[int]: ...  # type: ignore[empty-body]

    async def gives(self, a: int) -> AsyncIterator[str]:
        yield ""

    async def generates(self) -> AsyncGenerator[str, None]:
        yield ""

    def iterable(self) -> AsyncIterable[str]: ...  # type: ignore[empty-body]

    def gives_plainly(self) -> Iterator[str]:
        yield ""

    def generates_plainly(self) -> Generator[str, None, None]:
        yield ""

    def plain_iterable(self) -> Iterable[str]: ...  # type: ignore[empty-body]

    async def takes(self, a: int, items: AsyncIterator[str], b: int = 5) -> int:
        return 0

    def takes_plainly(self, items: Iterator[str], /, a: int) -> int:
        return 0

    async def by_name(self, a: int, *, items: AsyncIterable[str], b: int) -> int:
        return 0

    async def both(self, items: AsyncIterator[int]) -> AsyncIterator[str]:
        yield ""

    def two(self, one: Iterator[int], two: Iterator[int]) -> None: ...

    def optional(self, items: Iterator[int] = iter(())) -> None: ...  # noqa: B008

    def bare(self, items: Iterator) -> None: ...  # type: ignore[type-arg]  # pyright: ignore

    def wrong(self, items: Iterator[object]) -> None: ...

    def gives_wrong(self) -> Iterator[object]: ...  # type: ignore[empty-body]

    def nested(self, items: list[Iterator[int]]) -> None: ...

    def nested_more(self, items: Iterator[Iterator[int]]) -> None: ...

    def maybe(self, items: Iterator[int] | None) -> None: ...


def read(name: str) -> Signature:
    function = cast("FunctionType", getattr(Service, name))
    return read_signature(function, Service, f"s.{name}", TypeReader())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("value", CallKind.UNARY),
        ("gives", CallKind.SERVER_STREAM),
        ("generates", CallKind.SERVER_STREAM),
        ("iterable", CallKind.SERVER_STREAM),
        ("gives_plainly", CallKind.SERVER_STREAM),
        ("generates_plainly", CallKind.SERVER_STREAM),
        ("plain_iterable", CallKind.SERVER_STREAM),
        ("takes", CallKind.CLIENT_STREAM),
        ("takes_plainly", CallKind.CLIENT_STREAM),
        ("by_name", CallKind.CLIENT_STREAM),
        ("both", CallKind.BIDIRECTIONAL),
    ],
)
def test_kinds(name: str, kind: CallKind) -> None:
    assert read(name).kind is kind


@pytest.mark.parametrize(
    ("name", "gives"),
    [
        ("value", "value"),
        ("gives", "async items"),
        ("generates", "async items"),
        ("iterable", "async items"),
        ("gives_plainly", "items"),
        ("generates_plainly", "items"),
        ("plain_iterable", "items"),
    ],
)
def test_what_a_method_gives(name: str, gives: str) -> None:
    signature = read(name)
    assert signature.gives == gives
    if gives != "value":
        assert signature.result == TEXT and signature.result_type is str


@pytest.mark.parametrize(
    ("name", "stream_name", "index", "asynchronous"),
    [
        ("takes", "items", 1, True),
        ("takes_plainly", "items", 0, False),
        ("by_name", "items", None, True),
    ],
)
def test_the_callers_stream_is_no_argument(
    name: str, stream_name: str, index: int | None, asynchronous: bool
) -> None:
    signature = read(name)
    assert signature.stream == StreamParameter(
        name=stream_name, index=index, asynchronous=asynchronous, item=str, node=TEXT
    )
    names = [each.name for each in signature.parameters]
    assert stream_name not in names and "a" in names
    assert stream_name not in signature.keyword_only
    fields: Any = msgspec.structs.fields(signature.arguments)
    assert [each.name for each in fields] == names


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("two", "s.two: parameter \"two\" is a second stream beside 'one'"),
        ("optional", 's.optional: parameter "items" is a stream, which cannot have a'),
        ("bare", 's.bare: parameter "items": Iterator does not say of what'),
        ("wrong", 's.wrong: parameter "items": type object cannot travel'),
        ("gives_wrong", "s.gives_wrong: result: type object cannot travel"),
        ("nested", 's.nested: parameter "items": type Iterator[int] cannot travel'),
        ("nested_more", 's.nested_more: parameter "items": type Iterator[int] cannot'),
        ("maybe", 's.maybe: parameter "items": type Iterator[int] cannot travel'),
    ],
)
def test_refusals(name: str, says: str) -> None:
    with pytest.raises(SchemaError) as caught:
        read(name)
    assert says in str(caught.value).replace("collections.abc.", "")
