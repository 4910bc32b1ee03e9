"""Taking a rule out of the running code.

An edit changes the text of one function and swaps the function's code for what comes
of it, wherever the function is already bound; or it changes one value.  An edit that
finds nothing to change is an error: the rule has moved, and the table with it.

`Everywhere` does so too in programs that a test starts: in a server's template, and in
those of the project's own that call `take_out`.
"""

import inspect
import os
import textwrap
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final, Protocol

__all__ = [
    "Change",
    "Edit",
    "Environment",
    "Everywhere",
    "Off",
    "TAKEN_OUT",
    "Value",
    "applied",
    "resolve",
    "take_out",
]

TAKEN_OUT: Final = "SIGNETRPC_TAKEN_OUT"
"""The variable that names the changes of the programs that a test starts."""

_ROOT: Final = Path(__file__).parents[2]
_TEMPLATE: Final = "rpc._template:_PROGRAM"


class Change(Protocol):
    """Something that can be done and undone."""

    def apply(self) -> Callable[[], None]:
        """Do it and return what undoes it."""
        ...


def resolve(target: str) -> Any:
    """Return what `module:name.name` means; modules are those of `signetrpc`."""
    module, _, path = target.partition(":")
    found: Any = import_module(f"signetrpc.{module}")
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    return found


def _function(target: str) -> FunctionType:
    found = resolve(target)
    if type(found) is property:
        assert found.fget is not None
        found = found.fget
    found = inspect.unwrap(found)
    assert isinstance(found, FunctionType), target
    return found


def _compile(function: FunctionType, source: str) -> CodeType:
    """Return the code of changed source, with the free variables that it had."""
    free = function.__code__.co_freevars
    outer = f"def outer({', '.join(free)}):\n{textwrap.indent(source, '    ')}"
    whole = compile(outer, function.__code__.co_filename, "exec", dont_inherit=True)
    (made,) = (each for each in whole.co_consts if isinstance(each, CodeType))
    name = function.__code__.co_name
    (code,) = (
        each
        for each in made.co_consts
        if isinstance(each, CodeType) and each.co_name == name
    )
    assert code.co_freevars == free
    return code


def _swap(function: FunctionType, code: CodeType) -> Callable[[], None]:
    before = function.__code__

    def undo() -> None:
        function.__code__ = before

    function.__code__ = code
    return undo


def _undecorated(function: FunctionType) -> str:
    lines = textwrap.dedent(inspect.getsource(function)).splitlines(keepends=True)
    start = next(
        number
        for number, line in enumerate(lines)
        if line.startswith(("def ", "async def "))
    )
    return "".join(lines[start:])


@dataclass(frozen=True)
class Edit:
    """Changes text in a function.

    Attributes:
        target: `module:function` or `module:Class.method`.
        old: Stands in its source exactly once.
        new: Stands there instead.
    """

    target: str
    old: str
    new: str

    def apply(self) -> Callable[[], None]:
        """Do it and return what undoes it."""
        function = _function(self.target)
        source = _undecorated(function)
        assert source.count(self.old) == 1, (self.target, source.count(self.old))
        changed = source.replace(self.old, self.new)
        return _swap(function, _compile(function, changed))


@dataclass(frozen=True)
class Off:
    """Makes a function that only refuses do nothing.

    Attributes:
        target: As in `Edit`.
    """

    target: str

    def apply(self) -> Callable[[], None]:
        """Do it and return what undoes it."""
        function = _function(self.target)
        name = function.__code__.co_name
        parameters = ", ".join(inspect.signature(function).parameters)
        changed = f"def {name}({parameters}):\n    return None\n"
        return _swap(function, _compile(function, changed))


@dataclass(frozen=True)
class Value:
    """Sets a module's or an object's value.

    Attributes:
        target: As in `Edit`.
        value: The new one.
    """

    target: str
    value: object

    def apply(self) -> Callable[[], None]:
        """Do it and return what undoes it."""
        path, _, name = self.target.rpartition("." if "." in _path(self) else ":")
        owner = resolve(path) if ":" in path else import_module(f"signetrpc.{path}")
        before = getattr(owner, name)
        assert before != self.value
        setattr(owner, name, self.value)
        return lambda: setattr(owner, name, before)


def _path(value: Value) -> str:
    return value.target.partition(":")[2]


@dataclass(frozen=True)
class Environment:
    """Sets a variable of the process, for a rule that a C library keeps."""

    name: str
    value: str

    def apply(self) -> Callable[[], None]:
        """Do it and return what undoes it."""
        before = os.environ.get(self.name)
        os.environ[self.name] = self.value

        def undo() -> None:
            if before is None:
                del os.environ[self.name]
            else:
                os.environ[self.name] = before

        return undo


@dataclass(frozen=True)
class Everywhere:
    """Makes changes here and in the programs that tests start.

    Attributes:
        changes: Edits and functions that are off.
    """

    changes: tuple[Edit | Off, ...]

    def apply(self) -> Callable[[], None]:
        """Do it and return what undoes it."""
        text = repr(self.changes)
        given = text.replace("{", "{{").replace("}", "}}")
        program = (
            f"import sys; sys.path.insert(0, {str(_ROOT)!r}); "
            f"from tests.mutation.edits import take_out; take_out({given!r}); "
            f"{resolve(_TEMPLATE)}"
        )
        done = [
            each.apply()
            for each in (
                *self.changes,
                Environment(TAKEN_OUT, text),
                Value(_TEMPLATE, program),
            )
        ]

        def undo() -> None:
            for each in reversed(done):
                each()

        return undo


def take_out(text: str | None = None) -> None:
    """Make the changes of a process that started this one.

    Args:
        text: Which; None for those that the environment names.
    """
    if text is None:
        text = os.environ.get(TAKEN_OUT, "()")
    for each in eval(text, {"Edit": Edit, "Off": Off}):
        each.apply()


@contextmanager
def applied(changes: tuple[Change, ...]) -> Generator[None]:
    """Do all changes, and undo them in the end."""
    undo: list[Callable[[], None]] = []
    try:
        for change in changes:
            undo.append(change.apply())
        yield
    finally:
        for each in reversed(undo):
            each()
