"""`name=value`: a call's arguments, read by their declared types."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from signetrpc.rpc._handlers import Handler
from signetrpc.rpc._schema import (
    EnumDefinition,
    MethodSchema,
    NamedType,
    OptionalType,
    Parameter,
    Scalar,
    ScalarType,
    ServiceSchema,
    TypeNode,
)

from ._exits import fail

__all__ = ["parse_arguments", "parse_metadata", "printed_item", "printed_result"]


def parse_arguments(
    given: Iterable[str], handler: Handler, schema: ServiceSchema
) -> Any:
    """Return the Struct of a call's arguments; exit if they are not of their types.

    Args:
        given: `name=value` each. Scalars and enums are written plainly, the rest is
            JSON; `null` is none where there may be none.
        handler: Of the method that is called.
        schema: Of its service.
    """
    method = next(each for each in schema.methods if each.name == handler.method.name)
    parameters = {each.name: each for each in method.parameters}
    types = {
        field.name: field.type
        for field in msgspec.structs.fields(handler.method.arguments)
    }
    values: dict[str, object] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals:
            fail(f"argument {pair!r} has no value", hint="write name=value")
        if name not in parameters:
            fail(f"{method.name} has no argument {name}", hint=_similar(name, method))
        if name in values:
            fail(f"argument {name} is given twice")
        plain = _is_plain(parameters[name].type, schema)
        values[name] = _value(name, text, types[name], plain=plain)
    missing = [
        each.name
        for each in method.parameters
        if each.default is None and each.name not in values
    ]
    if missing:
        fail(
            f"{method.name} needs {' and '.join(missing)}",
            hint=f"usage: {_usage(method.parameters)}",
        )
    return handler.method.arguments(**values)


def parse_metadata(given: Iterable[str]) -> list[tuple[str, str | bytes]]:
    """Return metadata from `key=value` each; exit if one is not of that form.

    The values of keys that end in `-bin` are base64.
    """
    pairs: list[tuple[str, str | bytes]] = []
    for pair in given:
        key, equals, text = pair.partition("=")
        if not equals:
            fail(f"metadata {pair!r} has no value", hint="write key=value")
        if key.endswith("-bin"):
            try:
                pairs.append((key, msgspec.convert(text, bytes)))
            except msgspec.ValidationError:
                fail(f"metadata {key}: the value is not base64")
        else:
            pairs.append((key, text))
    return pairs


def printed_result(value: object) -> str:
    """Return a result as JSON; maps with keys that JSON has not are lists of pairs."""
    return _escaped(msgspec.json.format(_encoded(value), indent=2).decode())


def printed_item(value: object) -> str:
    """Return an item of a stream as JSON on one line."""
    return _escaped(_encoded(value).decode())


def _escaped(text: str) -> str:
    # JSON lets through what commands a terminal: in xterm U+009B is ESC and "[".
    return "".join(
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1]
        for each in text
    ).replace("\x7f", "\\u007f")


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except TypeError:
        return msgspec.json.encode(_with_pairs(msgspec.to_builtins(value)))


def _with_pairs(value: Any) -> Any:
    if isinstance(value, dict):
        entries: list[tuple[Any, Any]] = list(value.items())  # pyright: ignore[reportUnknownArgumentType]
        if all(isinstance(key, str | int) for key, _ in entries):
            return {key: _with_pairs(entry) for key, entry in entries}
        return [[_with_pairs(key), _with_pairs(entry)] for key, entry in entries]
    if isinstance(value, list | tuple):
        items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
        return [_with_pairs(item) for item in items]
    return value


def _value(name: str, text: str, type_: Any, *, plain: bool) -> object:
    try:
        if plain and text == "null":
            # A text that may be none cannot be the text "null".
            try:
                return msgspec.convert(None, type_)
            except msgspec.ValidationError:
                pass
        if plain:
            return msgspec.convert(text, type_, strict=False)
        return msgspec.json.decode(text, type=type_)
    except msgspec.ValidationError as error:
        fail(f"argument {name}: {str(error).replace('`', '')}")
    except msgspec.DecodeError as error:
        fail(
            f"argument {name} is not JSON: {error}",
            hint="quote it for the shell: '...'",
        )


def _is_plain(node: TypeNode, schema: ServiceSchema) -> bool:
    match node:
        case ScalarType(scalar=scalar):
            return scalar is not Scalar.NONE
        case OptionalType(item=item):
            return _is_plain(item, schema)
        case NamedType(name=name):
            (found,) = (each for each in schema.types if each.name == name)
            return isinstance(found, EnumDefinition)
        case _:
            return False


def _similar(name: str, method: MethodSchema) -> str:
    names = [each.name for each in method.parameters]
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"it has {', '.join(names)}" if names else "it has none"


def _usage(parameters: Iterable[Parameter]) -> str:
    return " ".join(
        f"{each.name}=..." if each.default is None else f"[{each.name}=...]"
        for each in parameters
    )
