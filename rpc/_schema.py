"""The schema: what an interface says, without any Python in it.

Extraction makes a schema from a decorated class, and code generation reads it. Every
part is frozen and compares by value, so "the same interface" is `==`. Named types are
referred to by name and defined once, beside the methods, which is also how recursive
types come out finite.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from signetrpc.transport._protection import Protection

from ._impersonation import Impersonation
from ._status import StatusCode

__all__ = [
    "CallKind",
    "Default",
    "EnumDefinition",
    "EnumMember",
    "ErrorDefinition",
    "FieldDefinition",
    "ListType",
    "MapType",
    "MethodSchema",
    "NamedType",
    "OptionalType",
    "Parameter",
    "PlainValue",
    "Scalar",
    "ScalarType",
    "ServiceSchema",
    "SetType",
    "StructDefinition",
    "Tag",
    "TupleType",
    "TypeDefinition",
    "TypeNode",
    "UnionType",
    "VariadicTupleType",
    "children",
]


class Scalar(Enum):
    """The types without parts; the values are the names in interface text."""

    INT = "int"
    FLOAT = "float"
    STRING = "string"
    BYTES = "bytes"
    BOOL = "bool"
    NONE = "none"
    TIMESTAMP = "timestamp"
    DATE = "date"
    DURATION = "duration"
    UUID = "uuid"
    DECIMAL = "decimal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarType:
    """A type without parts."""

    scalar: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class ListType:
    """Any number of items of one type, in order."""

    item: "TypeNode"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetType:
    """Any number of different items of one type, in no order."""

    item: "TypeNode"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariadicTupleType:
    """As a list, but unchangeable once received: `tuple[int, ...]`."""

    item: "TypeNode"


@dataclass(frozen=True, slots=True, kw_only=True)
class TupleType:
    """A fixed number of items, each of a type of its own."""

    items: "tuple[TypeNode, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapType:
    """Keys of one type, each with a value of another."""

    key: "TypeNode"
    value: "TypeNode"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionalType:
    """A value or none. The item is never itself optional."""

    item: "TypeNode"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionType:
    """One of two or more types that the receiver can tell apart."""

    options: "tuple[TypeNode, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedType:
    """A struct or an enum, by its name among the service's types."""

    name: str


TypeNode: TypeAlias = (
    ScalarType
    | ListType
    | SetType
    | VariadicTupleType
    | TupleType
    | MapType
    | OptionalType
    | UnionType
    | NamedType
)

PlainValue: TypeAlias = (
    "None | bool | int | float | str | bytes | tuple[PlainValue, ...]"
)
"""A default as it would travel; what it stands for is the type's to say.

Enum members are their values, collections are tuples, and timestamps, dates, durations,
UUIDs and decimals are their text in ISO 8601, RFC 4122 or decimal notation.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """The value of something that was left out."""

    value: PlainValue


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDefinition:
    """One field of a struct."""

    name: str
    type: TypeNode
    default: Default | None = None
    omittable: bool = False
    """Whether the field may be missing and then has no value at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """The entry of a struct's map by which unions tell the struct from others."""

    field: str
    value: str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class StructDefinition:
    """A named type with named fields."""

    name: str
    fields: tuple[FieldDefinition, ...]
    tag: Tag | None = None
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDefinition:
    """An error that methods declare.

    Attributes:
        name: The full name, `bank.InsufficientFunds`.
        status: What a caller sees who does not know the error.
        fields: What it tells.
        doc: The class's docstring.
    """

    name: str
    status: StatusCode = StatusCode.FAILED_PRECONDITION
    fields: tuple[FieldDefinition, ...] = ()
    doc: str = ""

    @property
    def short_name(self) -> str:
        """The name's part after the last dot, as its class is called."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumMember:
    """One member of an enum; the value is what travels."""

    name: str
    value: str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumDefinition:
    """A named type with a closed list of values, all text or all whole numbers."""

    name: str
    members: tuple[EnumMember, ...]
    doc: str = ""


TypeDefinition: TypeAlias = StructDefinition | EnumDefinition


class CallKind(Enum):
    """How many messages travel each way."""

    UNARY = "unary"
    CLIENT_STREAM = "client stream"
    SERVER_STREAM = "server stream"
    BIDIRECTIONAL = "bidirectional"

    @property
    def takes_items(self) -> bool:
        """True if the caller sends a stream."""
        return self in (CallKind.CLIENT_STREAM, CallKind.BIDIRECTIONAL)

    @property
    def gives_items(self) -> bool:
        """True if the server sends a stream."""
        return self in (CallKind.SERVER_STREAM, CallKind.BIDIRECTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One argument of a method."""

    name: str
    type: TypeNode
    default: Default | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSchema:
    """One method: what it takes, what it returns and what it declares.

    Attributes:
        name: Its own name.
        protection: The level that it declares.
        impersonate: Whose rights it runs with.
        parameters: What it takes once.
        stream: What it takes any number of, where `kind` takes items.
        stream_index: How many of the parameters stand before it.
        result: What it returns, or each item of it where `kind` gives items.
        kind: How many messages travel each way.
        errors: The full names of the errors that it declares, in its order.
        doc: The method's docstring.
    """

    name: str
    protection: Protection
    impersonate: Impersonation = Impersonation.ALLOWED
    parameters: tuple[Parameter, ...]
    stream: Parameter | None = None
    stream_index: int = 0
    result: TypeNode
    kind: CallKind = CallKind.UNARY
    errors: tuple[str, ...] = ()
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSchema:
    """One service with every type that its methods mention.

    Attributes:
        name: The full name, `bank.Accounts`.
        methods: In the order of their definition.
        types: In the order in which the methods first mention them.
        errors: Each that a method declares, in the order of their first mention.
        doc: The class's docstring.
    """

    name: str
    methods: tuple[MethodSchema, ...]
    types: tuple[TypeDefinition, ...] = ()
    errors: tuple[ErrorDefinition, ...] = ()
    doc: str = ""

    @property
    def package(self) -> str:
        """The name's part before the last dot; empty without a dot."""
        return self.name.rpartition(".")[0]

    @property
    def short_name(self) -> str:
        """The name's part after the last dot."""
        return self.name.rpartition(".")[2]


def children(node: TypeNode) -> Iterator[TypeNode]:
    """Yield the types that a type is directly made of."""
    match node:
        case ListType() | SetType() | VariadicTupleType() | OptionalType():
            yield node.item
        case TupleType():
            yield from node.items
        case MapType():
            yield node.key
            yield node.value
        case UnionType():
            yield from node.options
        case ScalarType() | NamedType():
            pass
