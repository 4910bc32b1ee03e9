"""On which line a key of TOML stands, however it is written."""

import tomllib

import pytest

from signetrpc.rpc._toml_lines import Path, key_lines, line_of

TEXT = '''\
# a comment
default = "deny"

[[rule]]   # the first
allow = [  # over lines
    "a/*",
    # [[rule]] in a comment
    "[[rule]]",
]
"realms" = ["R"]
text = """
[[rule]]
default = 1
"""

  [[rule]]
deny = ["b/c"]
'''


def test_keys_of_arrays_of_tables() -> None:
    tomllib.loads(TEXT)
    assert dict(key_lines(TEXT)) == {
        ("default",): 2,
        ("rule",): 4,
        ("rule", 0): 4,
        ("rule", 0, "allow"): 5,
        ("rule", 0, "realms"): 10,
        ("rule", 0, "text"): 11,
        ("rule", 1): 16,
        ("rule", 1, "deny"): 17,
    }


def test_line_ends_of_windows_are_line_ends() -> None:
    assert key_lines(TEXT.replace("\n", "\r\n")) == key_lines(TEXT)


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a.b.c = 1\n\na.b.d = 2\n", ("a", "b", "d"), 3),
        ("a.b.c = 1\n\na.b.d = 2\n", ("a", "b"), 1),
        ("\nt = { x = 1, y = { z = 2 } }", ("t", "y", "z"), 2),
        ("[[r]]\n[r.s]\nx = 1\n[[r]]\n[r.s]\nx = 1\n", ("r", 1, "s", "x"), 6),
        ("[[r]]\n[[r.s]]\n[[r.s]]\nx = 1\n[[r]]\n[[r.s]]\n", ("r", 0, "s", 1, "x"), 4),
        ("[[r]]\n[[r.s]]\n[[r.s]]\nx = 1\n[[r]]\n[[r.s]]\n", ("r", 1, "s", 0), 6),
        ("[a.b]\nx = 1\n[a]\ny = 1\n", ("a", "y"), 4),
        ("[a.b]\nx = 1\n[a]\ny = 1\n", ("a",), 1),
        ("\nr = [\n { x = 1 },\n { x = 2 },\n]\n", ("r", 1, "x"), 2),
        ("s = '''\n]\n'''\nx = 1\n", ("x",), 4),
        ("s = [[1,\n2],\n[3]]\nx = 1", ("x",), 4),
        ("", ("x",), 1),
    ],
)
def test_where_a_key_is(text: str, path: Path, line: int) -> None:
    tomllib.loads(text)
    assert line_of(key_lines(text), path) == line


def test_a_list_of_thousands_is_read_in_one_go() -> None:
    many = "".join(f'  "user{number}@R",\n' for number in range(5000))
    lines = key_lines(f"[[rule]]\nprincipals = [\n{many}]\nlast = 1\n")
    assert lines["rule", 0, "last"] == 5004
