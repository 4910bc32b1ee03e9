"""Whether a schema's names can stand in a Python module, and which there are."""

from collections.abc import Iterable, Iterator, Sequence

from signetrpc.rpc._schema import (
    EnumDefinition,
    MethodSchema,
    ServiceSchema,
    StructDefinition,
    TypeDefinition,
)
from signetrpc.rpc._signatures import RESERVED
from signetrpc.rpc.errors import SchemaError

from ._names import identifier

__all__ = [
    "camel_case",
    "check_names",
    "client_names",
    "merged_types",
    "needs_keywords",
    "parameter_names",
    "scope_names",
]


def camel_case(name: str) -> str:
    """Return `OpenAccount` for `open_account`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def client_names(schemas: Sequence[ServiceSchema]) -> list[str]:
    """Return what the generated classes are called that call the services.

    Raises:
        SchemaError: Two services have the same short name.
    """
    names = [each.short_name for each in schemas]
    for schema in schemas:
        if names.count(schema.short_name) > 1:
            raise SchemaError(
                f"{schema.name}: another service is called {schema.short_name}, too",
                "generate a module for each",
            )
    return [f"{way}{name}Client" for name in names for way in ("", "Blocking")]


def merged_types(schemas: Sequence[ServiceSchema]) -> tuple[TypeDefinition, ...]:
    """Return the types of all services, each once.

    Raises:
        SchemaError: Two services give one name to different types.
    """
    merged: dict[str, TypeDefinition] = {}
    for schema in schemas:
        for each in schema.types:
            if merged.setdefault(each.name, each) != each:
                raise SchemaError(
                    f"{schema.name}: another service has another type {each.name}",
                    "generate a module for each",
                )
    return tuple(merged.values())


def needs_keywords(method: MethodSchema) -> bool:
    """Whether a parameter without a default comes after one with.

    Python allows that only for parameters that are passed by name.
    """
    defaults = [each.default is not None for each in method.parameters]
    return defaults != sorted(defaults)


def parameter_names(method: MethodSchema) -> list[str]:
    """Return the names of all that a method takes, a stream's last."""
    names = [each.name for each in method.parameters]
    return names if method.stream is None else [*names, method.stream.name]


def scope_names(schema: ServiceSchema) -> Iterator[str]:
    """Yield each name that the module or the body of one of its classes has.

    In any of these places it can hide a type from the annotations below it. Parameters
    are among them, since the classes for arguments have them as fields.
    """
    for definition in schema.types:
        yield identifier(definition.name)
        if isinstance(definition, StructDefinition):
            yield from (identifier(each.name) for each in definition.fields)
    for method in schema.methods:
        yield identifier(method.name)
        yield from map(identifier, parameter_names(method))


def check_names(schema: ServiceSchema, clients: Iterable[str]) -> None:
    """Refuse a schema whose names Python cannot have.

    Args:
        schema: The service.
        clients: What the classes will be called that call it.

    Raises:
        SchemaError: Two names would be one, or one is taken.
    """
    where = schema.name
    _refuse_twins((each.name for each in schema.types), where)
    _refuse_twins((each.name for each in schema.methods), where)
    for definition in schema.types:
        if identifier(definition.name) in clients:
            raise SchemaError(
                f"{where}: type {definition.name} has the name of a generated class",
                "rename the type",
            )
        parts = (
            definition.members
            if isinstance(definition, EnumDefinition)
            else definition.fields
        )
        _refuse_twins((each.name for each in parts), f"{where}: {definition.name}")
    for method in schema.methods:
        names = parameter_names(method)
        _refuse_twins(names, f"{where}.{method.name}")
        for name in RESERVED.intersection(names):
            raise SchemaError(
                f'{where}.{method.name}: parameter "{name}" has a reserved name',
                f"reserved are {', '.join(sorted(RESERVED))}",
            )


def _refuse_twins(names: Iterable[str], where: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(identifier(name), name)
        if other is not name:
            raise SchemaError(
                f"{where}: {other} and {name} would both be {identifier(name)}",
                "rename one",
            )
