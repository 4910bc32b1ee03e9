"""A decorated class, read as a schema and a set of handlers."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from types import FunctionType, MappingProxyType
from typing import Any, Final

from signetrpc.transport._protection import Protection

from ._annotations import NAME
from ._declared_errors import error_classes
from ._fields import doc_of
from ._handlers import Handler, HandlerStyle, ServiceDefinition
from ._impersonation import Impersonation
from ._methods import (
    BidirectionalMethod,
    ClientStreamMethod,
    Method,
    ServerStreamMethod,
    UnaryMethod,
)
from ._schema import (
    CallKind,
    ErrorDefinition,
    MethodSchema,
    Parameter,
    ServiceSchema,
)
from ._signatures import Signature, StreamParameter, read_signature
from ._types import TypeReader
from .errors import DeclaredError, SchemaError

__all__ = ["METHOD_MARK", "MethodMark", "extract"]

METHOD_MARK: Final = "__signet_method__"
"""The attribute in which `@method` leaves a `MethodMark` on a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodMark:
    """What `@method` said. None is what the service has for its default."""

    protection: Protection | None = None
    impersonate: Impersonation | None = None
    inline: bool = False
    errors: tuple[type[DeclaredError], ...] = ()


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
    raised: list[type[DeclaredError]] = []
    for attribute, marked in _marked_functions(cls, name).items():
        where = f"{name}.{attribute}"
        mark: MethodMark = getattr(marked, METHOD_MARK)
        signature = read_signature(marked, cls, where, reader)
        method = _method(
            signature,
            service=name,
            name=attribute,
            protection=protection if mark.protection is None else mark.protection,
            arguments=signature.arguments,
            result=signature.result_type,
            impersonate=impersonate if mark.impersonate is None else mark.impersonate,
            errors=mark.errors,
        )
        raised.extend(each for each in mark.errors if each not in raised)
        stream = signature.stream
        methods.append(
            MethodSchema(
                name=attribute,
                protection=method.protection,
                impersonate=method.impersonate,
                parameters=signature.parameters,
                stream=(
                    None
                    if stream is None
                    else Parameter(name=stream.name, type=stream.node)
                ),
                stream_index=_stream_index(signature),
                result=signature.result,
                kind=signature.kind,
                errors=tuple(method.errors),
                doc=inspect.cleandoc(marked.__doc__ or ""),
            )
        )
        handlers[method.full_name] = Handler(
            method=method,
            style=_style(_implementation(cls, marked, where), mark, signature, where),
            keyword_only=signature.keyword_only,
            stream=None if stream is None else stream.name,
            stream_index=None if stream is None else stream.index,
        )
    if not methods:
        raise SchemaError(f"{name}: {cls.__name__} has no methods", "mark with @method")
    errors = _errors(raised, name, reader)
    schema = ServiceSchema(
        name=name,
        methods=tuple(methods),
        types=reader.definitions,
        errors=errors,
        doc=doc_of(cls),
    )
    return ServiceDefinition(schema=schema, handlers=MappingProxyType(handlers))


def _stream_index(signature: Signature) -> int:
    stream = signature.stream
    if stream is None:
        return 0
    # One that has to be passed by name stands after all others as well as anywhere.
    return len(signature.parameters) if stream.index is None else stream.index


def _errors(
    classes: Sequence[type[DeclaredError]], service: str, reader: TypeReader
) -> tuple[ErrorDefinition, ...]:
    """Return what the schema says of the errors; their types go to the reader."""
    found = tuple(
        each.definition(reader) for each in error_classes(classes, service).values()
    )
    taken: dict[str, object] = {each.name: each for each in reader.definitions}
    for each in found:
        if taken.setdefault(each.short_name, each) is not each:
            raise SchemaError(
                f"{service}: error {each.name} has a name in common with another "
                f"error or type: {each.short_name}",
                "rename one; an interface has one set of names",
            )
    return found


def _method(signature: Signature, **given: Any) -> Method[Any, Any]:
    match signature.kind, signature.stream:
        case CallKind.SERVER_STREAM, _:
            return ServerStreamMethod[Any, Any](**given)
        case CallKind.CLIENT_STREAM, StreamParameter(item=item):
            return ClientStreamMethod[Any, Any, Any](item=item, **given)
        case CallKind.BIDIRECTIONAL, StreamParameter(item=item):
            return BidirectionalMethod[Any, Any, Any](item=item, **given)
        case _:
            return UnaryMethod[Any, Any](**given)


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


def _style(
    function: FunctionType, mark: MethodMark, signature: Signature, where: str
) -> HandlerStyle:
    innermost = inspect.unwrap(function)
    generator = inspect.isgeneratorfunction(innermost)
    async_generator = inspect.isasyncgenfunction(innermost)
    coroutine = inspect.iscoroutinefunction(function)
    if signature.gives == "value" and (generator or async_generator):
        name = "AsyncIterator" if async_generator else "Iterator"
        raise SchemaError(
            f"{where}: a generator is a stream, but the result is one value",
            f"write -> {name}[...] with what it yields",
        )
    if not coroutine and inspect.iscoroutinefunction(innermost):
        raise SchemaError(
            f"{where}: a decorator hides that this is an async def",
            "make the decorator's wrapper an async def too",
        )
    if signature.gives != "value" and coroutine:
        raise SchemaError(
            f"{where}: an async def that yields nothing is no stream",
            "yield the items, or return one value",
        )
    if signature.gives == "async items" and generator:
        raise SchemaError(
            f"{where}: a plain generator is no AsyncIterator", "write Iterator[...]"
        )
    if signature.gives == "items" and async_generator:
        raise SchemaError(
            f"{where}: an async generator is no Iterator", "write AsyncIterator[...]"
        )
    asynchronous = coroutine or signature.gives == "async items"
    stream = signature.stream
    if stream is not None and stream.asynchronous != asynchronous:
        wanted = "AsyncIterator" if asynchronous else "Iterator"
        raise SchemaError(
            f'{where}: parameter "{stream.name}" is of the other kind than the method',
            f"write {wanted}[...]",
        )
    streaming = signature.kind is not CallKind.UNARY
    if mark.inline and (coroutine or streaming):
        what = "async def" if coroutine else "a stream"
        raise SchemaError(
            f"{where}: inline is for a plain def, not for {what}", "leave inline out"
        )
    match signature.gives:
        case "async items":
            return HandlerStyle.ASYNC_ITEMS
        case "items":
            return HandlerStyle.THREAD_ITEMS
        case "value":
            if coroutine:
                return HandlerStyle.ASYNC
            return HandlerStyle.INLINE if mark.inline else HandlerStyle.THREAD
