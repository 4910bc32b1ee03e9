"""Call messages: golden bytes, msgpack as oracle, and no byte string that surprises."""

import math
from typing import Any

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Cancel,
    Credit,
    End,
    GoAway,
    Headers,
    Item,
    Message,
    Part,
    Ping,
    Pong,
    Reply,
    Status,
    decode_message,
    encode_call,
    encode_cancel,
    encode_credit,
    encode_end,
    encode_go_away,
    encode_headers,
    encode_item,
    encode_metadata,
    encode_ping,
    encode_pong,
    encode_reply,
    encode_status,
    parts_of,
)
from signetrpc.transport import RemoteProtocolError

METHOD = encode_value("bank.Accounts/balance")
NIL = b"\xc0"


def unpack(data: bytes) -> Any:
    """Read msgpack with another implementation."""
    return msgpack.unpackb(data)


def pack(value: object) -> bytes:
    return msgpack.packb(value)


PAIRS = (("k", "v"),)

GOLDEN: list[tuple[str, bytes, Message]] = [
    (
        "97 01 ce 00 00 00 07 a3 612f62 cf 00 00 00 00 00 16 e3 60 c0 c2 c4 01 80",
        encode_call(7, encode_value("a/b"), 1.5, NIL, b"\x80"),
        Call(7, "a/b", 1_500_000, None, False, b"\x80"),
    ),
    (
        "97 01 ce ff ff ff ff a3 612f62 c0 91 92 a1 6b a1 76 c3 c4 02 81 a1",
        encode_call(
            0xFFFFFFFF,
            encode_value("a/b"),
            None,
            encode_metadata((("k", "v"),)),
            b"\x81\xa1",
            True,
        ),
        Call(0xFFFFFFFF, "a/b", None, [("k", "v")], True, b"\x81\xa1"),
    ),
    (
        "95 05 ce 00 00 00 01 91 92 a5 782d62696e c4 01 00 c2 c4 02 2a 2b",
        encode_reply(1, encode_metadata((("x-bin", b"\0"),)), b"*+"),
        Reply(1, [("x-bin", b"\0")], False, b"*+"),
    ),
    (
        "96 06 02 05 a4 676f6e65 c0 c0",
        encode_status(2, 5, "gone"),
        Status(2, 5, "gone", None),
    ),
    (
        "96 06 02 05 a0 91 92 a1 6b a1 76 c0",
        encode_status(2, 5, "", (("k", "v"),)),
        Status(2, 5, "", [("k", "v")]),
    ),
    (
        "96 06 02 05 a0 c0 91 92 a9 62616e6b2e476f6e65 c4 01 80",
        encode_status(2, 5, "", (), [("bank.Gone", b"\x80")]),
        Status(2, 5, "", None, [("bank.Gone", b"\x80")]),
    ),
    (
        "94 03 ce 00 00 00 07 c2 c4 01 2a",
        encode_item(7, b"*"),
        Item(7, False, b"*"),
    ),
    (
        "94 03 ce 00 00 00 07 c3 c4 02 81 a1",
        encode_item(7, b"\x81\xa1", True),
        Item(7, True, b"\x81\xa1"),
    ),
    ("92 04 07", encode_end(7), End(7)),
    ("93 08 00 ce 00 08 00 00", encode_credit(0, 1 << 19), Credit(0, 1 << 19)),
    ("93 08 07 01", encode_credit(7, 1), Credit(7, 1)),
    ("93 09 07 91 92 a1 6b a1 76", encode_headers(7, PAIRS), Headers(7, list(PAIRS))),
    ("93 09 07 c0", encode_headers(7, ()), Headers(7, None)),
    ("92 0a 07", encode_ping(7), Ping(7)),
    ("92 0b 00", encode_pong(0), Pong(0)),
    ("92 07 03", encode_cancel(3), Cancel(3)),
    ("93 07 03 01", encode_cancel(3, 1), Cancel(3, 1)),
    ("93 0c cd 75 30 07", encode_go_away(30.0, 7), GoAway(30_000, 7)),
]


@pytest.mark.parametrize(("golden", "written", "message"), GOLDEN)
def test_golden_bytes_both_ways(golden: str, written: bytes, message: Message) -> None:
    assert written.hex() == golden.replace(" ", "")
    assert decode_message(written) == message


