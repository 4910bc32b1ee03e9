"""The fields of dataclasses, msgspec Structs and TypedDicts, read alike."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator

import msgspec

from ._schema import Tag
from .errors import SchemaError

__all__ = ["NO_DEFAULT", "FoundField", "doc_of", "found_fields", "is_struct", "tag_of"]


NO_DEFAULT = object()
"""Stands in a `FoundField` for no default: a dataclass has MISSING for itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FoundField:
    """A field as the three kinds of struct have it in common."""

    name: str
    type: object
    default: object = NO_DEFAULT
    omittable: bool = False

    @property
    def has_default(self) -> bool:
        return self.default is not NO_DEFAULT


def found_fields(cls: type[object], where: str) -> Iterator[FoundField]:
    """Yield the fields of a struct class in the order of their definition.

    Args:
        cls: A class for which `is_struct` holds.
        where: The place, for messages.

    Raises:
        SchemaError: A field is of a kind that cannot travel.
        NameError: An annotation names something that its module does not have.
    """
    if issubclass(cls, msgspec.Struct):
        for info in msgspec.structs.fields(cls):
            default = _first_of(info.default, info.default_factory, msgspec.NODEFAULT)
            # The wire has the renamed name, and so has the schema.
            annotation, omittable = _without_unset(info.type)
            yield FoundField(
                name=info.encode_name,
                type=annotation,
                default=default,
                omittable=omittable,
            )
        return
    hints = typing.get_type_hints(cls, include_extras=True)
    if dataclasses.is_dataclass(cls):
        for name, hint in hints.items():
            if isinstance(hint, dataclasses.InitVar):
                raise SchemaError(
                    f"{where}, field {name!r} of {cls.__name__}: "
                    "an InitVar is no field that could travel",
                    "make it a field",
                )
        for field in dataclasses.fields(cls):
            if not field.init:
                raise SchemaError(
                    f"{where}, field {field.name!r} of {cls.__name__}: "
                    "a field with init=False cannot travel",
                    "make it a property",
                )
            factory = field.default_factory
            default = _first_of(field.default, factory, dataclasses.MISSING)
            yield FoundField(name=field.name, type=hints[field.name], default=default)
        return
    required: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
    for name, hint in hints.items():
        missing_allowed = name not in required
        origin = typing.get_origin(hint)
        # String annotations hide these two from `__required_keys__`.
        if origin is typing.Required or origin is typing.NotRequired:
            missing_allowed = origin is typing.NotRequired
            (hint,) = typing.get_args(hint)
        yield FoundField(name=name, type=hint, omittable=missing_allowed)


_COLLECTIONS: tuple[Callable[[], object], ...] = (list, dict, set, frozenset, tuple)


def _first_of(default: object, factory: object, missing: object) -> object:
    if default is not missing:
        return default
    for collection in _COLLECTIONS:
        # list[int] makes lists too.
        if factory is collection or typing.get_origin(factory) is collection:
            return collection()
    # Any other factory may return something else each time: callers must give it.
    return NO_DEFAULT


def is_struct(cls: type[object]) -> bool:
    """Whether a class is one of the three kinds."""
    if issubclass(cls, msgspec.Struct):
        return cls is not msgspec.Struct
    # typing.is_typeddict does not know those of typing_extensions.
    if dict in cls.__mro__ and hasattr(cls, "__required_keys__"):
        return True
    return dataclasses.is_dataclass(cls)


def tag_of(cls: type[object], where: str) -> Tag | None:
    """Return the entry that tells a msgspec Struct from others in a union.

    Raises:
        SchemaError: The Struct is laid out as an array.
    """
    if not issubclass(cls, msgspec.Struct):
        return None
    config = cls.__struct_config__
    if config.array_like:
        raise SchemaError(
            f"{where}: type {cls.__name__} is array_like, but structs travel as maps",
            "leave array_like out",
        )
    if config.tag is None or config.tag_field is None:
        return None
    return Tag(field=config.tag_field, value=config.tag)


def doc_of(cls: type[object]) -> str:
    """Return a class's own docstring, without indentation; empty without one."""
    text = cls.__dict__.get("__doc__") or ""
    # Dataclasses write their signature where there is no docstring.
    if dataclasses.is_dataclass(cls) and text.startswith(f"{cls.__name__}("):
        return ""
    return inspect.cleandoc(text)


def _without_unset(annotation: object) -> tuple[object, bool]:
    options = typing.get_args(annotation)
    if msgspec.UnsetType not in options:
        return annotation, False
    rest = tuple(each for each in options if each is not msgspec.UnsetType)
    return typing.Union[rest], True  # noqa: UP007  (made at run time)
