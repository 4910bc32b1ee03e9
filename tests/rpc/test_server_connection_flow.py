"""A server's end of a connection: long items, and who waits for whom."""

import pytest

from signetrpc.rpc import Protection, StatusCode
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import CONNECTION_WINDOW, ITEM_OVERHEAD, STREAM_WINDOW
from signetrpc.rpc._messages import (
    PART_BYTES,
    Credit,
    Part,
    Reply,
    encode_cancel,
    encode_credit,
    encode_end,
    encode_item,
    encode_part,
    parts_of,
)
from signetrpc.transport import Limits
from tests.support.desk import reply, status, until
from tests.support.river import begin, bodies, carried, ends, item, river, values
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
WHOLE = PART_BYTES - ITEM_OVERHEAD - 3
"""Bytes in an item of bytes that counts as much as a part."""

OK = StatusCode.OK


# Long items.


async def test_an_item_longer_than_a_part_and_than_the_window() -> None:
    async with river(max_body_bytes=1 << 21) as (_, _, far, _):
        size = 1 << 20
        far.say(begin(1, "count", {"number": 1, "size": size}))
        got = b""
        while True:
            await settle()
            messages = far.heard()
            if ends(messages):
                break
            # Never more than the window, by whatever it is cut.
            assert 0 < len(carried(messages)) <= STREAM_WINDOW + PART_BYTES
            got += carried(messages)
            far.say(encode_credit(1, STREAM_WINDOW), encode_credit(0, STREAM_WINDOW))
        got += carried(messages)
        assert got == encode_value(bytes(size)) and ends(messages) == [(1, OK)]


async def test_a_long_item_of_the_callers() -> None:
    async with river(max_body_bytes=1 << 21) as (_, connection, far, _):
        body = encode_value(bytes(1 << 20))
        far.say(begin(1, "late"), encode_item(1, body[:PART_BYTES], True))
        for part in parts_of(1, body):
            far.say(part)
        # It is longer than the window, and comes all the same: nothing else waits.
        assert connection.ended is None
        granted = sum(
            each.size
            for each in far.heard()
            if isinstance(each, Credit) and each.id == 1
        )
        assert len(body) - STREAM_WINDOW < granted <= len(body) + ITEM_OVERHEAD


async def test_an_item_over_the_limit_ends_its_call_alone() -> None:
    async with river(max_body_bytes=100_000) as (served, connection, far, _):
        far.say(begin(1, "echo"), begin(2, "echo"))
        await settle()
        far.say(encode_item(1, bytes(PART_BYTES), True))
        far.say(encode_part(1, bytes(PART_BYTES), True))
        await settle()
        (message,) = far.heard()
        text = "item of 131072 bytes, limit 100000"
        assert status(message) == (1, StatusCode.RESOURCE_EXHAUSTED, text)
        assert served.closed == ["echo"]
        far.say(encode_part(1, bytes(PART_BYTES), False), item(2, b"on"))
        await settle()
        assert bodies(far.heard(), 2) == values(b"on")
        assert connection.ended is None


async def test_an_item_that_the_handler_makes_too_long() -> None:
    async with river(max_body_bytes=1000) as (served, _, far, _):
        far.say(begin(1, "count", {"number": 2, "size": 1000}))
        await settle()
        (message,) = far.heard()
        text = "item of 1003 bytes, limit 1000"
        assert status(message) == (1, StatusCode.RESOURCE_EXHAUSTED, text)
        assert served.closed == ["count"]


async def test_an_item_that_does_not_fit_the_caller() -> None:
    few = Limits(max_record_bytes=4096, max_message_bytes=1024)
    async with river(limits=few) as (served, connection, far, _):
        for call_id in range(1, 40):
            far.say(begin(call_id, "count", {"number": 1, "size": PART_BYTES - 5}))
            await settle()
            (message,) = far.heard()
            assert status(message)[:2] == (call_id, StatusCode.RESOURCE_EXHAUSTED)
            assert "limit 1024" in status(message)[2]
        # None of it was sent, and none of it used up any window.
        far.say(begin(99, "count", {"number": 1}))
        await settle()
        assert ends(far.heard()) == [(99, OK)]
        assert connection.ended is None and served.closed == ["count"] * 40


# Who waits for whom.


@pytest.mark.parametrize("name", ["count", "thread_count"])
async def test_a_caller_that_takes_nothing_stops_its_handler_and_no_other(
    name: str,
) -> None:
    async with river() as (served, connection, far, _):
        far.say(begin(1, name, {"number": 1000, "size": WHOLE}))
        room = STREAM_WINDOW // PART_BYTES
        await until(lambda: served.given == room + 1)
        await settle()
        heard = far.heard()
        assert len(bodies(heard)) == room and len(carried(heard)) <= STREAM_WINDOW
        # Others go on: a small call, and a stream of their own.
        far.say(begin(2, "small"), begin(3, "count", {"number": 8, "size": 1000}))
        await settle()
        heard = far.heard()
        assert heard[0] == reply(2, "small")
        assert len(bodies(heard, 3)) == 8 and ends(heard) == [(3, OK)]
        # A byte of credit is one more message: the last may go over.
        far.say(encode_credit(1, 1))
        await until(lambda: served.given == room + 2 + 8)
        await settle()
        assert len(bodies(far.heard())) == 1
        far.say(encode_cancel(1))
        await until(lambda: name in served.closed and connection.ended is None)


