"""Fields of dataclasses, Structs and TypedDicts, found alike."""

from dataclasses import InitVar, dataclass, field
from typing import ClassVar, NotRequired, Required, TypedDict

import msgspec
import pytest

from signetrpc.rpc._fields import FoundField, doc_of, found_fields, is_struct, tag_of
from signetrpc.rpc._schema import Tag
from signetrpc.rpc.errors import SchemaError


def number() -> int:
    return 7


@dataclass
class Base:
    """Of the bank.

    Indented.
    """

    x: int
    kind: ClassVar[str] = "base"


@dataclass
class Entry(Base):
    y: "int | None" = None
    z: list[int] = field(default_factory=list[int])
    made: int = field(default_factory=number)


@dataclass
class Derived:
    x: int = field(init=False)


@dataclass
class WithInitVar:
    x: InitVar[int]


class Row(msgspec.Struct, rename="camel"):
    first_name: str
    age: int = 3
    tags: set[str] = set()
    nick: str | msgspec.UnsetType = msgspec.UNSET


class Tagged(msgspec.Struct, tag=7, tag_field="kind"):
    pass


class Array(msgspec.Struct, array_like=True):
    pass


class Loose(TypedDict, total=False):
    a: int
    b: Required["int"]


class Tight(TypedDict):
    a: "NotRequired[int]"
    b: int


def found(cls: type[object]) -> list[FoundField]:
    return list(found_fields(cls, "here"))


def test_dataclasses() -> None:
    assert found(Entry) == [
        FoundField(name="x", type=int),
        FoundField(name="y", type=int | None, default=None),
        FoundField(name="z", type=list[int], default=list[int]()),
        FoundField(name="made", type=int),
    ]
    assert [each.has_default for each in found(Entry)] == [False, True, True, False]


def test_structs_have_their_wire_names() -> None:
    assert found(Row) == [
        FoundField(name="firstName", type=str),
        FoundField(name="age", type=int, default=3),
        FoundField(name="tags", type=set[str], default=set[str]()),
        FoundField(name="nick", type=str, default=msgspec.UNSET, omittable=True),
    ]


@pytest.mark.parametrize("cls", [Loose, Tight])
def test_typed_dicts(cls: type[object]) -> None:
    assert found(cls) == [
        FoundField(name="a", type=int, omittable=True),
        FoundField(name="b", type=int),
    ]


def test_fields_that_cannot_travel() -> None:
    with pytest.raises(SchemaError, match="field 'x' of Derived: a field with init="):
        found(Derived)
    with pytest.raises(
        SchemaError, match="field 'x' of WithInitVar: an InitVar is no field"
    ):
        found(WithInitVar)


def test_kinds() -> None:
    assert all(is_struct(cls) for cls in (Base, Row, Loose, Tight))
    assert not any(is_struct(cls) for cls in (int, dict, msgspec.Struct))


def test_tags() -> None:
    assert tag_of(Base, "here") is tag_of(Row, "here") is None
    assert tag_of(Tagged, "here") == Tag(field="kind", value=7)
    with pytest.raises(SchemaError, match="here: type Array is array_like"):
        tag_of(Array, "here")


def test_docs() -> None:
    assert doc_of(Base) == "Of the bank.\n\nIndented."
    assert doc_of(Entry) == ""
    assert doc_of(Tagged) == ""
