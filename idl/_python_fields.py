"""One line of Python for a field or a parameter, with names for what is too long."""

from signetrpc.rpc._schema import FieldDefinition, Parameter, TypeNode

from ._layout import WIDTH, bracketed, quoted
from ._names import Names, identifier
from ._python_types import PythonTypes

__all__ = [
    "field_line",
    "parameter_line",
    "rename_option",
    "stream_parameter_line",
]

_FIELD_INDENT = 4
_PARAMETER_INDENT = 8


def parameter_line(parameter: Parameter, types: PythonTypes) -> str:
    """Return a parameter of a method: `account: str = "42"`."""
    default = None
    if parameter.default is not None:
        default = types.value(parameter.default.value, parameter.type)
    name = identifier(parameter.name)
    # One column is for the comma.
    width = WIDTH - _PARAMETER_INDENT - 1
    return _line(name, parameter.type, "", default, types, width)


def stream_parameter_line(
    parameter: Parameter, source: str, types: PythonTypes, *, optional: bool
) -> str:
    """Return the parameter that takes a stream: `numbers: ItemSource[int]`.

    Args:
        parameter: With the type of each item.
        source: What gives the items.
        types: Writes the type.
        optional: Whether the stream may be left out.
    """
    start = f"{identifier(parameter.name)}: {source}["
    end = "] | None = None" if optional else "]"
    line = f"{start}{types.type(parameter.type)}{end}"
    # One column is for the comma.
    width = WIDTH - _PARAMETER_INDENT - 1
    if len(line) > width:
        line = f"{start}{types.named_type(parameter.type)}{end}"
    # The formatter's rule for what cannot be on one line: the bar begins the next.
    return line if len(line) <= width else line.replace(" | None", "\n| None")


def field_line(field: FieldDefinition, types: PythonTypes, names: Names) -> str:
    """Return a field of a Struct: `memo: str | None = None`."""
    suffix = ""
    default = None
    if field.omittable:
        msgspec = names.module("msgspec")
        suffix, default = f" | {msgspec}.UnsetType", f"{msgspec}.UNSET"
    elif field.default is not None:
        default = types.value(field.default.value, field.type)
    name = identifier(field.name)
    return _line(name, field.type, suffix, default, types, WIDTH - _FIELD_INDENT)


def rename_option(names: list[str]) -> list[str]:
    """Return the option of a Struct whose fields have other names on the wire.

    Args:
        names: The fields, as the wire has them.

    Returns:
        Nothing, or one option: `rename={"from_": "from"}`.
    """
    renamed = [
        f"{quoted(identifier(name))}: {quoted(name)}"
        for name in names
        if identifier(name) != name
    ]
    # A column is for the comma.
    return [bracketed("rename={", renamed, "}", indent=5)] if renamed else []


def _line(
    name: str,
    node: TypeNode,
    suffix: str,
    default: str | None,
    types: PythonTypes,
    width: int,
) -> str:
    text = types.type(node)
    line = _written(name, f"{text}{suffix}", default)
    if len(line) <= width and "\n" not in line:
        return line
    if default is not None and not suffix:
        default = types.named_value(default)
        line = _written(name, f"{text}{suffix}", default)
    if len(line) > width:
        line = _written(name, f"{types.named_type(node)}{suffix}", default)
    return line


def _written(name: str, text: str, default: str | None) -> str:
    return f"{name}: {text}" if default is None else f"{name}: {text} = {default}"
