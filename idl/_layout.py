"""Python source laid out as `ruff format` would have it, 88 characters wide.

What does not fit on its line is written one part to a line with a comma after each;
the formatter leaves such a list alone, so nothing more subtle is needed.
"""

import inspect
import re
from collections.abc import Iterable

__all__ = ["WIDTH", "bracketed", "docstring", "indented", "quoted", "quoted_bytes"]

WIDTH = 88


_ESCAPE = re.compile(r"\\(.)")


def bracketed(
    before: str,
    parts: Iterable[str],
    after: str,
    *,
    indent: int = 0,
    open: bool = False,
) -> str:
    """Return `before part, part after`, on one line if it fits.

    Args:
        before: With the opening bracket: `f(`.
        parts: What goes between the brackets; may have several lines.
        after: With the closing bracket: `)`.
        indent: How far the whole will be indented.
        open: Whether to write one part to a line even if all would fit.
    """
    items = list(parts)
    line = f"{before}{', '.join(items)}{after}"
    fits = indent + len(line) <= WIDTH and "\n" not in line
    if not items or (fits and not open):
        return line
    body = "\n".join(indented(f"{item},") for item in items)
    return f"{before}\n{body}\n{after}"


def indented(text: str, spaces: int = 4) -> str:
    """Return text with each line that is not empty moved to the right."""
    margin = " " * spaces
    return "\n".join(f"{margin}{line}" if line else "" for line in text.split("\n"))


def quoted(text: str) -> str:
    """Return a string literal, in the quotes that the formatter prefers."""
    return _in_quotes(text, repr(text))


def quoted_bytes(value: bytes) -> str:
    """Return a bytes literal, in the quotes that the formatter prefers."""
    return f"b{_in_quotes(value.decode('latin-1'), repr(value)[1:])}"


def _in_quotes(text: str, written: str) -> str:
    inner = _ESCAPE.sub(
        lambda found: found[1] if found[1] in "'\"" else found[0], written[1:-1]
    )
    # Double quotes, unless single ones need fewer backslashes.
    quote = "'" if text.count('"') > text.count("'") else '"'
    return f"{quote}{inner.replace(quote, chr(92) + quote)}{quote}"


def docstring(text: str) -> str:
    """Return a docstring of any text. It has no indentation yet."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    clean = inspect.cleandoc("\n".join(lines))
    lines = [_escaped(line).replace('"""', r"\"\"\"") for line in clean.split("\n")]
    # The quotes around the text must not merge with those in it.
    if lines[0].startswith('"'):
        lines[0] = f" {lines[0]}"
    if len(lines) == 1:
        space = " " if _ends_in_quote(lines[0]) else ""
        return f'"""{lines[0]}{space}"""'
    return "\n".join([f'"""{lines[0]}', *lines[1:], '"""'])


def _ends_in_quote(line: str) -> bool:
    start = line[:-1]
    backslashes = len(start) - len(start.rstrip("\\"))
    return line.endswith('"') and backslashes % 2 == 0


def _escaped(line: str) -> str:
    return "".join(
        character
        if character.isprintable() and character != "\\"
        else character.encode("unicode_escape").decode()
        for character in line
    )
