"""The signature of one service method, read as parameters and a result."""

import inspect
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal

import msgspec

from ._annotations import NAME, type_text
from ._schema import CallKind, Parameter, TypeNode
from ._types import TypeReader
from .errors import SchemaError

__all__ = ["RESERVED", "Signature", "StreamParameter", "read_signature"]

RESERVED = frozenset(
    {"call_info", "metadata", "protection", "self", "timeout", "wait_for_ready"}
)
"""What stubs call the options of a call, so that no parameter can have the name."""

_ASYNC_STREAMS = (AsyncIterator, AsyncIterable, AsyncGenerator)
_STREAMS = (Iterator, Iterable, Generator)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamParameter:
    """The parameter that takes the caller's stream.

    Attributes:
        name: Its name.
        index: Its place among those that are passed by position; None if it has to be
            passed by name.
        asynchronous: True for an AsyncIterator.
        item: Each item's annotation.
        node: That, for the schema.
    """

    name: str
    index: int | None
    asynchronous: bool
    item: object
    node: TypeNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a method takes and returns.

    Attributes:
        parameters: For the schema.
        result: For the schema.
        arguments: A Struct made of the parameters with the method's own types.
        result_type: The annotation of the result, or of each item of it.
        keyword_only: The parameters that have to be passed by name.
        stream: The parameter that takes the caller's stream, if there is one.
        gives: Whether the result is a stream, and if so, an asynchronous one.
    """

    parameters: tuple[Parameter, ...]
    result: TypeNode
    arguments: type[msgspec.Struct]
    result_type: object
    keyword_only: tuple[str, ...]
    stream: StreamParameter | None
    gives: Literal["value", "async items", "items"]

    @property
    def kind(self) -> CallKind:
        """How many messages travel each way."""
        gives = self.gives != "value"
        if self.stream is None:
            return CallKind.SERVER_STREAM if gives else CallKind.UNARY
        return CallKind.BIDIRECTIONAL if gives else CallKind.CLIENT_STREAM


def read_signature(
    function: FunctionType, cls: type[object], where: str, reader: TypeReader
) -> Signature:
    """Read the signature of a method.

    Args:
        function: The method as its class has it.
        cls: The class, whose nested types annotations may name.
        where: The place, for messages: `bank.Accounts.balance`.
        reader: Collects the named types.

    Raises:
        SchemaError: A parameter or the result cannot travel.
    """
    signature = inspect.signature(function)
    given = list(signature.parameters.values())
    if not given or given[0].kind not in _POSITIONAL:
        raise SchemaError(f"{where}: the first parameter must be self")
    hints = _resolved_hints(function, cls, where)
    parameters: list[Parameter] = []
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    keyword_only: list[str] = []
    stream: StreamParameter | None = None
    for index, each in enumerate(given[1:]):
        place = f'{where}: parameter "{each.name}"'
        _check_parameter(each, place)
        if each.name not in hints:
            raise SchemaError(f"{place} has no type", f"write {each.name}: str")
        annotation = hints[each.name]
        found = _streamed(annotation, place)
        if found is not None:
            if stream is not None:
                raise SchemaError(
                    f"{place} is a second stream beside {stream.name!r}",
                    "a caller sends one stream; make one of a union",
                )
            if each.default is not inspect.Parameter.empty:
                raise SchemaError(f"{place} is a stream, which cannot have a default")
            by_name = each.kind is inspect.Parameter.KEYWORD_ONLY
            stream = StreamParameter(
                name=each.name,
                index=None if by_name else index,
                asynchronous=found[1],
                item=found[0],
                node=reader.read(found[0], place),
            )
            continue
        node = reader.read(annotation, place)
        default = None
        if each.default is inspect.Parameter.empty:
            fields.append((each.name, annotation))
        else:
            _refuse_mutable(each.default, place)
            default = reader.default(each.default, node, place)
            fields.append((each.name, annotation, each.default))
        if each.kind is inspect.Parameter.KEYWORD_ONLY:
            keyword_only.append(each.name)
        parameters.append(Parameter(name=each.name, type=node, default=default))
    if "return" not in hints:
        raise SchemaError(
            f"{where}: the result has no type", "write -> None where there is none"
        )
    result_type = hints["return"]
    gives: Literal["value", "async items", "items"] = "value"
    streamed = _streamed(result_type, f"{where}: result")
    if streamed is not None:
        result_type = streamed[0]
        gives = "async items" if streamed[1] else "items"
    return Signature(
        parameters=tuple(parameters),
        result=reader.read(result_type, f"{where}: result"),
        arguments=_argument_struct(function.__name__, fields),
        result_type=result_type,
        keyword_only=tuple(keyword_only),
        stream=stream,
        gives=gives,
    )


_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


def _argument_struct(
    name: str, fields: list[tuple[str, Any] | tuple[str, Any, Any]]
) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        f"{name}_arguments",
        fields,
        # A misspelt argument must not be taken for one that was left out.
        forbid_unknown_fields=True,
        # Parameters passed by name may be required after others with defaults.
        kw_only=True,
        # The Struct is never reachable from what it holds, so it needs no collector.
        gc=False,
    )


def _check_parameter(parameter: inspect.Parameter, place: str) -> None:
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        raise SchemaError(
            f"{place}: *{parameter.name} cannot travel", "use a list or a tuple"
        )
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        raise SchemaError(f"{place}: **{parameter.name} cannot travel", "use a dict")
    if parameter.name in RESERVED:
        raise SchemaError(
            f"{place}: the name is reserved for an option of the call",
            f"reserved are {', '.join(sorted(RESERVED))}",
        )
    if not NAME.fullmatch(parameter.name):
        raise SchemaError(
            f"{place}: the name cannot travel",
            "start with a letter and use only A-Z a-z 0-9 _",
        )


def _refuse_mutable(default: object, place: str) -> None:
    kind = type(default)
    if kind in (list, set, dict):
        raise SchemaError(
            f"{place}: a {kind.__name__} is shared between calls as a default",
            "use None, or tuple[...] and ()",
        )


def _streamed(annotation: object, place: str) -> tuple[object, bool] | None:
    """Return each item's annotation, and whether it is asynchronous, of a stream."""
    origin = typing.get_origin(annotation) or annotation
    asynchronous = origin in _ASYNC_STREAMS
    if not asynchronous and origin not in _STREAMS:
        return None
    arguments = typing.get_args(annotation)
    if not arguments:
        raise SchemaError(
            f"{place}: {type_text(annotation)} does not say of what",
            f"write {type_text(annotation)}[str]",
        )
    return arguments[0], asynchronous


def _resolved_hints(
    function: FunctionType, cls: type[object], where: str
) -> dict[str, Any]:
    nested = {
        name: value for name, value in vars(cls).items() if isinstance(value, type)
    }
    # The class itself is not yet a name of its module while it is decorated.
    local = {cls.__name__: cls, **nested}
    try:
        return typing.get_type_hints(function, localns=local, include_extras=True)
    except NameError as error:
        place = _place_of_name(function, str(error.name), where)
        raise SchemaError(
            f"{place}: cannot resolve type {error.name!r}",
            "define it in the module before the service class, "
            "outside functions and `if TYPE_CHECKING`",
        ) from None
    except (AttributeError, SyntaxError, TypeError) as error:
        raise SchemaError(
            f"{where}: an annotation cannot be resolved: {error}"
        ) from None


def _place_of_name(function: FunctionType, name: str, where: str) -> str:
    """Return the parameter whose annotation, still text, mentions a name."""
    for parameter, annotation in function.__annotations__.items():
        if name in type_text(annotation):
            if parameter == "return":
                return f"{where}: result"
            return f'{where}: parameter "{parameter}"'
    return where
