"""Names of a generated module: none ever means two things.

In Python a method called `list` hides the type `list` from the annotations below it,
and a field `date: date` hides `date` from the next field. So every name that the
schema brings is known first, and what is imported gives way to it.
"""

import builtins
import keyword
from collections.abc import Iterable

__all__ = ["Names", "identifier"]


def identifier(name: str) -> str:
    """Return a schema's name as Python can have it: `from_` for `from`."""
    return f"{name}_" if keyword.iskeyword(name) else name


class Names:
    """The names of one module, and the imports that it turns out to need."""

    def __init__(self, taken: Iterable[str]) -> None:
        """Begin with the names that the schema brings."""
        self._taken = set(taken)
        self._imports: dict[str, dict[str, str]] = {}
        self._modules: dict[str, str] = {}

    def claim(self, wanted: str) -> str:
        """Return a name that nothing else has: the wanted one or one like it."""
        name = wanted
        number = 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def builtin(self, name: str) -> str:
        """Return how to write a built-in type."""
        assert hasattr(builtins, name)
        return f"{self.module('builtins')}.{name}" if name in self._taken else name

    def module(self, name: str) -> str:
        """Return how to write a module, and import it."""
        if name not in self._modules:
            self._modules[name] = self._free(name)
        return self._modules[name]

    def imported(self, module: str, name: str) -> str:
        """Return how to write a name of another module, and import it."""
        names = self._imports.setdefault(module, {})
        if name not in names:
            names[name] = self._free(name)
        return names[name]

    def import_lines(self, modules: Iterable[str]) -> list[str]:
        """Return the import statements for some of the modules, sorted as isort does.

        Args:
            modules: Which modules: those of one block of imports.
        """
        chosen = set(modules)
        plain = [
            f"import {module}" if module == local else f"import {module} as {local}"
            for module, local in sorted(self._modules.items())
            if module in chosen
        ]
        lines: list[str] = []
        for module, names in sorted(self._imports.items()):
            if module in chosen:
                lines.extend(_from_lines(module, names))
        return plain + lines

    def imported_modules(self) -> set[str]:
        """Return every module that something is imported from."""
        return {*self._modules, *self._imports}

    def _free(self, name: str) -> str:
        return self.claim(f"_{name}" if name in self._taken else name)


def _from_lines(module: str, names: dict[str, str]) -> list[str]:
    renamed = [
        f"from {module} import {name} as {local}"
        for name, local in sorted(names.items())
        if name != local
    ]
    own = sorted(name for name, local in names.items() if name == local)
    if not own:
        return renamed
    line = f"from {module} import {', '.join(own)}"
    if len(line) > 88:
        line = "\n".join(
            [f"from {module} import (", *(f"    {name}," for name in own), ")"]
        )
    return [*renamed, line]
