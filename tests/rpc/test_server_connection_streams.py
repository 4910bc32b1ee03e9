"""A server's end of a connection: streams, their levels and their ends."""

import pytest

from signetrpc.rpc import Protection, StatusCode
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import ITEM_OVERHEAD, STREAM_WINDOW
from signetrpc.rpc._messages import (
    PART_BYTES,
    Item,
    Message,
    Status,
    encode_cancel,
    encode_credit,
    encode_end,
    encode_item,
    encode_part,
)
from signetrpc.transport import ConnectionClosed
from tests.support.desk import answers, reply, status, until
from tests.support.river import begin, bodies, ends, item, river, values
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
WHOLE = PART_BYTES - ITEM_OVERHEAD - 3
"""Bytes in an item of bytes that counts as much as a part."""

OK = StatusCode.OK


# The kinds.


async def test_one_request_many_replies() -> None:
    async with river() as (served, connection, far, _):
        far.say(begin(1, "count", {"number": 3, "size": 2}))
        await settle()
        *items, end = far.heard()
        assert items == [Item(1, False, encode_value(b"\0\0"))] * 3
        assert end == Status(1, 0, "", [("given", "3")], None)
        assert served.closed == ["count"] and connection.ended is None


async def test_a_stream_of_nothing() -> None:
    async with river() as (_, _, far, _):
        far.say(begin(1, "count", {"number": 0}))
        await settle()
        assert far.heard() == [Status(1, 0, "", [("given", "0")], None)]


async def test_many_requests_one_reply() -> None:
    async with river() as (served, _, far, _):
        far.say(begin(1, "total", {"times": 10}), item(1, 1))
        await settle()
        assert served.got == [1]
        far.say(item(1, 2), item(1, 3))
        await settle()
        assert served.got == [1, 2, 3] and far.heard() == []
        far.say(encode_end(1))
        await settle()
        assert far.heard() == [reply(1, 60)]


async def test_no_request_at_all() -> None:
    async with river() as (_, _, far, _):
        far.say(begin(1, "total"), encode_end(1))
        await settle()
        assert far.heard() == [reply(1, 0)]


async def test_a_stream_each_way() -> None:
    async with river() as (served, _, far, _):
        far.say(begin(1, "echo"))
        for body in values(b"a", b"b"):
            far.say(encode_item(1, body))
            await settle()
            assert far.heard() == [Item(1, False, body)]
        far.say(encode_end(1))
        await settle()
        assert far.heard() == [Status(1, 0, "", None)]
        assert served.closed == ["echo"]


async def test_items_that_came_with_the_end_are_all_taken() -> None:
    async with river() as (_, _, far, _):
        numbers = [item(1, number) for number in range(100)]
        far.say(begin(1, "total"), *numbers, encode_end(1))
        await settle()
        assert far.heard()[-1] == reply(1, sum(range(100)))


@pytest.mark.parametrize(
    ("name", "arguments", "sent", "last"),
    [
        ("thread_count", {"number": 3}, [], Status(1, 0, "", None)),
        ("thread_total", {}, [item(1, 1), item(1, 2), encode_end(1)], reply(1, 3)),
        (
            "thread_echo",
            {},
            [item(1, b"a"), item(1, b"b"), item(1, b"c"), encode_end(1)],
            Status(1, 0, "", None),
        ),
    ],
)
async def test_each_kind_in_threads(
    name: str, arguments: dict[str, int], sent: list[bytes], last: Message
) -> None:
    async with river() as (served, _, far, _):
        far.say(begin(1, name, arguments), *sent)
        heard = await answers(far, 1 if name == "thread_total" else 4)
        assert heard[-1] == last
        assert len(bodies(heard)) == len(heard) - 1
        assert served.closed == [name]


# Levels.


async def test_one_item_is_raised_and_no_other() -> None:
    async with river() as (_, _, far, _):
        far.say(begin(1, "mixed"), level=SIGN)
        await settle()
        assert [(level, bodies(found)) for level, found in far.records()] == [
            (SIGN, values("signed")),
            (SEAL, values("sealed")),
            (SIGN, values("signed again")),
        ]


async def test_a_call_that_came_sealed_is_sealed_to_its_end() -> None:
    async with river() as (_, _, far, _):
        far.say(begin(1, "mixed"), level=SEAL)
        await settle()
        assert {level for level, _ in far.records()} == {SEAL}


async def test_a_single_item_of_the_callers_may_be_raised() -> None:
    async with river() as (served, _, far, _):
        far.say(begin(1, "total"), item(1, 1), level=SIGN)
        far.say(item(1, 2), level=SEAL)
        far.say(item(1, 3), encode_end(1), level=SIGN)
        await settle()
        assert served.got == [1, 2, 3]
        assert far.records() == [(SIGN, [reply(1, 6)])]


