"""Pieces of source, laid out by the formatter's rules."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signetrpc.idl._layout import bracketed, docstring, indented, quoted, quoted_bytes
from tests.support.scale import scaled


def formatted(source: str) -> str:
    """Return what `ruff format` makes of a source."""
    run = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "-"],
        input=source.encode(),
        capture_output=True,
        check=True,
    )
    return run.stdout.decode()


def test_bracketed() -> None:
    assert bracketed("f(", [], ")") == "f()"
    assert bracketed("f(", ["a", "b=1"], ")") == "f(a, b=1)"
    assert bracketed("f(", ["a"], ")", open=True) == "f(\n    a,\n)"
    parts = ["x" * 40, "y" * 40]
    assert bracketed("f(", parts, ")") == f"f({parts[0]}, {parts[1]})"
    assert bracketed("f(", parts, ")", indent=4) == (
        f"f(\n    {parts[0]},\n    {parts[1]},\n)"
    )
    assert (
        bracketed("f(", ["g(\n    a,\n)"], ")") == "f(\n    g(\n        a,\n    ),\n)"
    )


def test_indented() -> None:
    assert indented("a\n\n  b") == "    a\n\n      b"


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("a", '"a"'),
        ("it's", '"it\'s"'),
        ('say "a"', "'say \"a\"'"),
        ("'\"", '"\'\\""'),
        ("\\\n", '"\\\\\\n"'),
    ],
)
def test_quoted(text: str, literal: str) -> None:
    assert quoted(text) == literal


TEXT = st.text(max_size=8) | st.text(alphabet="ab \\\"'\n\t", max_size=8)


# Short enough for one line however many have to be escaped: breaking lines is not
# the literal's business.
BLOB = TEXT.map(lambda text: text.encode()[:16])


@given(st.lists(st.tuples(TEXT, BLOB, TEXT), min_size=1, max_size=20))
@settings(max_examples=scaled(500), deadline=None)
def test_any_text_is_written_as_the_formatter_would(
    samples: list[tuple[str, bytes, str]],
) -> None:
    lines: list[str] = []
    for index, (text, blob, doc) in enumerate(samples):
        lines.append(f"t{index} = {quoted(text)}")
        lines.append(f"b{index} = {quoted_bytes(blob)}")
        lines.append(f"\n\ndef f{index}():\n{indented(docstring(doc or 'x'))}\n\n")
    source = "\n".join(lines)
    source = source.replace("\n\n\n\n", "\n\n\n").strip() + "\n"
    names: dict[str, object] = {}
    exec(source, names)
    for index, (text, blob, _) in enumerate(samples):
        assert (names[f"t{index}"], names[f"b{index}"]) == (text, blob)
    assert formatted(source) == source