def test_the_parts_of_a_body() -> None:
    body = bytes(range(256)) * 600  # two whole parts and a bit
    (one, two) = parts_of(9, body)
    assert one[:8].hex() == "9402ce00000009c3"
    assert unpack(one) == [2, 9, True, body[PART_BYTES : 2 * PART_BYTES]]
    assert unpack(two) == [2, 9, False, body[2 * PART_BYTES :]]
    assert decode_message(two) == Part(9, False, memoryview(body)[2 * PART_BYTES :])


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_body_of_whole_parts_has_no_empty_one(parts: int) -> None:
    pieces = list(parts_of(1, bytes(parts * PART_BYTES)))
    assert len(pieces) == parts - 1
    assert [unpack(piece)[2] for piece in pieces] == [True] * (parts - 2) + [False] * (
        parts > 1
    )


ids = st.integers(1, 0xFFFFFFFF)
bodies = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([255, 256, 65535, 65536]).map(lambda size: b"x" * size),
)
pairs = st.lists(
    st.tuples(st.text(max_size=5), st.text(max_size=5) | st.binary(max_size=5)),
    max_size=3,
).map(tuple)


@given(ids, st.text(max_size=512), st.none() | st.floats(0, 1e9), pairs, bodies)
def test_calls_are_msgpack(
    call_id: int, method: str, timeout: float | None, metadata: Any, body: bytes
) -> None:
    data = encode_call(
        call_id, encode_value(method), timeout, encode_metadata(metadata), body, True
    )
    microseconds = None if timeout is None else int(timeout * 1e6)
    nested = [list(pair) for pair in metadata] or None
    assert unpack(data) == [1, call_id, method, microseconds, nested, True, body]
    message = decode_message(data)
    assert isinstance(message, Call)
    assert (message.id, message.method, message.body) == (call_id, method, body)
    assert message.timeout_us == microseconds
    assert message.metadata == (list(metadata) or None)


@given(ids, pairs, bodies, st.booleans())
def test_replies_are_msgpack(
    call_id: int, trailers: Any, body: bytes, more: bool
) -> None:
    data = encode_reply(call_id, encode_metadata(trailers), body, more)
    nested = [list(pair) for pair in trailers] or None
    assert unpack(data) == [5, call_id, nested, more, body]
    assert decode_message(data) == Reply(call_id, list(trailers) or None, more, body)


@given(ids, st.integers(1, 16), st.text(max_size=300), pairs)
def test_statuses_are_msgpack(
    call_id: int, code: int, text: str, trailers: Any
) -> None:
    data = encode_status(call_id, code, text, trailers)
    nested = [list(pair) for pair in trailers] or None
    assert unpack(data) == [6, call_id, code, text, nested, None]
    assert decode_message(data) == Status(call_id, code, text, list(trailers) or None)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = decode_message(data)
    except RemoteProtocolError:
        return
    assert isinstance(message, Message)
    assert unpack(data)[0] in range(1, 13)


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.integers(1, 12), st.lists(values, max_size=8))
def test_any_array_is_a_message_or_refused(kind: int, elements: list[Any]) -> None:
    data = pack([kind, *elements])
    try:
        message = decode_message(data)
    except RemoteProtocolError:
        return
    names = message.__struct_fields__
    assert getattr(message, names[0]) == elements[0]
    # Of some kinds elements at the end may be left out.
    assert len(names) - len(message.__struct_defaults__) <= len(elements) <= len(names)


@pytest.mark.parametrize("written", [case[1] for case in GOLDEN])
def test_a_message_ended_at_each_byte_is_refused(written: bytes) -> None:
    for size in range(len(written)):
        with pytest.raises(RemoteProtocolError, match="malformed call message"):
            decode_message(written[:size])
    with pytest.raises(RemoteProtocolError, match="trailing"):
        decode_message(written + b"\0")


CALL = [1, 7, "a/b", None, None, False, b"\x80"]
REPLY = [5, 7, None, False, b"\x80"]
STATUS = [6, 7, 5, "gone", None]
ITEM = [3, 7, False, b"\x80"]
CREDIT = [8, 0, 1]
HEADERS = [9, 7, [["k", "v"]]]
DETAILED = [6, 7, 5, "gone", None, [["bank.Gone", b"\x80"]]]


