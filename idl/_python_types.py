"""Types and default values of a schema, written in Python."""

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import assert_never, cast

import msgspec

from signetrpc.rpc._schema import (
    EnumDefinition,
    ListType,
    MapType,
    NamedType,
    OptionalType,
    PlainValue,
    Scalar,
    ScalarType,
    SetType,
    TupleType,
    TypeDefinition,
    TypeNode,
    UnionType,
    VariadicTupleType,
)

from ._layout import WIDTH, bracketed, indented, quoted, quoted_bytes
from ._names import Names, identifier

__all__ = ["PythonTypes"]

_BUILTINS = {
    Scalar.INT: "int",
    Scalar.FLOAT: "float",
    Scalar.STRING: "str",
    Scalar.BYTES: "bytes",
    Scalar.BOOL: "bool",
}
_IMPORTED = {
    Scalar.TIMESTAMP: ("datetime", "datetime"),
    Scalar.DATE: ("datetime", "date"),
    Scalar.DURATION: ("datetime", "timedelta"),
    Scalar.UUID: ("uuid", "UUID"),
    Scalar.DECIMAL: ("decimal", "Decimal"),
}
# Longer types get a name, so that no line has to be broken within them.
_MAX_TYPE_CHARACTERS = 48
# Longer values are written one part to a line.
_MAX_VALUE_CHARACTERS = 60
_MAX_SINGLE_CHARACTERS = 30


