"""A decorated class, read as a schema and a set of handlers."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from types import FunctionType, MappingProxyType
from typing import Any, Final

from signetrpc.transport._protection import Protection

from ._annotations import NAME
from ._fields import doc_of
from ._handlers import Handler, HandlerStyle, ServiceDefinition
from ._impersonation import Impersonation
from ._methods import UnaryMethod
from ._schema import MethodSchema, ServiceSchema
from ._signatures import read_signature
from ._types import TypeReader
from .errors import SchemaError

__all__ = ["METHOD_MARK", "MethodMark", "extract"]

METHOD_MARK: Final = "__signet_method__"
"""The attribute in which `@method` leaves a `MethodMark` on a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodMark:
    """What `@method` said. None is what the service has for its default."""

    protection: Protection | None = None
    impersonate: Impersonation | None = None
    inline: bool = False


def extract(
    cls: type[object],
    name: str,
    protection: Protection,
    impersonate: Impersonation,
) -> ServiceDefinition:
    """Read a class whose methods are marked.

    Marked methods of base classes are included. A class may override one without
    marking it again: the interface stays that of the marked method, and the override
    is what runs.

    Args:
        cls: The class.
        name: The service's full name.
        protection: The level of methods that declare none.
        impersonate: Whose rights methods run with that do not say.

    Raises:
        SchemaError: Something in the class cannot be an interface.
    """
    reader = TypeReader()
    methods: list[MethodSchema] = []
    handlers: dict[str, Handler] = {}
    for attribute, marked in _marked_functions(cls, name).items():
        where = f"{name}.{attribute}"
        mark: MethodMark = getattr(marked, METHOD_MARK)
        signature = read_signature(marked, cls, where, reader)
        method = UnaryMethod[Any, Any](
            service=name,
            name=attribute,
            protection=protection if mark.protection is None else mark.protection,
            arguments=signature.arguments,
            result=signature.result_type,
            impersonate=impersonate if mark.impersonate is None else mark.impersonate,
        )
        methods.append(
            MethodSchema(
                name=attribute,
                protection=method.protection,
                impersonate=method.impersonate,
                parameters=signature.parameters,
                result=signature.result,
                doc=inspect.cleandoc(marked.__doc__ or ""),
            )
        )
        handlers[method.full_name] = Handler(
            method=method,
            style=_style(_implementation(cls, marked, where), mark, where),
            keyword_only=signature.keyword_only,
        )
    if not methods:
        raise SchemaError(f"{name}: {cls.__name__} has no methods", "mark with @method")
    schema = ServiceSchema(
        name=name,
        methods=tuple(methods),
        types=reader.definitions,
        doc=doc_of(cls),
    )
    return ServiceDefinition(schema=schema, handlers=MappingProxyType(handlers))


def _marked_functions(cls: type[object], service: str) -> dict[str, FunctionType]:
    """Return the marked functions by name: bases first, as they were written."""
    found: dict[str, FunctionType] = {}
    for each in reversed(cls.__mro__):
        for attribute, value in vars(each).items():
            _refuse_wrapped(value, f"{service}.{attribute}")
            if not isinstance(value, FunctionType) or not hasattr(value, METHOD_MARK):
                continue
            if not NAME.fullmatch(attribute):
                raise SchemaError(
                    f"{service}.{attribute}: the name cannot travel",
                    "start with a letter and use only A-Z a-z 0-9 _",
                )
            if attribute != value.__name__:
                raise SchemaError(
                    f"{service}.{attribute}: another name for {value.__name__}",
                    "write a method that calls the other",
                )
            found[attribute] = value
    return found


_METHODS = ("staticmethod", "classmethod")


def _refuse_wrapped(value: object, where: str) -> None:
    kind = type(value).__name__
    inner: object = getattr(value, "__func__" if kind in _METHODS else "fget", None)
    if hasattr(inner, METHOD_MARK):
        raise SchemaError(
            f"{where}: a {kind} cannot be a method of a service",
            "write a plain method with self",
        )


def _implementation(
    cls: type[object], marked: FunctionType, where: str
) -> FunctionType:
    """Return what runs: the marked function or an override of it."""
    found: object = inspect.getattr_static(cls, marked.__name__)
    if found is marked:
        return marked
    if not isinstance(found, FunctionType):
        raise SchemaError(
            f"{where}: overridden by a {type(found).__name__}",
            "override with a method, or leave it out",
        )
    if _shape(found) != _shape(marked):
        raise SchemaError(
            f"{where}: the override has other parameters than the method it overrides",
            "repeat the parameters, or mark the override with @method",
        )
    return found


def _shape(function: FunctionType) -> Sequence[tuple[str, object]]:
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind) for each in parameters][1:]


def _style(function: FunctionType, mark: MethodMark, where: str) -> HandlerStyle:
    innermost = inspect.unwrap(function)
    if inspect.isasyncgenfunction(innermost) or inspect.isgeneratorfunction(innermost):
        raise SchemaError(
            f"{where}: a generator is a stream, but methods return one value",
            "return a list",
        )
    if inspect.iscoroutinefunction(function):
        if mark.inline:
            raise SchemaError(
                f"{where}: inline is for a plain def, not for async def",
                "leave inline out",
            )
        return HandlerStyle.ASYNC
    if inspect.iscoroutinefunction(innermost):
        raise SchemaError(
            f"{where}: a decorator hides that this is an async def",
            "make the decorator's wrapper an async def too",
        )
    return HandlerStyle.INLINE if mark.inline else HandlerStyle.THREAD
