"""Annotations, layer by layer."""

import datetime
import types
import typing
from typing import Annotated, Any, ForwardRef, Literal, NewType

import msgspec
import pytest

from signetrpc.rpc._annotations import (
    NAME,
    class_of,
    refused,
    scalar_of,
    type_text,
    underlying,
)
from signetrpc.rpc._schema import Scalar

Account = NewType("Account", str)
Nested = NewType("Nested", Account)


class Text(str):
    """Looks like a str, and would arrive as one."""


class TypeAliasType:
    """Stands for what Python 3.12's `type` statement makes."""

    __value__ = int


def test_underlying() -> None:
    assert underlying(Annotated[int, msgspec.Meta(ge=0)]) is int
    assert underlying(Nested) is str
    assert underlying(Annotated[Nested, "note"]) is str
    assert underlying(TypeAliasType()) is int
    assert underlying(list[int]) == list[int]


def test_scalars() -> None:
    assert scalar_of(int) is Scalar.INT
    assert scalar_of(None) is scalar_of(type(None)) is Scalar.NONE
    assert scalar_of(Text) is None
    assert scalar_of(Annotated[int, []]) is None  # cannot be hashed
    assert class_of(Text) is Text
    assert class_of("Text") is None


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (list[int], "list[int]"),
        (typing.Optional[int], "Optional[int]"),  # noqa: UP045
        (int | None, "int | None"),
        (Any, "Any"),
        (ForwardRef("Entry"), "Entry"),
        ("Entry", "'Entry'"),
    ],
)
def test_text(annotation: object, text: str) -> None:
    assert type_text(annotation) == text


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (Any, "type Any cannot travel (hint: write the type that"),
        (object, "type object cannot travel (hint: write the type that"),
        (list, "type list cannot travel (hint: write the items' type"),
        (bytearray, "type bytearray cannot travel (hint: use bytes)"),
        (datetime.time, "type time cannot travel (hint: use datetime.timedelta"),
        (Literal["a"], "type Literal['a'] cannot travel (hint: use an Enum)"),
        (Text, "type Text cannot travel (hint: use str; subclasses do not"),
        (types.FunctionType, "type function cannot travel (hint: docs/types.md"),
        (Annotated[int, []], "(hint: docs/types.md lists the types that travel)"),
        (ForwardRef("Later"), "cannot resolve Later (hint: define it"),
    ],
)
def test_refusals_have_hints(annotation: object, says: str) -> None:
    assert says in str(refused(annotation, "here"))
    assert str(refused(annotation, "here")).startswith("here: ")


def test_names() -> None:
    for good in ("a", "Entry", "a1_b"):
        assert NAME.fullmatch(good)
    for bad in ("", "_a", "1a", "a-b", "ä", "a\n"):
        assert not NAME.fullmatch(bad)
