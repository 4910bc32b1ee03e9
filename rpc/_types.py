"""Python annotations read as schema types.

The rule is that whatever is read here travels unchanged: every annotation maps to one
type of the schema or is refused, while the class is decorated, with a message that
names the place and the type. msgspec has the last word on which unions can be told
apart, since it does the telling.
"""

import enum
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec

from ._annotations import (
    NAME,
    class_of,
    refused,
    scalar_of,
    type_text,
    underlying,
)
from ._defaults import NotPlain, plain_default
from ._fields import doc_of, found_fields, is_struct, tag_of
from ._schema import (
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
    TupleType,
    TypeDefinition,
    TypeNode,
    UnionType,
    VariadicTupleType,
    children,
)
from .errors import SchemaError

__all__ = ["TypeReader"]


class TypeReader:
    """Reads annotations, and collects the named types that they mention."""

    def __init__(self) -> None:
        self._definitions: dict[str, TypeDefinition | None] = {}
        self._owners: dict[str, type[object]] = {}

    @property
    def definitions(self) -> tuple[TypeDefinition, ...]:
        """The named types read so far, in the order of their first mention."""
        return tuple(each for each in self._definitions.values() if each is not None)

    def read(self, annotation: object, where: str) -> TypeNode:
        """Return the schema type of an annotation.

        Args:
            annotation: A resolved annotation, as `typing.get_type_hints` returns it.
            where: The place, for messages: `bank.Accounts.balance: parameter "x"`.

        Raises:
            SchemaError: The annotation names something that cannot travel.
        """
        try:
            node = self._node(annotation, where)
        except RecursionError:
            raise SchemaError(
                f"{where}: type {type_text(annotation)} is an alias without an end",
                "only classes can mention themselves: use a dataclass",
            ) from None
        try:
            msgspec.msgpack.Decoder(cast("Any", annotation))
        except TypeError as error:
            raise SchemaError(
                f"{where}: type {type_text(annotation)} cannot travel",
                str(error).partition(" - type")[0],
            ) from None
        return node

    def default(
        self, value: object, node: TypeNode, where: str, *, opaque: bool = False
    ) -> Default | None:
        """Return a default as the schema has it.

        Args:
            value: The Python value.
            node: The type that it must have.
            where: The place, for messages.
            opaque: Whether a default that the schema cannot say is dropped, so that
                callers have to give the value, instead of refused.

        Raises:
            SchemaError: The value is not of the type, or cannot be written down.
        """
        try:
            return Default(value=plain_default(value, node, self._owners))
        except NotPlain as error:
            if opaque:
                return None
            raise SchemaError(f"{where}: {error}", error.hint) from None

    def fields(self, cls: type[object], where: str) -> tuple[FieldDefinition, ...]:
        """Return the fields of a struct class that is itself no type of the schema.

        Raises:
            SchemaError: A field cannot travel.
        """
        return tuple(self._fields(cls, where))

    def mentions(self, node: TypeNode, scalar: Scalar) -> bool:
        """Whether a type just read has a scalar anywhere in it."""
        return any(each == ScalarType(scalar=scalar) for each in self._reach(node))

    def _reach(self, start: TypeNode) -> Iterator[TypeNode]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(children(node))
            if isinstance(node, NamedType) and node.name not in seen:
                seen.add(node.name)
                definition = self._definitions[node.name]
                if isinstance(definition, StructDefinition):
                    waiting.extend(field.type for field in definition.fields)

    def _node(self, annotation: object, where: str) -> TypeNode:
        annotation = underlying(annotation)
        scalar = scalar_of(annotation)
        if scalar is not None:
            return ScalarType(scalar=scalar)
        if typing.get_origin(annotation) is not None:
            return self._compound(annotation, where)
        cls = class_of(annotation)
        if cls is not None and issubclass(cls, enum.Enum):
            return self._named(cls, where, self._enum)
        if cls is not None and is_struct(cls):
            return self._named(cls, where, self._struct)
        raise refused(annotation, where)

    def _compound(self, annotation: object, where: str) -> TypeNode:
        origin = typing.get_origin(annotation)
        arguments = typing.get_args(annotation)
        if origin is typing.Union or origin is types.UnionType:
            return self._union(arguments, where)
        if origin is list:
            return ListType(item=self._node(arguments[0], where))
        if origin is set or origin is frozenset:
            item = self._node(arguments[0], where)
            self._need_hashable(item, arguments[0], where, "an item of a set")
            return SetType(item=item)
        if origin is tuple:
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                return VariadicTupleType(item=self._node(arguments[0], where))
            return TupleType(items=tuple(self._node(each, where) for each in arguments))
        if origin is dict:
            key = self._node(arguments[0], where)
            self._need_hashable(key, arguments[0], where, "a key of a map")
            return MapType(key=key, value=self._node(arguments[1], where))
        raise refused(annotation, where)

    def _union(self, options: tuple[object, ...], where: str) -> TypeNode:
        nodes: list[TypeNode] = []
        for option in options:
            match self._node(option, where):
                # Aliases and annotated types can hide a union within a union.
                case UnionType(options=inner):
                    nodes.extend(inner)
                case OptionalType(item=UnionType(options=inner)):
                    nodes.extend((*inner, _NONE))
                case OptionalType(item=item):
                    nodes.extend((item, _NONE))
                case node:
                    nodes.append(node)
        kept = tuple(dict.fromkeys(node for node in nodes if node != _NONE))
        whole = kept[0] if len(kept) == 1 else UnionType(options=kept)
        return OptionalType(item=whole) if _NONE in nodes else whole

    def _need_hashable(
        self, node: TypeNode, annotation: object, where: str, role: str
    ) -> None:
        for part in (node, *_parts(node)):
            if isinstance(part, NamedType):
                good = isinstance(self._definitions[part.name], EnumDefinition)
            else:
                good = not isinstance(part, ListType | SetType | MapType)
            if not good:
                raise SchemaError(
                    f"{where}: type {type_text(annotation)} cannot be {role}",
                    "use scalars, enums or tuples of them; or a list of pairs",
                )

    def _named(
        self,
        cls: type[object],
        where: str,
        define: Callable[[Any, str], TypeDefinition],
    ) -> NamedType:
        name = cls.__name__
        if self._owners.get(name, cls) is not cls:
            other = self._owners[name]
            raise SchemaError(
                f"{where}: two types are called {name}: "
                f"{_full_name(other)} and {_full_name(cls)}",
                "rename one; an interface has one set of names",
            )
        if not NAME.fullmatch(name):
            raise SchemaError(
                f"{where}: type {name} has a name that cannot travel",
                "start with a letter and use only A-Z a-z 0-9 _",
            )
        if name not in self._definitions:
            self._owners[name] = cls
            # Holds the place: a type may mention itself, and is listed before those
            # that it mentions.
            self._definitions[name] = None
            self._definitions[name] = define(cls, where)
        return NamedType(name=name)

    def _enum(self, cls: type[enum.Enum], where: str) -> EnumDefinition:
        members = tuple(_member(each, where) for each in cls)
        if issubclass(cls, enum.Flag):
            raise SchemaError(
                f"{where}: {cls.__name__} is a Flag, whose combinations have no name",
                "use a set of an Enum, or int",
            )
        if len({type(each.value) for each in members}) != 1:
            raise SchemaError(
                f"{where}: enum {cls.__name__} must have members, "
                "whose values are all str or all int"
            )
        return EnumDefinition(name=cls.__name__, members=members, doc=doc_of(cls))

    def _struct(self, cls: type[object], where: str) -> StructDefinition:
        if getattr(cls, "__parameters__", ()):
            raise SchemaError(
                f"{where}: type {cls.__name__} is generic", "write a class for each use"
            )
        try:
            fields = tuple(self._fields(cls, where))
        except NameError as error:
            raise SchemaError(
                f"{where}: type {cls.__name__}: cannot resolve {error.name!r}",
                "define it in the module, outside functions and `if TYPE_CHECKING`",
            ) from None
        return StructDefinition(
            name=cls.__name__, fields=fields, tag=tag_of(cls, where), doc=doc_of(cls)
        )

    def _fields(self, cls: type[object], where: str) -> Iterator[FieldDefinition]:
        for found in found_fields(cls, where):
            place = f"{where}, field {found.name!r} of {cls.__name__}"
            if not NAME.fullmatch(found.name):
                raise SchemaError(
                    f"{place}: the name cannot travel",
                    "start with a letter and use only A-Z a-z 0-9 _",
                )
            node = self._node(found.type, place)
            default = None
            if found.has_default and not found.omittable:
                default = self.default(found.default, node, place, opaque=True)
            yield FieldDefinition(
                name=found.name, type=node, default=default, omittable=found.omittable
            )


_NONE = ScalarType(scalar=Scalar.NONE)


def _member(member: enum.Enum, where: str) -> EnumMember:
    value: object = member.value
    # Members of `class Level(str, Enum)` have plain values all the same.
    if type(value) not in (str, int) or not NAME.fullmatch(member.name):
        raise SchemaError(
            f"{where}: member {member.name} of enum {type(member).__name__} "
            "cannot travel",
            "values are str or int; names start with a letter",
        )
    return EnumMember(name=member.name, value=cast("str | int", value))


def _parts(node: TypeNode) -> Iterator[TypeNode]:
    for child in children(node):
        yield child
        yield from _parts(child)


def _full_name(cls: type[object]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