# Ends.


async def test_an_answer_may_come_before_the_callers_stream_has_ended() -> None:
    async with river() as (_, connection, far, _):
        far.say(begin(1, "first"), item(1, 7), item(1, 8))
        await settle()
        assert far.heard() == [reply(1, 7)]
        # The caller cannot have known.
        far.say(item(1, 9), encode_item(1, b"x", True), encode_part(1, b"x", False))
        far.say(encode_end(1), encode_credit(1, 5), encode_cancel(1))
        assert connection.ended is None and far.heard() == []


@pytest.mark.parametrize("name", ["echo", "held", "total", "thread_echo"])
async def test_cancelling_closes_the_handler(name: str) -> None:
    async with river() as (served, connection, far, _):
        far.say(begin(1, name))
        await settle()
        far.heard()
        far.say(encode_cancel(1))
        await until(lambda: served.closed == [name])
        await settle()
        assert far.heard() == [] and connection.ended is None


@pytest.mark.parametrize("name", ["count", "thread_count"])
async def test_cancelling_a_handler_that_waits_for_room(name: str) -> None:
    async with river() as (served, connection, far, _):
        far.say(begin(1, name, {"number": 1000, "size": WHOLE}))
        await until(lambda: served.given == STREAM_WINDOW // PART_BYTES + 1)
        await settle()
        far.heard()
        far.say(encode_cancel(1))
        await until(lambda: served.closed == [name])
        await settle()
        assert far.heard() == [] and connection.ended is None


@pytest.mark.parametrize("name", ["echo", "held", "total", "thread_total"])
async def test_time_that_runs_out_in_the_middle(name: str) -> None:
    async with river() as (served, _, far, loop):
        far.say(begin(1, name, timeout=5.0))
        await settle()
        far.heard()
        loop.advance(6.0)
        await until(lambda: served.closed == [name])
        assert ends(far.heard()) == [(1, StatusCode.DEADLINE_EXCEEDED)]


@pytest.mark.parametrize(
    ("how", "code", "text"),
    [
        ("status", StatusCode.NOT_FOUND, "gone"),
        ("bug", StatusCode.INTERNAL, "the handler failed"),
        ("wrong item", StatusCode.INTERNAL, "type object"),
    ],
)
async def test_what_came_before_an_error_is_delivered(
    how: str, code: StatusCode, text: str
) -> None:
    async with river() as (_, connection, far, _):
        far.say(begin(1, "broken", {"how": how}))
        await settle()
        one, two, end = far.heard()
        assert bodies([one, two]) == values(1, 2)
        assert status(end)[:2] == (1, code) and text in status(end)[2]
        assert "42" not in status(end)[2] and connection.ended is None


@pytest.mark.parametrize("name", ["total", "thread_total"])
async def test_an_item_of_the_wrong_type_is_the_callers_fault(name: str) -> None:
    async with river() as (served, connection, far, _):
        far.say(begin(1, name), item(1, 1), item(1, "two"))
        (message,) = await answers(far, 1)
        assert status(message)[:2] == (1, StatusCode.INVALID_ARGUMENT)
        assert served.got == [1] and served.closed == [name]
        assert connection.ended is None


async def test_all_streams_end_with_the_connection_and_leave_no_thread() -> None:
    async with river(max_threads=6) as (served, connection, far, loop):
        names = ["echo", "held", "total", "thread_echo", "thread_total"]
        for number, name in enumerate(names):
            far.say(begin(number + 1, name, timeout=9.0))
        far.say(begin(9, "thread_count", {"number": 1000, "size": WHOLE}))
        await until(lambda: served.given > 4)
        await settle()
        connection.pipe_ended(ConnectionClosed("broke", clean=False))
        await until(lambda: len(served.closed) == len(names) + 1)
        assert sorted(served.closed) == sorted([*names, "thread_count"])
        threads = connection._serving.threads  # pyright: ignore[reportPrivateUsage]
        await until(lambda: threads.borrowed_tokens == 0)
        assert loop.armed == []


async def test_a_stream_of_a_server_that_stops_ends() -> None:
    async with river() as (served, connection, far, _):
        far.say(begin(1, "held"), begin(2, "thread_total"))
        await settle()
        await connection.aclose()
        await until(lambda: sorted(served.closed) == ["held", "thread_total"])
        # Clean, and without a status: the client knows what that means.
        assert ends(far.heard()) == []
