"""Bodies: the bytes of every type, round trips, and what wrong ones lead to."""

import dataclasses
import enum
import resource
import traceback
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, TypedDict
from uuid import UUID

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc._codec import Codec, encode_value
from signetrpc.rpc._status import StatusCode
from signetrpc.rpc._wording import Subject
from signetrpc.rpc.errors import RpcError


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Entry:
    when: datetime
    amount: Decimal = Decimal(0)


class Row(msgspec.Struct):
    x: int
    tags: list[str] = []


class Cat(msgspec.Struct, tag="cat"):
    name: str


class Dog(msgspec.Struct, tag="dog"):
    name: str


class Loose(TypedDict, total=False):
    a: int


class Tree(msgspec.Struct):
    children: list["Tree"] = []


class Arguments(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    limit: object = 0


def result_codec(type_: object, *, timestamps: bool = True) -> Codec[Any]:
    return Codec(type_, subject=Subject.RESULT, timestamps=timestamps)


def arguments_codec() -> Codec[Arguments]:
    return Codec(Arguments, subject=Subject.ARGUMENTS, timestamps=True)


# The wire: what is written here is the contract of docs/types.md.
GOLDEN: list[tuple[object, object, str]] = [
    (int, 5, "05"),
    (int, -1, "ff"),
    (int, 2**64 - 1, "cfffffffffffffffff"),
    (int, -(2**63), "d38000000000000000"),
    (float, 1.5, "cb3ff8000000000000"),
    (str, "é", "a2c3a9"),
    (bytes, b"\0\xff", "c40200ff"),
    (bool, True, "c3"),
    (bool, False, "c2"),
    (type(None), None, "c0"),
    (datetime, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "d6ff695735a5"),
    (datetime, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "d7ff00005dc0695735a5"),
    (datetime, datetime(1600, 1, 1, tzinfo=UTC), "c70cff00000000fffffffd480cea00"),
    (date, date(2026, 1, 2), "aa323032362d30312d3032"),
    (timedelta, timedelta(days=1, seconds=2), "a6503144543253"),
    (timedelta, -timedelta(microseconds=5), "ac2d5054302e30303030303553"),
    (UUID, UUID(int=5), "d924" + b"00000000-0000-0000-0000-000000000005".hex()),
    (Decimal, Decimal("1.50"), "a4312e3530"),
    (Color, Color.RED, "a3726564"),
    (Level, Level.LOW, "01"),
    (list[int], [1, 2], "920102"),
    (set[int], {1}, "9101"),
    (frozenset[int], frozenset({1}), "9101"),
    (tuple[int, ...], (1, 2), "920102"),
    (tuple[int, str], (1, "a"), "9201a161"),
    (dict[str, int], {"a": 1}, "81a16101"),
    (dict[int, str], {1: "a"}, "8101a161"),
    (int | None, None, "c0"),
    (Row, Row(1), "82a17801a47461677390"),
    (Cat | Dog, Dog("Rex"), "82a474797065a3646f67a46e616d65a3526578"),
    (Loose, {"a": 1}, "81a16101"),
    (Loose, {}, "80"),
    (
        Entry,
        Entry(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), Decimal("1.5")),
        "82a47768656ed6ff695735a5a6616d6f756e74a3312e35",
    ),
]


@pytest.mark.parametrize(("type_", "value", "golden"), GOLDEN)
def test_golden_bytes_both_ways(type_: object, value: object, golden: str) -> None:
    codec = result_codec(type_)
    assert codec.encode(value).hex() == golden
    assert codec.decode(bytes.fromhex(golden)) == value
    assert codec.decode(memoryview(bytes.fromhex(golden))) == value
    # Any msgpack library can read it.
    msgpack.unpackb(bytes.fromhex(golden), strict_map_key=False)  # pyright: ignore


@pytest.mark.parametrize(("type_", "value", "golden"), GOLDEN)
def test_golden_bytes_cut_short_are_refused(
    type_: object, value: object, golden: str
) -> None:
    whole = bytes.fromhex(golden)
    for end in range(len(whole)):
        with pytest.raises(RpcError, match="INTERNAL: result"):
            result_codec(type_).decode(whole[:end])
    with pytest.raises(RpcError, match="INTERNAL: result"):
        result_codec(type_).decode(whole + b"\0")


AWARE = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
    min_value=datetime(2, 1, 1),
    max_value=datetime(9998, 1, 1),
)
TEXT = st.text(alphabet=st.characters(codec="utf-8"))
SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**63), 2**64 - 1)),
    (float, st.floats(allow_nan=False)),
    (str, TEXT),
    (bytes, st.binary()),
    (bool, st.booleans()),
    (datetime, AWARE),
    (date, st.dates()),
    (timedelta, st.timedeltas(timedelta(days=-(10**6)), timedelta(days=10**6))),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False)),
    (Color, st.sampled_from(Color)),
    (Row, st.builds(Row, st.integers(0, 9), st.lists(TEXT, max_size=3))),
    (Entry, st.builds(Entry, AWARE, st.decimals(allow_nan=False))),
]
HASHABLE = SCALARS[:-2]


