"""Signatures: what parameters may be, and how they arrive."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from signetrpc.rpc._schema import Default, NamedType, Parameter, Scalar, ScalarType
from signetrpc.rpc._signatures import Signature, read_signature
from signetrpc.rpc._types import TypeReader
from signetrpc.rpc.errors import SchemaError

if TYPE_CHECKING:
    from fractions import Fraction

INT = ScalarType(scalar=Scalar.INT)


class Color(enum.Enum):
    RED = "red"


class Service:
    class Nested(msgspec.Struct):
        x: int

    def good(self, a: int, b: int = 5, *, c: Color = Color.RED, d: Nested) -> None: ...

    def itself(self, a: Service) -> None: ...

    def no_type(self, a) -> None: ...  # type: ignore[no-untyped-def]  # pyright: ignore

    def no_result(self, a: int): ...  # type: ignore[no-untyped-def]  # pyright: ignore

    def stars(self, *values: int) -> None: ...

    def two_stars(self, **values: int) -> None: ...

    def reserved(self, timeout: float) -> None: ...

    def hidden(self, _a: int) -> None: ...

    def unknown(self, a: int, b: list[Fraction]) -> None: ...

    def unknown_result(self) -> Fraction:
        raise AssertionError("never called")

    def wrong(self, a: object) -> None: ...

    def wrong_result(self) -> Any: ...

    def broken(self, a: "int +") -> None: ...  # type: ignore  # noqa: F722, UP037  # pyright: ignore

    def unbroken(self, a: int.nothing) -> None: ...  # type: ignore  # pyright: ignore

    def mutable(self, a: list[int] = []) -> None: ...  # noqa: B006

    def mismatch(self, a: str = None) -> None: ...  # type: ignore  # noqa: RUF013  # pyright: ignore

    def stream(self) -> AsyncIterator:  # type: ignore[type-arg]
        raise AssertionError("never called")

    def selfless() -> None: ...  # type: ignore  # pyright: ignore

    def star_self(*self: int) -> None: ...  # pyright: ignore


def read(name: str) -> Signature:
    function = cast("FunctionType", getattr(Service, name))
    return read_signature(function, Service, f"s.{name}", TypeReader())


def test_parameters() -> None:
    signature = read("good")
    assert signature.parameters == (
        Parameter(name="a", type=INT),
        Parameter(name="b", type=INT, default=Default(value=5)),
        Parameter(name="c", type=NamedType(name="Color"), default=Default(value="red")),
        Parameter(name="d", type=NamedType(name="Nested")),
    )
    assert signature.keyword_only == ("c", "d")
    assert signature.result == ScalarType(scalar=Scalar.NONE)


def test_arguments_keep_the_methods_own_types_and_order() -> None:
    decoded: Any = msgspec.msgpack.decode(
        b"\x82\xa1a\x01\xa1d\x81\xa1x\x02", type=read("good").arguments
    )
    assert msgspec.structs.astuple(decoded) == (1, 5, Color.RED, Service.Nested(2))
    with pytest.raises(msgspec.ValidationError, match="unknown field `z`"):
        msgspec.msgpack.decode(b"\x81\xa1z\x01", type=read("good").arguments)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("itself", 's.itself: parameter "a": type Service cannot travel'),
        ("no_type", 's.no_type: parameter "a" has no type (hint: write a: str)'),
        ("no_result", "s.no_result: the result has no type (hint: write -> None"),
        ("stars", 's.stars: parameter "values": *values cannot travel (hint: use a'),
        ("two_stars", 'parameter "values": **values cannot travel (hint: use a dict)'),
        ("reserved", 's.reserved: parameter "timeout": the name is reserved for an'),
        ("hidden", 's.hidden: parameter "_a": the name cannot travel'),
        ("unknown", "s.unknown: parameter \"b\": cannot resolve type 'Fraction'"),
        ("unknown_result", "s.unknown_result: result: cannot resolve type 'Fraction'"),
        ("wrong", 's.wrong: parameter "a": type object cannot travel'),
        ("wrong_result", "s.wrong_result: result: type Any cannot travel"),
        ("broken", "s.broken: an annotation cannot be resolved: Forward reference"),
        ("unbroken", "s.unbroken: an annotation cannot be resolved: type object 'int'"),
        ("mutable", 's.mutable: parameter "a": a list is shared between calls'),
        ("mismatch", 's.mismatch: parameter "a": the default, of type NoneType, is'),
        ("stream", "s.stream: result: AsyncIterator does not say of what"),
        ("selfless", "s.selfless: the first parameter must be self"),
        ("star_self", "s.star_self: the first parameter must be self"),
    ],
)
def test_refusals(name: str, says: str) -> None:
    with pytest.raises(SchemaError) as caught:
        read(name)
    assert says in str(caught.value).replace("collections.abc.", "")
