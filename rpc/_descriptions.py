"""A service's interface as values that travel: the schema, described in its own types.

docs/services.md#reflection says what they mean.
"""

from enum import StrEnum
from typing import assert_never

import msgspec

from ._codec import encode_value
from ._schema import (
    Default,
    EnumDefinition,
    ErrorDefinition,
    FieldDefinition,
    ListType,
    MapType,
    MethodSchema,
    NamedType,
    OptionalType,
    Parameter,
    ScalarType,
    ServiceSchema,
    SetType,
    StructDefinition,
    TupleType,
    TypeDefinition,
    TypeNode,
    UnionType,
    VariadicTupleType,
    children,
)

__all__ = [
    "EnumDescription",
    "ErrorDescription",
    "FieldDescription",
    "MemberDescription",
    "MethodDescription",
    "ParameterDescription",
    "ServiceDescription",
    "StructDescription",
    "TagDescription",
    "TypeDescription",
    "TypeKind",
    "described",
]


class TypeKind(StrEnum):
    """What a type is made of; in brackets what is in `of`."""

    SCALAR = "scalar"
    """One of the types without parts, by its name: `int`, `string`, `timestamp`."""
    NAMED = "named"
    """A struct or an enum among the service's types, by its name."""
    LIST = "list"
    """Any number of items in order (the item)."""
    SET = "set"
    """Any number of different items (the item)."""
    SEQUENCE = "sequence"
    """A list that is unchangeable once received (the item)."""
    TUPLE = "tuple"
    """A fixed number of items (each of them)."""
    MAP = "map"
    """Keys with values (the key, the value)."""
    OPTIONAL = "optional"
    """A value or none (the value)."""
    UNION = "union"
    """One of several (each of them)."""


class TypeDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A type.

    Attributes:
        kind: What it is made of.
        name: Of a scalar or named one.
        of: The types of its parts.
    """

    kind: TypeKind
    name: str = ""
    of: "tuple[TypeDescription, ...]" = ()


class ParameterDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of a method.

    Attributes:
        name: Its name.
        type: Its type.
        default: MessagePack of what it is if left out, where it may be.
    """

    name: str
    type: TypeDescription
    default: bytes | None = None


class FieldDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a struct or an error.

    Attributes:
        name: Its name.
        type: Its type.
        default: MessagePack of what it is if left out, where it then is something.
        omittable: Whether it may be left out and then is nothing at all.
    """

    name: str
    type: TypeDescription
    default: bytes | None = None
    omittable: bool = False


class TagDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The entry of a struct's map by which unions tell it from others."""

    field: str
    value: str | int


class StructDescription(msgspec.Struct, frozen=True, kw_only=True, tag="struct"):
    """A named type with named fields."""

    name: str
    fields: tuple[FieldDescription, ...]
    tag: TagDescription | None = None
    doc: str = ""


class MemberDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One member of an enum; the value is what travels."""

    name: str
    value: str | int


class EnumDescription(msgspec.Struct, frozen=True, kw_only=True, tag="enum"):
    """A named type with a closed list of values."""

    name: str
    members: tuple[MemberDescription, ...]
    doc: str = ""


class ErrorDescription(msgspec.Struct, frozen=True, kw_only=True):
    """An error that methods declare.

    Attributes:
        name: The full name, `bank.InsufficientFunds`.
        status: The number of the status code that it has for who does not know it.
        fields: What it tells.
        doc: What it says of itself.
    """

    name: str
    status: int
    fields: tuple[FieldDescription, ...] = ()
    doc: str = ""


class MethodDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One method.

    Attributes:
        name: Its own name.
        protection: `none`, `sign` or `seal`.
        impersonate: `not_allowed`, `allowed` or `required`.
        kind: `unary`, `client stream`, `server stream` or `bidirectional`.
        parameters: What it takes once.
        stream: What it takes any number of, where its kind takes a stream.
        stream_index: How many of the parameters stand before that.
        result: What it returns, or each item of it where its kind gives a stream.
        errors: The full names of the errors that it declares.
        doc: What it says of itself.
    """

    name: str
    protection: str
    impersonate: str
    kind: str
    parameters: tuple[ParameterDescription, ...] = ()
    stream: ParameterDescription | None = None
    stream_index: int = 0
    result: TypeDescription
    errors: tuple[str, ...] = ()
    doc: str = ""


class ServiceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One service.

    Attributes:
        name: The full name, `bank.Accounts`.
        methods: In the order of their definition.
        types: Those that its methods mention.
        errors: Those that its methods declare.
        doc: What it says of itself.
    """

    name: str
    methods: tuple[MethodDescription, ...]
    types: tuple[StructDescription | EnumDescription, ...] = ()
    errors: tuple[ErrorDescription, ...] = ()
    doc: str = ""


def described(schema: ServiceSchema) -> ServiceDescription:
    """Return the description of a service; `schema_of` returns the schema again."""
    return ServiceDescription(
        name=schema.name,
        methods=tuple(_method(each) for each in schema.methods),
        types=tuple(_definition(each) for each in schema.types),
        errors=tuple(_error(each) for each in schema.errors),
        doc=schema.doc,
    )


def _method(method: MethodSchema) -> MethodDescription:
    stream = method.stream
    return MethodDescription(
        name=method.name,
        protection=method.protection.name.lower(),
        impersonate=method.impersonate.value,
        kind=method.kind.value,
        parameters=tuple(_parameter(each) for each in method.parameters),
        stream=None if stream is None else _parameter(stream),
        stream_index=method.stream_index,
        result=_type(method.result),
        errors=method.errors,
        doc=method.doc,
    )


def _parameter(parameter: Parameter) -> ParameterDescription:
    return ParameterDescription(
        name=parameter.name,
        type=_type(parameter.type),
        default=_default(parameter.default),
    )


def _definition(definition: TypeDefinition) -> StructDescription | EnumDescription:
    match definition:
        case StructDefinition(name=name, fields=fields, tag=tag, doc=doc):
            described_tag = None
            if tag is not None:
                described_tag = TagDescription(field=tag.field, value=tag.value)
            return StructDescription(
                name=name,
                fields=tuple(_field(each) for each in fields),
                tag=described_tag,
                doc=doc,
            )
        case EnumDefinition(name=name, members=members, doc=doc):
            return EnumDescription(
                name=name,
                members=tuple(
                    MemberDescription(name=each.name, value=each.value)
                    for each in members
                ),
                doc=doc,
            )
        case _:
            assert_never(definition)


def _error(error: ErrorDefinition) -> ErrorDescription:
    return ErrorDescription(
        name=error.name,
        status=int(error.status),
        fields=tuple(_field(each) for each in error.fields),
        doc=error.doc,
    )


def _field(field: FieldDefinition) -> FieldDescription:
    return FieldDescription(
        name=field.name,
        type=_type(field.type),
        default=_default(field.default),
        omittable=field.omittable,
    )


def _default(default: Default | None) -> bytes | None:
    return None if default is None else encode_value(default.value)


def _type(node: TypeNode) -> TypeDescription:
    match node:
        case ScalarType(scalar=scalar):
            return TypeDescription(kind=TypeKind.SCALAR, name=scalar.value)
        case NamedType(name=name):
            return TypeDescription(kind=TypeKind.NAMED, name=name)
        case _:
            parts = tuple(_type(each) for each in children(node))
            return TypeDescription(kind=_kind(node), of=parts)


def _kind(
    node: ListType
    | SetType
    | VariadicTupleType
    | TupleType
    | MapType
    | OptionalType
    | UnionType,
) -> TypeKind:
    match node:
        case ListType():
            return TypeKind.LIST
        case SetType():
            return TypeKind.SET
        case VariadicTupleType():
            return TypeKind.SEQUENCE
        case TupleType():
            return TypeKind.TUPLE
        case MapType():
            return TypeKind.MAP
        case OptionalType():
            return TypeKind.OPTIONAL
        case UnionType():
            return TypeKind.UNION
        case _:
            assert_never(node)
