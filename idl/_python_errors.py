"""Declared errors, written in Python: their classes, and the methods that name them."""

import textwrap
from collections.abc import Iterator, Sequence

from signetrpc.rpc._declared_errors import TAKEN
from signetrpc.rpc._schema import ErrorDefinition, MethodSchema, ServiceSchema
from signetrpc.rpc._status import StatusCode
from signetrpc.rpc.errors import SchemaError

from ._layout import bracketed, docstring, indented, quoted
from ._names import Names, identifier
from ._python_fields import field_line
from ._python_types import PythonTypes

__all__ = [
    "check_errors",
    "error_class",
    "error_scope_names",
    "errors_line",
    "errors_option",
    "merged_errors",
]

_RPC = "signetrpc.rpc"
_DOC_CHARACTERS = 80


def merged_errors(schemas: Sequence[ServiceSchema]) -> tuple[ErrorDefinition, ...]:
    """Return the errors of all services, each once.

    Raises:
        SchemaError: Two services give one name to different errors.
    """
    merged: dict[str, ErrorDefinition] = {}
    for schema in schemas:
        for each in schema.errors:
            if merged.setdefault(each.short_name, each) != each:
                raise SchemaError(
                    f"{schema.name}: another service has another error "
                    f"{each.short_name}",
                    "generate a module for each",
                )
    return tuple(merged.values())


def error_scope_names(errors: Sequence[ErrorDefinition]) -> Iterator[str]:
    """Yield each name that the classes of errors bring into the module."""
    for each in errors:
        yield identifier(each.short_name)
        yield from (identifier(field.name) for field in each.fields)


def check_errors(errors: Sequence[ErrorDefinition], taken: Sequence[str]) -> None:
    """Refuse errors whose names Python cannot have.

    Args:
        errors: Of all services.
        taken: What other classes of the module are called.

    Raises:
        SchemaError: A name is taken, or Python's own.
    """
    for each in errors:
        if identifier(each.short_name) in taken:
            raise SchemaError(
                f"error {each.name} has the name of another class", "rename the error"
            )
        for field in each.fields:
            if field.name in TAKEN or identifier(field.name) != field.name:
                raise SchemaError(
                    f"error {each.name}: a field cannot be called {field.name}",
                    "rename the field",
                )


def error_class(definition: ErrorDefinition, names: Names, types: PythonTypes) -> str:
    """Return the class of an error."""
    options = [quoted(definition.name)]
    if definition.status is not StatusCode.FAILED_PRECONDITION:
        status = names.imported(_RPC, "StatusCode")
        options.append(f"status={status}.{definition.status.name}")
    mark = bracketed(f"@{names.imported(_RPC, 'declared_error')}(", options, ")")
    base = names.imported(_RPC, "DeclaredError")
    fields = "\n".join(field_line(each, types, names) for each in definition.fields)
    parts = [docstring(definition.doc)] if definition.doc else []
    parts += [fields] if fields else []
    body = indented("\n\n".join(parts) or "pass")
    return f"{mark}\nclass {identifier(definition.short_name)}({base}):\n{body}"


def errors_option(method: MethodSchema) -> Iterator[str]:
    """Yield what the method's constant says of its errors, if it has any."""
    if method.errors:
        # One column is for the comma.
        yield bracketed("errors=[", _classes(method), "]", indent=5)


def errors_line(method: MethodSchema) -> str:
    """Return what the method's docstring says of its errors; empty without any."""
    if not method.errors:
        return ""
    text = f"Errors: {', '.join(_classes(method))}."
    return "\n" + "\n".join(textwrap.wrap(text, _DOC_CHARACTERS))


def _classes(method: MethodSchema) -> list[str]:
    return [identifier(each.rpartition(".")[2]) for each in method.errors]
