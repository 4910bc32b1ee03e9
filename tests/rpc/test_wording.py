"""What wrong bodies are said to be, and that no value is repeated."""

import enum
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest

from signetrpc.rpc import Protection, raised
from signetrpc.rpc._wording import Subject, decode_problem, encode_problem, placed

packed = msgspec.msgpack.encode


class Color(enum.Enum):
    RED = "red"


class Cat(msgspec.Struct, tag="cat"):
    name: str


class Dog(msgspec.Struct, tag="dog"):
    name: str


class Entry(msgspec.Struct):
    when: datetime
    amount: Decimal = Decimal(0)


class Arguments(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    entry: Entry | None = None
    numbers: list[int] = []
    names: dict[str, int] = {}
    color: Color = Color.RED
    pet: Cat | Dog | None = None


def problem(body: bytes, subject: Subject = Subject.ARGUMENTS) -> str:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)) as caught:
        msgspec.msgpack.decode(body, type=Arguments)
    return decode_problem(caught.value, subject)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"account": 42}, 'argument "account": expected str, got int'),
        ({}, 'missing argument "account"'),
        ({"account": "a", "yaer": 1}, 'unknown argument "yaer"'),
        ({"account": "a", 'y"\n': 1}, 'unknown argument "y\\"\\n"'),
        (
            {"account": "a", "numbers": [1, "b"]},
            'argument "numbers[1]": expected int, got str',
        ),
        (
            {"account": "a", "names": {1: 1}},
            'argument "names": expected str, got int as a key',
        ),
        (
            {"account": "a", "names": {"b": "c"}},
            'argument "names[...]": expected int, got str',
        ),
        ({"account": "a", "entry": {}}, 'argument "entry": missing field "when"'),
        ({"account": "a", "entry": 1}, 'argument "entry": expected object | null, got'),
        (
            {"account": "a", "entry": {"when": "hunter2"}},
            'argument "entry.when": invalid RFC3339 encoded datetime',
        ),
        (
            {"account": "a", "color": "hunter2"},
            'argument "color": not one of the enum\'s values',
        ),
        (
            {"account": "a", "pet": {"type": "hunter2 - at `$"}},
            "not one of the union's values",
        ),
        ([], "arguments: expected object, got array"),
        ({1: 2}, "arguments: expected str, got int as a key"),
    ],
)
def test_decoding(arguments: object, says: str) -> None:
    said = problem(packed(arguments))
    assert said.startswith(says) or says in said
    assert "hunter2" not in said


def test_results_have_fields_instead() -> None:
    assert problem(packed({}), Subject.RESULT) == 'result: missing field "account"'
    said = problem(packed({"account": 1}), Subject.RESULT)
    assert said == 'result "account": expected str, got int'


def test_broken_msgpack() -> None:
    assert problem(b"") == "arguments: input data was truncated"
    assert problem(b"\xc1").startswith("arguments: MessagePack data is malformed")
    assert problem(b"\x81\xa7account\xa1\xff") == "arguments: text that is not UTF-8"


def test_nesting() -> None:
    assert decode_problem(RecursionError(), Subject.RESULT) == (
        "result: nested too deeply"
    )


def test_everything_is_bounded() -> None:
    long = "x" * 10_000
    assert len(problem(packed({"account": "a", long: 1}))) < 100
    assert len(placed(long, f"$.{long}", Subject.ARGUMENTS)) <= 300


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2**64, "an int outside -2^63 to 2^64-1"),
        ("\ud800hunter2", "text that is not Unicode"),
        (object(), "encoding objects of type object is unsupported"),
        (raised(1, Protection.SEAL), "raised() is for the items of a stream"),
    ],
)
def test_encoding(value: object, says: str) -> None:
    with pytest.raises((OverflowError, UnicodeError, TypeError)) as caught:
        packed(value)
    said = encode_problem(caught.value, "$.account", Subject.ARGUMENTS)
    assert said == f'argument "account": {says}'
    assert encode_problem(RecursionError(), "$", Subject.RESULT) == (
        "result: nested too deeply, or contains itself"
    )
