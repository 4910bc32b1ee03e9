"""Default values, from Python to the plain form that a schema holds."""

import datetime
import decimal
import enum
import uuid
from collections.abc import Mapping
from typing import cast

import msgspec

from ._schema import (
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

__all__ = ["NotPlain", "plain_default"]

_PYTHON: dict[Scalar, type[object]] = {
    Scalar.INT: int,
    Scalar.FLOAT: float,
    Scalar.STRING: str,
    Scalar.BYTES: bytes,
    Scalar.BOOL: bool,
    Scalar.NONE: type(None),
    Scalar.TIMESTAMP: datetime.datetime,
    Scalar.DATE: datetime.date,
    Scalar.DURATION: datetime.timedelta,
    Scalar.UUID: uuid.UUID,
    Scalar.DECIMAL: decimal.Decimal,
}


class NotPlain(Exception):
    """A default that is of another type, or that a schema cannot hold."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def plain_default(
    value: object, node: TypeNode, owners: Mapping[str, type[object]]
) -> PlainValue:
    """Return a default in its plain form.

    Args:
        value: The Python value.
        node: The type that it must have.
        owners: The Python class of each named type.

    Raises:
        NotPlain: The value is not of the type, or is more than scalars, enum members,
            tuples and empty collections.
    """
    match node:
        case ScalarType(scalar=scalar):
            return _scalar(value, scalar)
        case OptionalType(item=item):
            return None if value is None else plain_default(value, item, owners)
        case UnionType(options=options):
            return _first_fitting(value, options, owners)
        case VariadicTupleType(item=item) if (many := _tuple(value)) is not None:
            return tuple(plain_default(each, item, owners) for each in many)
        case TupleType(items=items) if (many := _tuple(value)) is not None:
            if len(many) == len(items):
                pairs = zip(many, items, strict=True)
                return tuple(plain_default(each, item, owners) for each, item in pairs)
        case NamedType(name=name) if type(value) is owners[name]:
            if isinstance(value, enum.Enum):
                return cast("str | int", value.value)
            raise NotPlain(
                f"a default of type {name} cannot be written down",
                "use None, and make the value in the method",
            )
        case ListType() | SetType() | MapType():
            if type(value) in (list, set, frozenset, dict) and not value:
                return ()
        case _:
            pass
    raise _mismatch(value)


def _tuple(value: object) -> tuple[object, ...] | None:
    return cast("tuple[object, ...]", value) if type(value) is tuple else None


def _scalar(value: object, scalar: Scalar) -> PlainValue:
    # An exact comparison: True is no int here, a datetime no date.
    exact = type(value) is _PYTHON[scalar]
    if scalar is Scalar.FLOAT and type(value) is int:
        return float(value)
    if not exact:
        raise _mismatch(value)
    match value:
        case int() if not -(2**63) <= value < 2**64:
            raise NotPlain(f"default {value} is outside -2^63 to 2^64-1")
        case datetime.datetime() if value.utcoffset() is None:
            raise NotPlain(
                "the default is a timestamp without a time zone",
                "add tzinfo=datetime.UTC",
            )
        case datetime.datetime():
            return value.isoformat()
        case datetime.date() | datetime.timedelta() | uuid.UUID() | decimal.Decimal():
            return cast("str", msgspec.to_builtins(value))
        case _:
            return cast("PlainValue", value)


def _first_fitting(
    value: object, options: tuple[TypeNode, ...], owners: Mapping[str, type[object]]
) -> PlainValue:
    for option in options:
        try:
            return plain_default(value, option, owners)
        except NotPlain:
            continue
    raise _mismatch(value)


def _mismatch(value: object) -> NotPlain:
    return NotPlain(
        f"the default, of type {type(value).__name__}, is not of the declared type"
    )
