"""`module:Class`: service classes, found as Python finds them from here."""

import importlib
import inspect
import os
import sys
from types import ModuleType

from signetrpc.rpc import SchemaError
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._handlers import ServiceDefinition

from ._exits import fail

__all__ = ["load_class", "load_definition"]


def load_definition(target: str) -> ServiceDefinition:
    """Return the definition of the service at `module:Class`; exit if there is none."""
    try:
        return service_definition(load_class(target))
    except SchemaError as error:
        fail(error.message, hint=error.hint)


def load_class(target: str) -> type[object]:
    """Return the class at `module:Class`; exit if there is none.

    The module is looked for in the working folder first.
    """
    name, colon, path = target.partition(":")
    if not (name and colon and path):
        fail(
            f"{target!r} names no class", hint="write module:Class, like bank:Accounts"
        )
    module = _module(name)
    found: object = module
    for part in path.split("."):
        found = getattr(found, part, None)
    if not inspect.isclass(found):
        services = _services_of(module)
        fail(
            f"module {name} has no class {path}",
            hint=f"it has {', '.join(services)}" if services else "",
        )
    return found


def _module(name: str) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except SchemaError as error:
        fail(error.message, hint=error.hint)
    except ModuleNotFoundError as error:
        # The module itself, or the package that it should be in.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            fail(f"module {name} needs a module {error.name}, which there is not")
        fail(
            f"there is no module {error.name}",
            hint=f"signet looks in {folder}, then where Python does",
        )
    except Exception as error:
        fail(f"module {name} cannot be imported: {type(error).__name__}: {error}")


def _services_of(module: ModuleType) -> list[str]:
    found: list[str] = []
    for name, value in vars(module).items():
        if inspect.isclass(value):
            try:
                service_definition(value)
            except SchemaError:
                continue
            found.append(name)
    return found
