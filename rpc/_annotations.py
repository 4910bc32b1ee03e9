"""Python annotations, looked at one layer at a time."""

import datetime
import decimal
import re
import typing
import uuid
from typing import Annotated, Any, cast

from ._schema import Scalar
from .errors import SchemaError

__all__ = ["NAME", "class_of", "refused", "scalar_of", "type_text", "underlying"]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""What methods, parameters, fields, types and members may be called."""

_SCALARS: dict[object, Scalar] = {
    int: Scalar.INT,
    float: Scalar.FLOAT,
    str: Scalar.STRING,
    bytes: Scalar.BYTES,
    bool: Scalar.BOOL,
    None: Scalar.NONE,
    type(None): Scalar.NONE,
    datetime.datetime: Scalar.TIMESTAMP,
    datetime.date: Scalar.DATE,
    datetime.timedelta: Scalar.DURATION,
    uuid.UUID: Scalar.UUID,
    decimal.Decimal: Scalar.DECIMAL,
}
_TABLE = "docs/types.md lists the types that travel"
_HINTS: dict[object, str] = {
    Any: "write the type that the value really has",
    object: "write the type that the value really has",
    list: "write the items' type: list[str]",
    tuple: "write the items' types: tuple[str, int] or tuple[str, ...]",
    set: "write the items' type: set[str]",
    frozenset: "write the items' type: frozenset[str]",
    dict: "write the types of keys and values: dict[str, int]",
    bytearray: "use bytes",
    memoryview: "use bytes",
    datetime.time: "use datetime.timedelta, or a text",
    typing.Literal: "use an Enum",
}


def scalar_of(annotation: object) -> Scalar | None:
    """Return the scalar that an annotation is, if it is one."""
    try:
        return _SCALARS.get(annotation)
    except TypeError:  # unhashable, so certainly no scalar
        return None


def class_of(annotation: object) -> type[object] | None:
    """Return the class that an annotation is, if it is one."""
    return cast("type[object]", annotation) if isinstance(annotation, type) else None


def underlying(annotation: object) -> object:
    """Return what an Annotated, a NewType or a type alias stands for."""
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":  # Python 3.12 has it
            annotation = getattr(annotation, "__value__", None)
        else:
            return annotation


def refused(annotation: object, where: str) -> SchemaError:
    """Return the error for an annotation that cannot travel, with a hint."""
    if isinstance(annotation, typing.ForwardRef | str):
        return SchemaError(
            f"{where}: cannot resolve {type_text(annotation)}",
            "define it in the module before the service class",
        )
    origin = typing.get_origin(annotation)
    hint = _TABLE
    for candidate in (annotation, origin):
        try:
            hint = _HINTS.get(candidate, hint)
        except TypeError:
            continue
    if isinstance(annotation, type) and annotation not in _HINTS:
        for base in annotation.__mro__[1:-1]:
            if base in _SCALARS:
                hint = f"use {base.__name__}; subclasses do not survive the journey"
    return SchemaError(f"{where}: type {type_text(annotation)} cannot travel", hint)


def type_text(annotation: object) -> str:
    """Return an annotation as people write it, for messages."""
    if isinstance(annotation, typing.ForwardRef):
        return annotation.__forward_arg__
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__name__
    return repr(annotation).replace("typing.", "")
