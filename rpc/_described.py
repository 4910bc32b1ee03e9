"""The schema that a description describes.

A description comes from afar, and code is generated from it.  So nothing of it is
believed: names have to be names, and what is referred to has to be there.
"""

import re
from collections.abc import Iterable
from typing import Final, cast

import msgspec

from signetrpc.transport import Protection

from ._annotations import NAME
from ._descriptions import (
    EnumDescription,
    ErrorDescription,
    FieldDescription,
    MethodDescription,
    ParameterDescription,
    ServiceDescription,
    StructDescription,
    TypeDescription,
    TypeKind,
)
from ._impersonation import Impersonation
from ._schema import (
    CallKind,
    Default,
    EnumDefinition,
    EnumMember,
    ErrorDefinition,
    FieldDefinition,
    ListType,
    MapType,
    MethodSchema,
    NamedType,
    OptionalType,
    Parameter,
    PlainValue,
    Scalar,
    ScalarType,
    ServiceSchema,
    SetType,
    StructDefinition,
    Tag,
    TupleType,
    TypeDefinition,
    TypeNode,
    UnionType,
    VariadicTupleType,
)
from ._status import StatusCode
from .errors import SchemaError

__all__ = ["schema_of"]

_FULL_NAME: Final = re.compile(rf"{NAME.pattern}(\.{NAME.pattern})*")
_SHOWN: Final = 80
"""So many characters of what is wrong are shown."""


def schema_of(description: ServiceDescription) -> ServiceSchema:
    """Return the schema that a description describes.

    Whether defaults are of their types is not looked at.

    Raises:
        SchemaError: There can be no such interface.
    """
    return _Reader(description).schema()


