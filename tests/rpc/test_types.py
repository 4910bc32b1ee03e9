"""Which annotations travel, as what, and how the others are refused."""

import enum
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, NewType, TypeVar
from uuid import UUID

import msgspec
import pytest

from signetrpc.rpc._schema import (
    Default,
    EnumDefinition,
    EnumMember,
    FieldDefinition,
    ListType,
    MapType,
    NamedType,
    OptionalType,
    Scalar,
    ScalarType,
    SetType,
    StructDefinition,
    Tag,
    TupleType,
    TypeNode,
    UnionType,
    VariadicTupleType,
)
from signetrpc.rpc._types import TypeReader
from signetrpc.rpc.errors import SchemaError

T = TypeVar("T")
INT = ScalarType(scalar=Scalar.INT)
TEXT = ScalarType(scalar=Scalar.STRING)
Account = NewType("Account", str)


class Color(enum.Enum):
    """Of paint."""

    RED = "red"
    CRIMSON = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Style(enum.Flag):
    BOLD = 1


class Mixed(enum.Enum):
    A = 1
    B = "b"


class Pairs(enum.Enum):
    A = (1, 2)


class Empty(enum.Enum):
    pass


@dataclass
class Tree:
    """Grows."""

    name: str
    children: "list[Tree]" = field(default_factory=list["Tree"])
    color: Color = Color.RED


class Cat(msgspec.Struct, tag="cat"):
    name: str


class Dog(msgspec.Struct, tag="dog", tag_field="kind"):
    name: str


class Bird(msgspec.Struct, tag="bird"):
    name: str


class Row(msgspec.Struct, array_like=True):
    x: int


@dataclass
class Box(Generic[T]):
    item: T


@dataclass
class Holder:
    inner: object


@dataclass
class Lost:
    missing: "Nowhere"  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore


@dataclass
class _Hidden:
    x: int


class Text(str):
    pass


class TypeAliasType:
    """A `type` statement's alias that stands for itself, which msgspec never sees."""

    @property
    def __value__(self) -> object:
        return list[self]  # type: ignore[valid-type]  # pyright: ignore


def read(annotation: object) -> TypeNode:
    return TypeReader().read(annotation, "here")


def refusal(annotation: object) -> str:
    with pytest.raises(SchemaError) as caught:
        read(annotation)
    assert caught.value.message.startswith("here")
    return str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "scalar"),
    [
        (int, Scalar.INT),
        (float, Scalar.FLOAT),
        (str, Scalar.STRING),
        (bytes, Scalar.BYTES),
        (bool, Scalar.BOOL),
        (None, Scalar.NONE),
        (datetime, Scalar.TIMESTAMP),
        (date, Scalar.DATE),
        (timedelta, Scalar.DURATION),
        (UUID, Scalar.UUID),
        (Decimal, Scalar.DECIMAL),
        (Annotated[int, msgspec.Meta(ge=0)], Scalar.INT),
        (Account, Scalar.STRING),
    ],
)
def test_scalars(annotation: object, scalar: Scalar) -> None:
    assert read(annotation) == ScalarType(scalar=scalar)


@pytest.mark.parametrize(
    ("annotation", "node"),
    [
        (list[int], ListType(item=INT)),
        (typing.List[int], ListType(item=INT)),  # noqa: UP006
        (set[int], SetType(item=INT)),
        (frozenset[int], SetType(item=INT)),
        (tuple[int, ...], VariadicTupleType(item=INT)),
        (tuple[int, str], TupleType(items=(INT, TEXT))),
        (tuple[()], TupleType(items=())),
        (dict[str, list[int]], MapType(key=TEXT, value=ListType(item=INT))),
        (
            dict[tuple[int, str], int],
            MapType(key=TupleType(items=(INT, TEXT)), value=INT),
        ),
        (int | None, OptionalType(item=INT)),
        (typing.Optional[int], OptionalType(item=INT)),  # noqa: UP045
        (int | str, UnionType(options=(INT, TEXT))),
        (int | str | None, OptionalType(item=UnionType(options=(INT, TEXT)))),
        (
            Annotated[int | None, "a"] | str,
            OptionalType(item=UnionType(options=(INT, TEXT))),
        ),
        (
            Annotated[int | str | None, "a"] | bool,
            OptionalType(
                item=UnionType(options=(INT, TEXT, ScalarType(scalar=Scalar.BOOL)))
            ),
        ),
        (
            Annotated[int | str, "a"] | bool,
            UnionType(options=(INT, TEXT, ScalarType(scalar=Scalar.BOOL))),
        ),
        (Annotated[int, "a"] | Annotated[int, "b"], INT),
        (set[Color], SetType(item=NamedType(name="Color"))),
    ],
)
def test_compounds(annotation: object, node: TypeNode) -> None:
    assert read(annotation) == node