async def test_a_connection_without_credit_stops_all_streams_and_no_small_call() -> (
    None
):
    async with river() as (_, _, far, _):
        ids = range(1, 7)
        for call_id in ids:
            far.say(begin(call_id, "count", {"number": 1000, "size": WHOLE}))
        await settle()
        heard = far.heard()
        sent = sum(len(carried(heard, call_id)) for call_id in ids)
        assert sent <= CONNECTION_WINDOW
        assert len(heard) == CONNECTION_WINDOW // PART_BYTES
        far.say(begin(9, "small"))
        await settle()
        assert far.heard() == [reply(9, "small")]
        # What has room by itself goes on when the connection has.
        far.say(encode_credit(0, 4 * PART_BYTES))
        await settle()
        assert len(far.heard()) == 4


async def test_a_handler_that_takes_nothing_stops_its_caller_and_no_other() -> None:
    async with river() as (served, connection, far, _):
        far.say(begin(1, "late"), begin(2, "late"))
        whole = item(1, bytes(WHOLE))
        for _ in range(STREAM_WINDOW // PART_BYTES):
            far.say(whole)
        await settle()
        # No room for the call; but the connection's is given back at once.
        assert [each for each in far.heard() if each != Credit(0, 512 * 1024)] == []
        far.say(item(2, b"abc"), begin(3, "small"))
        assert reply(3, "small") in far.heard()
        served.go.set()
        await settle()
        assert Credit(1, STREAM_WINDOW // 2) in far.heard()
        far.say(encode_end(1), encode_end(2))
        await settle()
        replies = [each for each in far.heard() if isinstance(each, Reply)]
        assert len(replies) == 2
        assert reply(1, 4 * WHOLE) in replies and reply(2, 3) in replies
        assert connection.ended is None


async def test_credit_is_given_for_all_that_a_handler_takes() -> None:
    async with river() as (_, connection, far, _):
        far.say(begin(1, "echo"))
        left = STREAM_WINDOW
        for _ in range(100):
            far.say(item(1, bytes(WHOLE)))
            await settle()
            left -= PART_BYTES
            heard = far.heard()
            left += sum(
                each.size for each in heard if isinstance(each, Credit) and each.id == 1
            )
            assert left > 0 and len(bodies(heard)) == 1
            far.say(encode_credit(1, PART_BYTES), encode_credit(0, PART_BYTES))
        assert left > STREAM_WINDOW // 2 and connection.ended is None


async def test_a_small_call_is_answered_between_the_parts_of_a_large_reply() -> None:
    async with river() as (_, _, far, _):
        far.say(begin(1, "large", {"size": 600_000}))
        await settle()
        first, *parts = far.heard()
        assert isinstance(first, Reply) and first.more
        assert len(parts) == STREAM_WINDOW // PART_BYTES
        far.say(begin(2, "small"))
        await settle()
        assert far.heard() == [reply(2, "small")]
        far.say(encode_credit(1, 600_000))
        await settle()
        last = far.heard()[-1]
        assert isinstance(last, Part) and not last.more


async def test_a_small_call_is_taken_between_the_parts_of_large_arguments() -> None:
    async with river() as (_, connection, far, _):
        body = encode_value({"number": 1, "size": 0} | {"x": bytes(300_000)})
        far.say(begin(1, "count", body=body[:PART_BYTES], more=True))
        for number, part in enumerate(parts_of(1, body)):
            far.say(part, begin(2 + number, "small"))
            assert reply(2 + number, "small") in far.heard()
        await settle()
        assert connection.ended is None


async def test_a_full_pipe_stops_streams() -> None:
    async with river() as (served, _, far, _):
        far.pipe.full = True
        far.say(begin(1, "count", {"number": 1000, "size": 1000}))
        await settle()
        assert served.given == 1 and bodies(far.heard()) == []
        far.pipe.make_room()
        await settle()
        assert len(bodies(far.heard())) == served.given - 1


@pytest.mark.parametrize("name", ["small", "late"])
async def test_arguments_over_a_small_limit(name: str) -> None:
    async with river(max_body_bytes=100) as (_, connection, far, _):
        far.say(begin(1, name, body=bytes(101)))
        (message,) = far.heard()
        text = "arguments of 101 bytes, limit 100"
        assert status(message) == (1, StatusCode.RESOURCE_EXHAUSTED, text)
        assert connection.ended is None


@pytest.mark.parametrize("more", [True, False])
async def test_an_item_over_a_small_limit(more: bool) -> None:
    async with river(max_body_bytes=100) as (_, connection, far, _):
        far.say(begin(1, "late"), encode_item(1, bytes(101), more))
        (message,) = far.heard()
        text = "item of 101 bytes, limit 100"
        assert status(message) == (1, StatusCode.RESOURCE_EXHAUSTED, text)
        assert connection.ended is None
