"""Arguments as people type them."""

import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
import typer

from signetrpc.idl.cli._arguments import (
    parse_arguments,
    parse_metadata,
    printed_result,
)
from signetrpc.rpc import method, service
from signetrpc.rpc._decorators import service_definition


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Entry:
    day: date
    amount: Decimal


@service("test.Typed")
class Typed:
    @method
    def texts(self, a: str, b: str | None = None) -> None: ...

    @method
    def plain(
        self,
        i: int = 0,
        f: float = 0.0,
        t: bool = False,
        x: bytes = b"",
        when: datetime | None = None,
        day: date | None = None,
        u: UUID | None = None,
        d: Decimal | None = None,
        color: Color | None = None,
        level: Level | None = None,
    ) -> None: ...

    @method
    def compound(
        self, entry: Entry, many: list[int] | None = None, nothing: None = None
    ) -> None: ...

    @method
    def bare(self) -> None: ...


DEFINITION = service_definition(Typed)


def parse(name: str, *given: str) -> dict[str, Any]:
    handler = DEFINITION.handlers[f"test.Typed/{name}"]
    found = parse_arguments(given, handler, DEFINITION.schema)
    return msgspec.structs.asdict(found)


def test_texts() -> None:
    assert parse("texts", "a=5") == {"a": "5", "b": None}
    assert parse("texts", "a=null", "b=null") == {"a": "null", "b": None}
    assert parse("texts", "a=x=y", "b=") == {"a": "x=y", "b": ""}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("i=-5", -5),
        ("f=1.5", 1.5),
        ("f=1", 1.0),
        ("t=true", True),
        ("x=AP8=", b"\0\xff"),
        ("when=2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("day=2026-01-02", date(2026, 1, 2)),
        ("day=null", None),
        ("u=00000000-0000-0000-0000-000000000005", UUID(int=5)),
        ("d=1.50", Decimal("1.50")),
        ("color=red", Color.RED),
        ("level=1", Level.LOW),
    ],
)
def test_plain_values(given: str, value: object) -> None:
    name = given.partition("=")[0]
    assert parse("plain", given)[name] == value


def test_json() -> None:
    found = parse("compound", 'entry={"day":"2026-01-02","amount":"1.5"}', "many=[1]")
    assert found["entry"] == Entry(date(2026, 1, 2), Decimal("1.5"))
    assert found["many"] == [1]
    found = parse("compound", 'entry={"day":"2026-01-02","amount":1}', "nothing=null")
    assert found["nothing"] is None


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("texts", ["a"], "argument 'a' has no value\nhint: write name=value"),
        ("texts", ["a=1", "a=2"], "argument a is given twice"),
        ("texts", [], "texts needs a\nhint: usage: a=... [b=...]"),
        ("plain", ["i=x"], "argument i: Expected int, got str"),
        ("plain", ["color=blue"], "argument color: Invalid enum value 'blue'"),
        ("plain", ["leve=1"], "plain has no argument leve\nhint: did you mean level?"),
        ("compound", ["z=1"], "hint: it has entry, many, nothing"),
        ("compound", ["entry=5"], "argument entry: Expected object, got int"),
        ("compound", ["entry=x"], "argument entry is not JSON: JSON is malformed"),
        ("bare", ["z=1"], "bare has no argument z\nhint: it has none"),
    ],
)
def test_wrong_arguments(
    capsys: pytest.CaptureFixture[str], name: str, given: list[str], says: str
) -> None:
    with pytest.raises(typer.Exit) as end:
        parse(name, *given)
    assert end.value.exit_code == 2
    assert says in capsys.readouterr().err


def test_metadata() -> None:
    assert parse_metadata(["a=b", "a=c=d", "k-bin=AP8="]) == [
        ("a", "b"),
        ("a", "c=d"),
        ("k-bin", b"\0\xff"),
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("a", "metadata 'a' has no value\nhint: write key=value"),
        ("k-bin=!", "metadata k-bin: the value is not base64"),
    ],
)
def test_wrong_metadata(
    capsys: pytest.CaptureFixture[str], given: str, says: str
) -> None:
    with pytest.raises(typer.Exit):
        parse_metadata([given])
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("é", '"é"'),
        (Decimal("1.50"), '"1.50"'),
        (b"\0\xff", '"AP8="'),
        ({1: Color.RED}, '{\n  "1": "red"\n}'),
        ({(1, "a"): [{"b": ()}]}, None),
    ],
)
def test_results(value: object, text: str | None) -> None:
    printed = printed_result(value)
    if text is None:
        assert msgspec.json.decode(printed) == [[[1, "a"], [{"b": []}]]]
    else:
        assert printed == text
