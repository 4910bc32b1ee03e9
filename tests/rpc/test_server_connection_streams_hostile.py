"""A server's end of a connection: clients whose streams break the rules."""

import pytest

from signetrpc.rpc import Protection
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import ITEM_OVERHEAD, MOST_CREDIT, STREAM_WINDOW
from signetrpc.rpc._messages import (
    PART_BYTES,
    Credit,
    encode_cancel,
    encode_credit,
    encode_end,
    encode_headers,
    encode_item,
    encode_part,
)
from signetrpc.transport import RemoteProtocolError
from tests.support.desk import ended_by, reply
from tests.support.river import begin, item, river
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

SIGN, SEAL = Protection.SIGN, Protection.SEAL
COUNT = begin(1, "held")
LATE = begin(1, "late")
SMALL = begin(1, "large", {"size": 1 << 19})
"""Unary, and under way until credit comes."""

HALF = encode_item(1, b"\xc4", True)
PART = encode_part(1, b"x", False)
MORE = encode_part(1, b"x", True)
WHOLE = encode_item(1, bytes(PART_BYTES - ITEM_OVERHEAD))
END = encode_end(1)
LONG = begin(1, "late", body=encode_value({"x": 1}), more=True)
WRONG = "at the wrong moment"
FULL = [WHOLE] * (STREAM_WINDOW // PART_BYTES)

BROKEN: dict[str, tuple[list[bytes], str]] = {
    "an item of no call": ([encode_item(7, b"")], "Item for call 7, never made"),
    "an end of no call": ([encode_end(7)], "End for call 7, never made"),
    "credit of no call": ([encode_credit(7, 1)], "Credit for call 7, never made"),
    "an item for a unary call": ([SMALL, item(1, 1)], f"Item for call 1 {WRONG}"),
    "an end for a unary call": ([SMALL, END], f"End for call 1 {WRONG}"),
    "a part for a unary call": ([SMALL, PART], "Part for call 1, which takes none"),
    "an item where items are given": ([COUNT, item(1, 1)], f"Item for call 1 {WRONG}"),
    "an end where items are given": ([COUNT, END], f"End for call 1 {WRONG}"),
    "a part where items are given": ([COUNT, PART], "a part of no item"),
    "an item after the end": ([LATE, END, item(1, b"")], "an item at the wrong moment"),
    "an item after the end, long": ([LATE, END, HALF], "an item at the wrong moment"),
    "the end twice": ([LATE, END, END], "the end of a stream at the wrong moment"),
    "the end in the middle": ([LATE, HALF, END], "the end of a stream at the wrong"),
    "an item in the middle": ([LATE, HALF, item(1, b"")], "an item at the wrong"),
    "a part without an item": ([LATE, PART], "a part of no item"),
    "a part after a whole item": ([LATE, item(1, b""), PART], "a part of no item"),
    "a part after the last": ([LATE, HALF, MORE, PART, PART], "a part of no item"),
    "a part after the end": ([LATE, END, PART], "a part of no item"),
    "an item before the arguments": ([LONG, item(1, b"")], f"Item for call 1 {WRONG}"),
    "an end before the arguments": ([LONG, END], f"End for call 1 {WRONG}"),
    "an item without credit": ([LATE, *FULL, item(1, b"")], "without credit"),
    "half an item without credit": ([LATE, *FULL, HALF], "without credit"),
    "credit over the limit": (
        [begin(1, "held"), encode_credit(1, MOST_CREDIT)],
        f"limit {MOST_CREDIT}",
    ),
    "credit over the limit in all": (
        [encode_credit(0, MOST_CREDIT)],
        f"limit {MOST_CREDIT}",
    ),
    "headers": ([LATE, encode_headers(1, (("k", "v"),))], "Headers from a client"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_client_that_breaks_the_rules_is_thrown_out(name: str) -> None:
    messages, says = BROKEN[name]
    async with river() as (served, connection, far, _):
        far.say(messages[0])
        await settle()
        assert connection.ended is None or len(messages) == 1
        far.say(*messages[1:], begin(99, "small"))
        error = ended_by(connection)
        assert isinstance(error, RemoteProtocolError)
        assert says in str(error)
        await settle()
        assert reply(99, "small") not in far.heard()
        await connection.aclose()
        await settle()
        assert far.pipe.aborted
        assert set(served.closed) <= {"held"}


@pytest.mark.parametrize(
    "message", [item(1, b"x"), HALF, END, encode_credit(1, 1), encode_cancel(1)]
)
async def test_nothing_of_a_stream_comes_below_its_level(message: bytes) -> None:
    async with river() as (served, connection, far, _):
        far.say(begin(1, "echo"), level=SEAL)
        await settle()
        far.say(message, level=SIGN)
        await settle()
        error = ended_by(connection)
        assert "at level SIGN for a call at SEAL" in str(error)
        assert served.closed == ["echo"] and served.got == []


async def test_a_part_below_its_calls_level() -> None:
    async with river() as (_, connection, far, _):
        far.say(begin(1, "echo"), HALF, level=SEAL)
        far.say(PART, level=SIGN)
        assert "Part at level SIGN" in str(ended_by(connection))


async def test_a_client_that_sends_for_ever_to_ended_calls_costs_nothing() -> None:
    async with river() as (_, connection, far, _):
        far.say(begin(1, "first"), item(1, 7))
        await settle()
        assert far.heard() == [reply(1, 7)]
        for _ in range(200):
            far.say(WHOLE, HALF, PART, END, encode_credit(1, MOST_CREDIT))
        assert connection.ended is None
        # Only the connection's room is given back.
        heard = far.heard()
        assert heard and all(isinstance(each, Credit) and not each.id for each in heard)


async def test_what_one_client_can_leave_lying_about_is_bounded() -> None:
    async with river() as (_, connection, far, _):
        calls = range(1, 21)
        far.say(*[begin(call_id, "late") for call_id in calls])
        await settle()
        body = bytes(PART_BYTES - ITEM_OVERHEAD)
        for call_id in calls:
            for _ in range(STREAM_WINDOW // PART_BYTES):
                far.say(encode_item(call_id, body))
        assert connection.ended is None
        far.say(encode_item(1, b""))
        assert "32 bytes of a body without credit" in str(ended_by(connection))


async def test_empty_items_do_not_get_round_the_window() -> None:
    async with river() as (_, connection, far, _):
        far.say(LATE)
        for _ in range(STREAM_WINDOW // ITEM_OVERHEAD // 64):
            far.say(*[encode_item(1, b"")] * 64)
        assert connection.ended is None
        far.say(encode_item(1, b""))
        assert "without credit" in str(ended_by(connection))