class _Reader:
    """Reads one description."""

    def __init__(self, description: ServiceDescription) -> None:
        self._description = description
        self._types = {each.name for each in description.types}
        self._errors = {each.name for each in description.errors}
        self._where = f"service {description.name[:_SHOWN]!r}"

    def schema(self) -> ServiceSchema:
        description = self._description
        name = self._full_name(description.name)
        self._distinct("method", (each.name for each in description.methods))
        self._distinct("type", (each.name for each in description.types))
        self._distinct("error", (each.name for each in description.errors))
        if not description.methods:
            raise self._wrong("it has no methods")
        return ServiceSchema(
            name=name,
            methods=tuple(self._method(each) for each in description.methods),
            types=tuple(self._definition(each) for each in description.types),
            errors=tuple(self._error(each) for each in description.errors),
            doc=description.doc,
        )

    # Names.

    def _wrong(self, what: str) -> SchemaError:
        return SchemaError(f"{self._where}: {what}")

    def _name(self, name: str) -> str:
        if not NAME.fullmatch(name):
            raise self._wrong(f"{name[:_SHOWN]!r} is no name")
        return name

    def _full_name(self, name: str) -> str:
        if not _FULL_NAME.fullmatch(name):
            raise self._wrong(f"{name[:_SHOWN]!r} is no name")
        return name

    def _distinct(self, what: str, names: Iterable[str]) -> None:
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise self._wrong(f"two of the {what}s are named {name[:_SHOWN]!r}")
            seen.add(name)

    # Parts.

    def _method(self, method: MethodDescription) -> MethodSchema:
        name = self._name(method.name)
        try:
            protection = Protection[method.protection.upper()]
            impersonate = Impersonation(method.impersonate)
            kind = CallKind(method.kind)
        except (KeyError, ValueError) as error:
            raise self._wrong(f"method {name}: {str(error)[:_SHOWN]}") from None
        stream = method.stream
        if kind.takes_items is (stream is None):
            raise self._wrong(f"method {name}: a stream that does not go with its kind")
        if not 0 <= method.stream_index <= len(method.parameters):
            raise self._wrong(f"method {name}: no place {method.stream_index}")
        taken = [*method.parameters, *([] if stream is None else [stream])]
        self._distinct("parameter", (each.name for each in taken))
        for each in method.errors:
            if each not in self._errors:
                raise self._wrong(f"method {name}: no error {each[:_SHOWN]!r}")
        return MethodSchema(
            name=name,
            protection=protection,
            impersonate=impersonate,
            parameters=tuple(self._parameter(each) for each in method.parameters),
            stream=None if stream is None else self._parameter(stream),
            stream_index=method.stream_index,
            result=self._type(method.result),
            kind=kind,
            errors=method.errors,
            doc=method.doc,
        )

    def _parameter(self, parameter: ParameterDescription) -> Parameter:
        return Parameter(
            name=self._name(parameter.name),
            type=self._type(parameter.type),
            default=self._default(parameter.default),
        )

    def _definition(
        self, description: StructDescription | EnumDescription
    ) -> TypeDefinition:
        name = self._name(description.name)
        if isinstance(description, StructDescription):
            tag = description.tag
            return StructDefinition(
                name=name,
                fields=self._fields(description.fields),
                tag=None if tag is None else Tag(field=tag.field, value=tag.value),
                doc=description.doc,
            )
        self._distinct("member", (each.name for each in description.members))
        return EnumDefinition(
            name=name,
            members=tuple(
                EnumMember(name=self._name(each.name), value=each.value)
                for each in description.members
            ),
            doc=description.doc,
        )

    def _error(self, error: ErrorDescription) -> ErrorDefinition:
        name = self._full_name(error.name)
        try:
            status = StatusCode(error.status)
        except ValueError as wrong:
            raise self._wrong(f"error {name}: {wrong}") from None
        return ErrorDefinition(
            name=name,
            status=status,
            fields=self._fields(error.fields),
            doc=error.doc,
        )

    def _fields(
        self, fields: tuple[FieldDescription, ...]
    ) -> tuple[FieldDefinition, ...]:
        self._distinct("field", (each.name for each in fields))
        return tuple(
            FieldDefinition(
                name=self._name(each.name),
                type=self._type(each.type),
                default=self._default(each.default),
                omittable=each.omittable,
            )
            for each in fields
        )

    def _default(self, default: bytes | None) -> Default | None:
        if default is None:
            return None
        try:
            value = msgspec.msgpack.decode(default)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._wrong(f"a default that is no value: {error}") from None
        return Default(value=self._plain(value))

    def _plain(self, value: object) -> PlainValue:
        if isinstance(value, list):
            return tuple(self._plain(each) for each in cast("list[object]", value))
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        raise self._wrong(f"a default that is a {type(value).__name__}")

    def _type(self, description: TypeDescription) -> TypeNode:
        kind, name = description.kind, description.name
        if kind is TypeKind.SCALAR:
            try:
                return ScalarType(scalar=Scalar(name))
            except ValueError:
                raise self._wrong(f"no type {name[:_SHOWN]!r}") from None
        if kind is TypeKind.NAMED:
            if name not in self._types:
                raise self._wrong(f"no type {name[:_SHOWN]!r}")
            return NamedType(name=name)
        parts = tuple(self._type(each) for each in description.of)
        node = _made(kind, parts)
        if node is None:
            raise self._wrong(f"{len(parts)} parts for a type of kind {kind.value}")
        return node


def _made(kind: TypeKind, parts: tuple[TypeNode, ...]) -> TypeNode | None:
    match kind, parts:
        case TypeKind.LIST, (item,):
            return ListType(item=item)
        case TypeKind.SET, (item,):
            return SetType(item=item)
        case TypeKind.SEQUENCE, (item,):
            return VariadicTupleType(item=item)
        case TypeKind.TUPLE, items:
            return TupleType(items=items)
        case TypeKind.MAP, (key, value):
            return MapType(key=key, value=value)
        case TypeKind.OPTIONAL, (item,) if not isinstance(item, OptionalType):
            return OptionalType(item=item)
        case TypeKind.UNION, (_, _, *_):
            return UnionType(options=parts)
        case _:
            return None
