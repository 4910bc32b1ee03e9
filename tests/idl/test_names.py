"""What is imported gives way to what the schema brings."""

import pytest

from signetrpc.idl._names import Names, identifier


def test_identifier() -> None:
    assert identifier("from") == "from_"
    assert identifier("None") == "None_"
    assert identifier("match") == "match"


def test_claims_are_different() -> None:
    names = Names(["a"])
    assert [names.claim("a"), names.claim("a"), names.claim("b")] == ["a_2", "a_3", "b"]


def test_builtins_stay_reachable() -> None:
    names = Names(["list"])
    assert names.builtin("dict") == "dict"
    assert names.import_lines({"builtins"}) == []
    assert names.builtin("list") == "builtins.list"
    assert names.import_lines({"builtins"}) == ["import builtins"]


def test_imports_are_renamed_where_needed() -> None:
    names = Names(["date", "msgspec", "_date"])
    assert names.imported("datetime", "datetime") == "datetime"
    assert names.imported("datetime", "date") == "_date_2"
    assert names.imported("datetime", "date") == "_date_2"
    assert names.module("msgspec") == "_msgspec"
    assert names.imported_modules() == {"datetime", "msgspec"}
    assert names.import_lines({"datetime", "msgspec"}) == [
        "import msgspec as _msgspec",
        "from datetime import date as _date_2",
        "from datetime import datetime",
    ]


def test_only_renamed_imports() -> None:
    names = Names(["date"])
    names.imported("datetime", "date")
    assert names.import_lines({"datetime"}) == ["from datetime import date as _date"]


def test_long_imports_are_broken() -> None:
    names = Names([])
    wanted = [f"name_{number}_xxxxxxxxxxxx" for number in range(4)]
    for name in wanted:
        names.imported("module", name)
    (line,) = names.import_lines({"module"})
    assert line.split("\n") == [
        "from module import (",
        *(f"    {name}," for name in wanted),
        ")",
    ]


def test_builtins_exist() -> None:
    with pytest.raises(AssertionError):
        Names([]).builtin("nothing")
