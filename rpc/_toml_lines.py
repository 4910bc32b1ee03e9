"""On which line of a TOML document each key stands.

tomllib tells lines of errors in the syntax alone.  Whether a statement has come to its
end is left to tomllib too: each statement is a document of its own.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

__all__ = ["Path", "key_lines", "line_of"]

Path = tuple[str | int, ...]
"""Where a value is: keys, and positions in arrays of tables, from 0."""

# What goes over several lines is an array or a text in triple quotes.
_MAY_END: Final = re.compile(r"""[\]}]|'''|\"\"\"""")


def key_lines(text: str) -> Mapping[Path, int]:
    """Return the line, from 1, on which each key of a document is first written.

    An array written as a value has one line, that of its key.

    Args:
        text: A document that tomllib takes.
    """
    lines: dict[Path, int] = {}
    tables: dict[Path, int] = {}  # how many each array of tables has so far
    current: Path = ()
    for number, header, keys in _statements(text):
        if header:
            *_, named = _paths(keys)
            current = _enter(named, tables)
            for end in range(1, len(current) + 1):
                lines.setdefault(current[:end], number)
        else:
            for path in _paths(keys):
                lines.setdefault(current + path, number)
    return lines


def _enter(named: Path, tables: dict[Path, int]) -> Path:
    """Return where the keys after a header belong.

    Args:
        named: What the header names; with a 0 at the end, another table of an array.
        tables: The number of tables in each array; counted on.
    """
    new = named[-1] == 0
    keys = named[:-1] if new else named
    current: Path = ()
    for position, key in enumerate(keys, 1):
        current += (key,)
        if new and position == len(keys):
            tables[current] = tables.get(current, 0) + 1
        if current in tables:  # others mean its latest
            current += (tables[current] - 1,)
    return current


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of what a path names, or of the nearest thing around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _statements(text: str) -> Iterator[tuple[int, bool, dict[str, Any]]]:
    """Yield the first line of each statement, if it is a header, and what it means."""
    start, pending = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        first = not pending
        pending += line + "\n"
        if not first and not _MAY_END.search(line):
            continue
        try:
            keys = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue  # inside something that goes over lines
        if keys:
            yield start, pending.lstrip().startswith("["), keys
        start, pending = number + 1, ""


def _paths(keys: dict[str, Any], above: Path = ()) -> Iterator[Path]:
    """Yield the paths that one statement writes."""
    for key, value in keys.items():
        path = (*above, key)
        yield path
        if isinstance(value, dict):
            yield from _paths(cast("dict[str, Any]", value), path)
        elif value == [{}]:
            yield (*path, 0)
