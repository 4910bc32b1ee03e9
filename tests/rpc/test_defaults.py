"""Defaults in their plain form."""

import enum
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from signetrpc.rpc._defaults import NotPlain, plain_default
from signetrpc.rpc._schema import (
    ListType,
    MapType,
    NamedType,
    OptionalType,
    PlainValue,
    Scalar,
    ScalarType,
    SetType,
    TupleType,
    TypeNode,
    UnionType,
    VariadicTupleType,
)


class Color(enum.Enum):
    RED = "red"


class Point:
    """Stands for any struct."""


OWNERS: dict[str, type[object]] = {"Color": Color, "Point": Point}
INT = ScalarType(scalar=Scalar.INT)
TEXT = ScalarType(scalar=Scalar.STRING)


def scalar(kind: Scalar) -> ScalarType:
    return ScalarType(scalar=kind)


@pytest.mark.parametrize(
    ("value", "node", "plain"),
    [
        (5, INT, 5),
        (5, scalar(Scalar.FLOAT), 5.0),
        (2.5, scalar(Scalar.FLOAT), 2.5),
        ("a", TEXT, "a"),
        (b"a", scalar(Scalar.BYTES), b"a"),
        (True, scalar(Scalar.BOOL), True),
        (None, scalar(Scalar.NONE), None),
        (
            datetime(2026, 1, 2, tzinfo=UTC),
            scalar(Scalar.TIMESTAMP),
            "2026-01-02T00:00:00+00:00",
        ),
        (date(2026, 1, 2), scalar(Scalar.DATE), "2026-01-02"),
        (timedelta(days=1, seconds=2), scalar(Scalar.DURATION), "P1DT2S"),
        (UUID(int=5), scalar(Scalar.UUID), "00000000-0000-0000-0000-000000000005"),
        (Decimal("1.50"), scalar(Scalar.DECIMAL), "1.50"),
        (None, OptionalType(item=INT), None),
        (5, OptionalType(item=INT), 5),
        ("a", UnionType(options=(INT, TEXT)), "a"),
        ((1, 2), VariadicTupleType(item=INT), (1, 2)),
        ((1, "a"), TupleType(items=(INT, TEXT)), (1, "a")),
        (Color.RED, NamedType(name="Color"), "red"),
        ([], ListType(item=INT), ()),
        (set[int](), SetType(item=INT), ()),
        ({}, MapType(key=INT, value=INT), ()),
    ],
)
def test_plain(value: object, node: TypeNode, plain: PlainValue) -> None:
    found = plain_default(value, node, OWNERS)
    assert (found, type(found)) == (plain, type(plain))


@pytest.mark.parametrize(
    ("value", "node", "says"),
    [
        (None, TEXT, "of type NoneType, is not of the declared type"),
        (True, INT, "of type bool, is not of the declared type"),
        (datetime(2026, 1, 2), scalar(Scalar.DATE), "of type datetime"),
        (datetime(2026, 1, 2), scalar(Scalar.TIMESTAMP), "without a time zone"),
        (2**64, INT, "outside -2\\^63 to 2\\^64-1"),
        (b"", UnionType(options=(INT, TEXT)), "of type bytes"),
        ((1,), TupleType(items=(INT, TEXT)), "of type tuple"),
        ((1, "a"), VariadicTupleType(item=INT), "of type str"),
        ([1], VariadicTupleType(item=INT), "of type list"),
        ("red", NamedType(name="Color"), "of type str"),
        (Point(), NamedType(name="Point"), "type Point cannot be written down"),
        ([1], ListType(item=INT), "of type list"),
    ],
)
def test_not_plain(value: object, node: TypeNode, says: str) -> None:
    with pytest.raises(NotPlain, match=says):
        plain_default(value, node, OWNERS)