class PythonTypes:
    """Writes types and defaults, and keeps the aliases and constants they need."""

    def __init__(self, names: Names, definitions: Iterable[TypeDefinition]) -> None:
        """Write with the names of a module for the types of a service."""
        self._names = names
        self._definitions = {each.name: each for each in definitions}
        self._aliases: dict[str, tuple[str, TypeNode]] = {}
        self._constants: dict[str, str] = {}

    @property
    def aliases(self) -> list[str]:
        """The statements that name long types. They go below the types' classes."""
        if not self._aliases:
            return []
        alias = self._names.imported("typing", "TypeAlias")
        # Within an alias, the parts that are aliases themselves come first.
        return [
            self._alias_statement(f"{name}: {alias} = ", text, node)
            for text, (name, node) in self._aliases.items()
        ]

    @property
    def constants(self) -> list[str]:
        """The statements that name long defaults. They go below the enums."""
        return [
            _constant_statement(name, text) for text, name in self._constants.items()
        ]

    def type(self, node: TypeNode) -> str:
        """Return a type as an annotation, which also works as an expression."""
        text = self._type(node)
        if len(text) <= _MAX_TYPE_CHARACTERS or isinstance(node, NamedType):
            return text
        return self.named_type(node)

    def named_type(self, node: TypeNode) -> str:
        """Return a name for a type, which the module then defines."""
        if isinstance(node, NamedType):
            return self._type(node)
        text = self._type(node)
        if text not in self._aliases:
            name = self._names.claim(f"_Type{len(self._aliases) + 1}")
            self._aliases[text] = (name, node)
        return self._aliases[text][0]

    def _alias_statement(self, before: str, text: str, node: TypeNode) -> str:
        if len(before) + len(text) <= WIDTH:
            return f"{before}{text}"
        match node:
            case OptionalType() | UnionType():
                fits = len(text) + 4 <= WIDTH
                lines = text if fits else "\n| ".join(text.split(" | "))
                return f"{before}(\n{indented(lines)}\n)"
            case TupleType(items=parts):
                start = f"{before}{self._names.builtin('tuple')}["
            case MapType(key=key, value=value):
                start = f"{before}{self._names.builtin('dict')}["
                parts = (key, value)
            case _:
                return f"{before}{text}"
        return bracketed(start, [self.type(each) for each in parts], "]", open=True)

    def named_value(self, text: str) -> str:
        """Return a name for an expression, which the module then defines."""
        if text not in self._constants:
            wanted = f"_DEFAULT_{len(self._constants) + 1}"
            self._constants[text] = self._names.claim(wanted)
        return self._constants[text]

    def _type(self, node: TypeNode) -> str:
        match node:
            case ScalarType(scalar=Scalar.NONE):
                return "None"
            case ScalarType(scalar=scalar) if scalar in _BUILTINS:
                return self._names.builtin(_BUILTINS[scalar])
            case ScalarType(scalar=scalar):
                return self._names.imported(*_IMPORTED[scalar])
            case ListType(item=item):
                return f"{self._names.builtin('list')}[{self.type(item)}]"
            case SetType(item=item):
                return f"{self._names.builtin('set')}[{self.type(item)}]"
            case VariadicTupleType(item=item):
                return f"{self._names.builtin('tuple')}[{self.type(item)}, ...]"
            case TupleType(items=items):
                inner = ", ".join(self.type(item) for item in items) or "()"
                return f"{self._names.builtin('tuple')}[{inner}]"
            case MapType(key=key, value=value):
                inner = f"{self.type(key)}, {self.type(value)}"
                return f"{self._names.builtin('dict')}[{inner}]"
            case OptionalType(item=item):
                return f"{self.type(item)} | None"
            case UnionType(options=options):
                return " | ".join(self.type(option) for option in options)
            case NamedType(name=name):
                return identifier(name)
            case _:
                assert_never(node)

    def value(self, value: PlainValue, node: TypeNode) -> str:
        """Return the expression for a value in a schema's plain form."""
        match node:
            case ScalarType(scalar=scalar):
                return self._scalar(value, scalar)
            case NamedType(name=name):
                return self._member(value, name)
            case OptionalType(item=item):
                return "None" if value is None else self.value(value, item)
            case UnionType(options=options):
                fitting = (each for each in options if self._fits(value, each))
                return self.value(value, next(fitting))
            case VariadicTupleType(item=item):
                many = cast("tuple[PlainValue, ...]", value)
                return self._tuple([self.value(each, item) for each in many])
            case TupleType(items=items):
                pairs = zip(cast("tuple[PlainValue, ...]", value), items, strict=True)
                return self._tuple([self.value(each, item) for each, item in pairs])
            # Of these there are empty ones only.
            case ListType():
                return "[]"
            case SetType():
                return f"{self._names.builtin('set')}()"
            case MapType():
                return "{}"
            case _:
                assert_never(node)

    def _scalar(self, value: PlainValue, scalar: Scalar) -> str:
        if scalar is Scalar.FLOAT:
            number = cast("float", value)
            if math.isfinite(number):
                return repr(number).replace("e+", "e")  # as the formatter has it
            return f'{self._names.builtin("float")}("{number}")'
        if scalar is Scalar.STRING:
            return quoted(cast("str", value))
        if scalar is Scalar.BYTES:
            return quoted_bytes(cast("bytes", value))
        if scalar not in _IMPORTED:
            return repr(value)
        name = self._names.imported(*_IMPORTED[scalar])
        value = cast("str", value)
        if scalar is Scalar.DURATION:
            return f"{name}({_duration_parts(value)})"
        if scalar is Scalar.TIMESTAMP or scalar is Scalar.DATE:
            return f'{name}.fromisoformat("{value}")'
        return _open_if_long(f"{name}(", [f'"{value}"'], ")")

    def _tuple(self, items: list[str]) -> str:
        if len(items) != 1:
            return _open_if_long("(", items, ")")
        # The comma of a single item does not keep its tuple broken as others do.
        (item,) = items
        long = len(item) > _MAX_SINGLE_CHARACTERS or "\n" in item
        return f"({self.named_value(item) if long else item},)"

    def _member(self, value: PlainValue, name: str) -> str:
        definition = self._definitions[name]
        assert isinstance(definition, EnumDefinition)
        (member,) = (each for each in definition.members if each.value == value)
        return f"{identifier(name)}.{identifier(member.name)}"

    def _fits(self, value: PlainValue, node: TypeNode) -> bool:
        """Whether a plain value is of a member of a union.

        Only one can be: the members of a union have different forms.
        """
        match node:
            case ScalarType(scalar=scalar):
                return type(value) is _PLAIN.get(scalar, str)
            case NamedType(name=name):
                definition = self._definitions[name]
                return isinstance(definition, EnumDefinition) and any(
                    type(value) is type(each.value) for each in definition.members
                )
            case _:
                return isinstance(value, tuple)


_PLAIN: dict[Scalar, type[object]] = {
    Scalar.INT: int,
    Scalar.FLOAT: float,
    Scalar.BYTES: bytes,
    Scalar.BOOL: bool,
    Scalar.NONE: type(None),
}


def _open_if_long(before: str, parts: list[str], after: str) -> str:
    length = len(before) + sum(len(part) + 2 for part in parts)
    return bracketed(before, parts, after, open=length > _MAX_VALUE_CHARACTERS)


def _constant_statement(name: str, text: str) -> str:
    line = f"{name} = {text}"
    # The formatter's rule for what it cannot break: in brackets if that helps.
    if "\n" not in text and len(line) > WIDTH and len(text) + 4 <= WIDTH:
        return f"{name} = (\n    {text}\n)"
    return line


def _duration_parts(text: str) -> str:
    duration = msgspec.convert(text, timedelta)
    parts = {
        "days": duration.days,
        "seconds": duration.seconds,
        "microseconds": duration.microseconds,
    }
    return ", ".join(f"{name}={value}" for name, value in parts.items() if value)