def changed(message: list[Any], index: int, value: object) -> bytes:
    return pack([*message[:index], value, *message[index + 1 :]])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pack([]), ""),
        (pack({}), "array"),
        (pack([0, 1]), "Invalid value 0"),
        (pack([13, 1]), "Invalid value 13"),
        (pack([255, 1]), "Invalid value 255"),
        (pack(["1", 1]), "int"),
        (changed(CALL, 1, 0), ">= 1"),
        (changed(CALL, 1, -1), ">= 1"),
        (changed(CALL, 1, 1 << 32), "<= 4294967295"),
        (changed(CALL, 1, 1.0), "int"),
        (changed(CALL, 2, "m" * 513), "<= 512"),
        (changed(CALL, 2, b"a/b"), "str"),
        (changed(CALL, 3, -1), ">= 0"),
        (changed(CALL, 3, 1 << 63), ""),
        (changed(CALL, 3, 0.5), "int"),
        (changed(CALL, 4, [["k"]]), "length 2"),
        (changed(CALL, 4, [["k", "v", "w"]]), "length 2"),
        (changed(CALL, 4, [[1, "v"]]), "str"),
        (changed(CALL, 4, {}), "array"),
        (changed(CALL, 4, [["k", "v"]] * 1025), "<= 1024"),
        (changed(CALL, 5, 0), "bool"),
        (changed(CALL, 6, bytes(PART_BYTES + 1)), "<= 65536"),
        (changed(CALL, 6, "text"), "bytes"),
        (pack([*CALL, None]), "at most length"),
        (pack(CALL[:-1]), "length 7"),
        (changed(REPLY, 4, bytes(PART_BYTES + 1)), "<= 65536"),
        (pack([*REPLY, 1]), "at most length"),
        (changed(STATUS, 2, -1), ">= 0"),
        (changed(STATUS, 2, 17), "<= 16"),
        (changed(STATUS, 3, "m" * 8193), "<= 8192"),
        (pack([7, 1, 2, 3]), "at most length"),
        (pack([7, 1, 5]), "<= 4"),
        (pack([7, 1, 5]), "<= 4"),
        (changed(ITEM, 1, 0), ">= 1"),
        (changed(ITEM, 2, None), "bool"),
        (changed(ITEM, 3, bytes(PART_BYTES + 1)), "<= 65536"),
        (changed(ITEM, 3, "text"), "bytes"),
        (pack(ITEM[:-1]), "length 4"),
        (pack([4, 0]), ">= 1"),
        (pack([4, 1, 1]), "at most length"),
        (changed(CREDIT, 1, -1), ">= 0"),
        (changed(CREDIT, 2, 0), ">= 1"),
        (changed(CREDIT, 2, 1 << 31), "<= 2147483647"),
        (changed(CREDIT, 2, 1.5), "int"),
        (changed(HEADERS, 1, 0), ">= 1"),
        (changed(HEADERS, 2, [["k"]]), "length 2"),
        (changed(DETAILED, 5, [["n" * 201, b""]]), "<= 200"),
        (changed(DETAILED, 5, [["n", bytes(PART_BYTES + 1)]]), "<= 65536"),
        (changed(DETAILED, 5, [["n", b""]] * 33), "<= 32"),
        (changed(DETAILED, 5, [["n", "text"]]), "bytes"),
        (pack([10, -1]), ">= 0"),
        (pack([11, 1 << 32]), "<= 4294967295"),
        (pack([12, 1]), "length 3"),
        (pack([2, 1, False, bytes(PART_BYTES + 1)]), "<= 65536"),
        (b"\x92\x07\xc1", ""),
        (b"\x97\x01\x01\xa1\xff\xc0\xc0\xc2\xc4\x00", ""),  # no UTF-8
        (b"\xdd\xff\xff\xff\xff", ""),
        (b"\x97\x01\x01\xa1m\xc0\x91\x92\xa1k\xdd\xff\xff\xff\xff", ""),
        (b"\x97\x01\x01\xa1m\xc0\xdd\xff\xff\xff\xff", "<= 1024"),
        (b"\x91" * 100_000, ""),
        (b"\x97\x01\x01\xa1m\xc0" + b"\x91" * 100_000, ""),
    ],
)
def test_what_is_no_message_is_refused_by_its_element(data: bytes, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match="^malformed call message: ") as error:
        decode_message(data)
    assert says in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("seconds", "microseconds"),
    [
        (0.0, 0),
        (-1.0, 0),
        (1e-7, 0),
        (1e-6, 1),
        (0.25, 250_000),
        (1e12, 10**18),
        (9.3e12, (1 << 63) - 1),
        (1e300, (1 << 63) - 1),
        (math.inf, (1 << 63) - 1),
        (math.nan, 0),
    ],
)
def test_any_timeout_travels(seconds: float, microseconds: int) -> None:
    message = decode_message(encode_call(1, METHOD, seconds, NIL, b""))
    assert isinstance(message, Call)
    assert message.timeout_us == microseconds


def test_a_long_status_message_is_cut() -> None:
    message = decode_message(encode_status(1, 13, "ä" * 9000))
    assert isinstance(message, Status)
    assert message.message == "ä" * 8189 + "..."


def test_a_status_message_that_is_no_unicode_travels_all_the_same() -> None:
    message = decode_message(encode_status(1, 13, "file \udcff"))
    assert isinstance(message, Status)
    assert message.message == "file ?"