def test_definitions_in_order_of_mention() -> None:
    reader = TypeReader()
    assert reader.read(list[Tree], "here") == ListType(item=NamedType(name="Tree"))
    reader.read(Level, "here")
    tree = StructDefinition(
        name="Tree",
        doc="Grows.",
        fields=(
            FieldDefinition(name="name", type=TEXT),
            FieldDefinition(
                name="children",
                type=ListType(item=NamedType(name="Tree")),
                default=Default(value=()),
            ),
            FieldDefinition(
                name="color", type=NamedType(name="Color"), default=Default(value="red")
            ),
        ),
    )
    color = EnumDefinition(
        name="Color",
        doc="Of paint.",
        members=(
            EnumMember(name="RED", value="red"),
            EnumMember(name="BLUE", value="blue"),
        ),
    )
    level = EnumDefinition(name="Level", members=(EnumMember(name="LOW", value=1),))
    assert reader.definitions == (tree, color, level)


def test_tagged_unions() -> None:
    reader = TypeReader()
    assert reader.read(Cat | Bird, "here") == UnionType(
        options=(NamedType(name="Cat"), NamedType(name="Bird"))
    )
    cat = reader.definitions[0]
    assert isinstance(cat, StructDefinition)
    assert cat.tag == Tag(field="type", value="cat")


def test_mentions() -> None:
    reader = TypeReader()
    node = reader.read(dict[str, Tree], "here")
    assert reader.mentions(node, Scalar.STRING)
    assert not reader.mentions(node, Scalar.TIMESTAMP)


def test_defaults() -> None:
    reader = TypeReader()
    assert reader.default(5, INT, "here") == Default(value=5)
    assert reader.default("5", INT, "here", opaque=True) is None
    with pytest.raises(SchemaError, match="here: the default, of type str"):
        reader.default("5", INT, "here")


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (Any, "here: type Any cannot travel"),
        (object, "here: type object cannot travel"),
        (list, "type list cannot travel"),
        (Text, "type Text cannot travel (hint: use str"),
        (Callable[[], int], "type collections.abc.Callable[[], int] cannot travel"),
        (Sequence[int], "type collections.abc.Sequence[int] cannot travel"),
        (Mapping[str, int], "Mapping[str, int] cannot travel"),
        (list[Any], "type Any cannot travel"),
        (msgspec.Struct, "type Struct cannot travel"),
        (Holder, "here, field 'inner' of Holder: type object cannot travel"),
        (Style, "Style is a Flag"),
        (Mixed, "all str or all int"),
        (Empty, "must have members"),
        (Pairs, "member A of enum Pairs cannot travel"),
        (Row, "Row is array_like"),
        (Box[int], "Box[int] cannot travel"),
        (Box, "type Box is generic"),
        (_Hidden, "type _Hidden has a name that cannot travel"),
        (Lost, "type Lost: cannot resolve 'Nowhere'"),
        (set[list[int]], "type list[int] cannot be an item of a set"),
        (set[Tree], "type Tree cannot be an item of a set"),
        (dict[frozenset[int], int], "type frozenset[int] cannot be a key of a map"),
        (set[tuple[int, list[int]]], "cannot be an item of a set"),
        (str | bytes, "cannot travel (hint: Type unions may not contain more than one"),
        (list[int] | set[int], "more than one array-like"),
        (Cat | Tree, "type"),
        (Cat | Dog, "tag_field"),
        ("Later", "cannot resolve 'Later'"),
        (typing.ForwardRef("Later"), "cannot resolve Later"),
        (TypeAliasType(), "is an alias without an end"),
    ],
)
def test_refusals(annotation: object, says: str) -> None:
    assert says in refusal(annotation)


def test_two_types_of_one_name() -> None:
    other = msgspec.defstruct("Tree", [("name", str)])
    reader = TypeReader()
    reader.read(Tree, "here")
    with pytest.raises(SchemaError, match="two types are called Tree: "):
        reader.read(other, "here")