@given(st.data())
def test_values_come_back(data: st.DataObject) -> None:
    type_, values = data.draw(st.sampled_from(SCALARS))
    key_type, keys = data.draw(st.sampled_from(HASHABLE))
    whole = tuple[list[type_], dict[key_type, type_], set[key_type], type_ | None]  # type: ignore[valid-type]
    value = data.draw(
        st.tuples(
            st.lists(values, max_size=4),
            st.dictionaries(keys, values, max_size=4),
            st.sets(keys, max_size=4),
            st.none() | values,
        )
    )
    codec = result_codec(whole)
    assert codec.decode(codec.encode(value)) == value


@given(st.binary(max_size=200))
def test_garbage_gives_a_value_or_a_clean_error(body: bytes) -> None:
    for codec in (arguments_codec(), result_codec(list[Entry] | dict[str, Tree])):
        try:
            codec.decode(body)
        except RpcError as error:
            assert error.status in (StatusCode.INVALID_ARGUMENT, StatusCode.INTERNAL)
            assert len(error.message) <= 300


def test_whose_fault_it_is() -> None:
    with pytest.raises(RpcError) as caught:
        arguments_codec().decode(b"\x81\xa7account\x05")
    assert caught.value.status is StatusCode.INVALID_ARGUMENT
    assert caught.value.message == 'argument "account": expected str, got int'
    with pytest.raises(RpcError) as caught:
        result_codec(str).decode(b"\x05")
    assert caught.value.status is StatusCode.INTERNAL
    assert caught.value.message == "result: expected str, got int"


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (2**64, "an int outside -2^63 to 2^64-1"),
        (-(2**63) - 1, "an int outside -2^63 to 2^64-1"),
        ({"a": "\ud800"}, "text that is not Unicode"),
        ([object()], "encoding objects of type object is unsupported"),
    ],
)
def test_what_cannot_be_encoded_is_named(limit: object, says: str) -> None:
    with pytest.raises(RpcError) as caught:
        arguments_codec().encode(Arguments("42", limit))
    assert str(caught.value) == f'INVALID_ARGUMENT: argument "limit": {says}'
    with pytest.raises(RpcError) as caught:
        result_codec(object).encode(limit)
    assert str(caught.value) == f"INTERNAL: result: {says}"


def test_naive_timestamps_go_neither_way() -> None:
    naive = datetime(2026, 1, 2)
    with pytest.raises(RpcError, match='argument "limit": a timestamp without a'):
        arguments_codec().encode(Arguments("42", naive))
    body = encode_value(Entry(naive))
    with pytest.raises(RpcError, match='result "when": a timestamp without a'):
        result_codec(Entry).decode(body)


def test_endless_values() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(RpcError, match='"limit": nested too deeply'):
        arguments_codec().encode(Arguments("42", loop))


@pytest.mark.parametrize(
    "body",
    [
        b"\x81\xa8children\x91" * 100_000,
        b"\x81\xa1x" + b"\x91" * 100_000,  # in a field that is skipped
    ],
)
def test_depth_bombs(body: bytes) -> None:
    with pytest.raises(RpcError, match="result: nested too deeply"):
        result_codec(Tree).decode(body)


@pytest.mark.parametrize(
    "type_", [list[int], tuple[int, ...], set[int], dict[int, int]]
)
def test_huge_lengths_take_no_memory(type_: object) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for header in (b"\xdd", b"\xdf", b"\xc6", b"\xdb"):
        with pytest.raises(RpcError, match="result: "):
            result_codec(type_).decode(header + b"\xff" * 4 + b"\1")
    # In nested form, each level claims all the bytes that are left.
    size = 1 << 20
    body = b""
    for _ in range(200):
        body += b"\x81\xa8children\xdd" + (size - len(body) - 20).to_bytes(4, "big")
    with pytest.raises(RpcError, match="result "):
        result_codec(Tree).decode(body.ljust(size, b"\0"))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 64 * 1024  # KiB


def test_errors_carry_no_values() -> None:
    secret = "hunter2"
    with pytest.raises(RpcError) as encoding:
        result_codec(str).encode("\ud800" + secret)
    with pytest.raises(RpcError) as decoding:
        result_codec(Color).decode(encode_value(secret))
    for caught in (encoding, decoding):
        assert secret not in "".join(traceback.format_exception(caught.value))


def test_a_types_own_check_counts_as_a_wrong_body() -> None:
    @dataclasses.dataclass
    class Positive:
        x: int

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError("x is negative")

    with pytest.raises(RpcError, match="INTERNAL: result: x is negative"):
        result_codec(Positive).decode(b"\x81\xa1x\xff")
