"""A worker that breaks the rules costs itself its life, and nobody else anything."""

from collections.abc import AsyncIterator

import pytest

from signetrpc.rpc import Protection, StatusCode, method, service
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import LINK_WINDOW, STREAM_WINDOW
from signetrpc.rpc._messages import (
    PART_BYTES,
    Credit,
    Status,
    encode_call,
    encode_cancel,
    encode_credit,
    encode_end,
    encode_go_away,
    encode_headers,
    encode_item,
    encode_metadata,
    encode_part,
    encode_ping,
    encode_pong,
    encode_reply,
    encode_status,
)
from signetrpc.transport._frames import HEADER, FrameType
from tests.support.desk import NIL, call, reply, status
from tests.support.links import Relaying, relaying
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
GONE = "the process that ran the call has ended"
OWN, RELAYED, ITEMS, DONE, NEXT = 1, 2, 3, 4, 9
"""Of the calls of `world`: the service's own; the worker's, of two kinds, and a third
that has ended; one that was never made."""

GOOD = encode_value("X")
BAD_PAIRS = encode_metadata((("Upper", "v"),))


@service("test.Source")
class Source:
    @method(Protection.SIGN)
    async def items(self) -> AsyncIterator[int]:
        yield 1


def source(call_id: int) -> bytes:
    name = encode_value("test.Source/items")
    return encode_call(call_id, name, None, NIL, encode_value({}))


def answer(call_id: int, body: bytes = GOOD, trailers: bytes = NIL) -> bytes:
    return encode_reply(call_id, trailers, body)


async def world(held: Relaying) -> None:
    """Have a call of the service's own and others under way."""
    held.client.say(
        call(OWN, "wait", {"text": "mine"}),
        call(RELAYED, "inline", {"text": "x"}),
        source(ITEMS),
        call(DONE, "inline", {"text": "x"}),
    )
    worker = await held.opened()
    worker.far.heard()
    worker.far.say(answer(DONE))
    await settle()
    assert held.client.heard() == [reply(DONE, "X")]


def _status(code: int, message: object = "", trailers: object = None) -> bytes:
    return encode_value([6, RELAYED, code, message, trailers, None])


LONG_HEAD = encode_reply(RELAYED, NIL, bytes(PART_BYTES), True)

FORGED: dict[str, tuple[list[bytes], str]] = {
    "garbage": ([b"\xc1"], "malformed call message"),
    "an array": ([encode_value([99, 1])], "malformed call message"),
    "a call": ([call(RELAYED, "inline", {"text": "x"})], "Call from a worker"),
    "a call of a new id": ([call(NEXT, "inline")], "Call from a worker"),
    "cancel": ([encode_cancel(RELAYED)], "Cancel from a worker"),
    "end": ([encode_end(RELAYED)], "End from a worker"),
    "go away": ([encode_go_away(1.0)], "GoAway from a worker"),
    "a pong unasked": ([encode_pong(7)], "7"),
    "a future call": ([answer(NEXT)], "an answer to call 9, never made"),
    "status of a future call": ([encode_status(NEXT, 5, "")], "never made"),
    "credit of a future call": ([encode_credit(NEXT, 1)], "never made"),
    "part before reply": (
        [encode_part(RELAYED, b"x", False)],
        "a part of nothing of call 2",
    ),
    "part after reply": (
        [LONG_HEAD, encode_part(RELAYED, b"x", True), answer(RELAYED)],
        "a reply to call 2, of none",
    ),
    "second reply": ([LONG_HEAD, LONG_HEAD], "a reply to call 2, of none"),
    "item of a unary call": ([encode_item(RELAYED, b"")], "an item of call 2, of none"),
    "reply to a stream": ([answer(ITEMS)], "a reply to call 3, of none"),
    "item amid an item": (
        [encode_item(ITEMS, b"x", True), encode_item(ITEMS, b"")],
        "an item of call 3, of none",
    ),
    "part after an item": (
        [encode_item(ITEMS, b"x"), encode_part(ITEMS, b"x", False)],
        "a part of nothing of call 3",
    ),
    "status after reply": (
        [LONG_HEAD, encode_status(RELAYED, 0, "")],
        "status OK without a result",
    ),
    "status ok": ([encode_status(RELAYED, 0, "")], "status OK without a result"),
    "status unknown": ([_status(17)], "malformed call message"),
    "status no text": ([_status(5, 5)], "malformed call message"),
    "trailers of a reply": ([answer(RELAYED, GOOD, BAD_PAIRS)], "malformed trailers"),
    "trailers of a status": ([_status(5, "", [["K", "v"]])], "malformed trailers"),
    "trailers' value": ([_status(5, "", [["k", 5]])], "malformed trailers"),
    "headers": (
        [encode_value([9, RELAYED, [["k", b"bytes"]]])],
        "malformed headers",
    ),
    "headers twice": (
        [encode_headers(RELAYED, (("k", "v"),))] * 2,
        "headers of 2 come too late",
    ),
    "headers after an item": (
        [encode_item(ITEMS, b""), encode_headers(ITEMS, (("k", "v"),))],
        "headers of 3 come too late",
    ),
    "too long": (
        [LONG_HEAD, encode_part(RELAYED, bytes(PART_BYTES), True)],
        "a body of over 100000 bytes of call 2",
    ),
    "too long at once": (
        [encode_item(ITEMS, bytes(PART_BYTES), True)]
        + [encode_part(ITEMS, bytes(PART_BYTES), False)],
        "a body of over 100000 bytes of call 3",
    ),
    "no credit": (
        [encode_item(ITEMS, bytes(PART_BYTES))] * 5,
        "bytes of call 3 without credit",
    ),
    "credit of a call": (
        [encode_credit(ITEMS, 1)],
        "credit over the window of 3",
    ),
    "credit of the link": (
        [encode_credit(0, (1 << 31) - 1)] * 2,
        "credit for",
    ),
}


@pytest.mark.parametrize("name", FORGED)
async def test_it_is_killed_and_its_calls_fail(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    messages, says = FORGED[name]
    async with relaying(Source(), max_body_bytes=100_000) as held:
        await world(held)
        worker = held.worker
        # What follows in the same record is not even looked at.
        worker.far.say(*messages, answer(RELAYED))
        await settle()
        ends = {
            each.id: status(each)
            for each in held.client.heard()
            if isinstance(each, Status)
        }
        assert ends == {
            each: (each, StatusCode.UNAVAILABLE, GONE) for each in (RELAYED, ITEMS)
        }
        assert held.workers.killed == [worker.worker]
        assert worker.worker.calls == 0
        assert worker.far.pipe.aborted and worker.far.pipe.closed
        (logged,) = [each.getMessage() for each in caplog.records]
        assert f"{worker.worker} broke the rules of calls: " in logged
        assert says in logged
        # The caller's connection and the service's own call are as they were.
        held.desk.go.set()
        await settle()
        assert held.client.heard() == [reply(OWN, "mine")]
        held.client.say(call(NEXT, "inline", {"text": "x"}))
        await settle()
        assert held.worker.worker is not worker.worker
        held.worker.far.say(answer(NEXT))
        await settle()
        assert held.client.heard() == [reply(NEXT, "X")]
        assert held.connection.ended is None


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 64,
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(64),
        HEADER.pack(FrameType.RECORD, 2, 0, 0x7FFFFFFF),
    ],
    ids=["ones", "text", "zeros", "endless"],
)
async def test_bytes_that_are_no_frames(data: bytes) -> None:
    async with relaying(Source()) as held:
        await world(held)
        worker = held.worker
        worker.far.deliver(data)
        await settle()
        ends = [status(each) for each in held.client.heard()]
        assert sorted(ends) == [
            (each, StatusCode.UNAVAILABLE, GONE) for each in (RELAYED, ITEMS)
        ]
        assert held.workers.killed == [worker.worker]


@pytest.mark.parametrize(
    "message",
    [
        answer(RELAYED),
        encode_status(RELAYED, 5, ""),
        encode_item(ITEMS, b""),
        encode_headers(ITEMS, (("k", "v"),)),
        encode_credit(ITEMS, 1),
    ],
    ids=["reply", "status", "item", "headers", "credit"],
)
async def test_nothing_of_a_call_comes_below_its_level(message: bytes) -> None:
    async with relaying(Source()) as held:
        await world(held)
        held.worker.far.say(message, level=SIGN)
        await settle()
        ends = [status(each)[:2] for each in held.client.heard()]
        unavailable = StatusCode.UNAVAILABLE
        assert sorted(ends) == [(RELAYED, unavailable), (ITEMS, unavailable)]
        assert len(held.workers.killed) == 1


@pytest.mark.parametrize("call_id", [OWN, DONE])
async def test_answers_to_calls_that_are_not_its_own_are_nobodys(call_id: int) -> None:
    # A call that has ended looks the same from there as one of the service's own.
    async with relaying(Source()) as held:
        await world(held)
        held.worker.far.say(
            answer(call_id, encode_value("forged")),
            encode_status(call_id, 5, "forged"),
            encode_part(call_id, b"forged", False),
            encode_item(call_id, b"forged"),
            encode_headers(call_id, (("forged", "v"),)),
            encode_credit(call_id, 1),
        )
        await settle()
        assert held.client.heard() == []
        assert held.workers.killed == []
        held.desk.go.set()
        await settle()
        assert held.client.heard() == [reply(OWN, "mine")]
        held.worker.far.say(answer(RELAYED))
        await settle()
        assert held.client.heard() == [reply(RELAYED, "X")]


async def test_a_link_between_calls_knows_no_call() -> None:
    async with relaying() as held:
        held.client.say(call(1, "inline", {"text": "x"}))
        worker = await held.opened()
        worker.far.say(answer(1), answer(2))
        await settle()
        assert held.client.heard() == [reply(1, "X")]
        assert held.workers.killed == [worker.worker]
        assert held.connection.ended is None


async def test_a_ping_is_answered_and_credit_for_the_link_is_taken() -> None:
    async with relaying(Source()) as held:
        await world(held)
        held.worker.far.say(encode_ping(7), encode_credit(0, 1), level=SIGN)
        await settle()
        assert [type(each).__name__ for each in held.worker.far.heard()] == ["Pong"]
        assert held.workers.killed == []


async def test_bytes_for_calls_that_are_over_use_up_the_link_too() -> None:
    """So that what nobody waits for is bounded as what somebody does."""
    async with relaying(Source()) as held:
        await world(held)
        worker = held.worker
        piece = encode_part(DONE, bytes(PART_BYTES), True)
        most = LINK_WINDOW // PART_BYTES
        for _ in range(most // 2):
            worker.far.say(piece)
        await settle()
        # Half of it is given back at a time.
        credits = [each for each in worker.far.heard() if isinstance(each, Credit)]
        assert credits == [Credit(0, LINK_WINDOW // 2)]
        assert held.client.heard() == []
        assert held.workers.killed == []


async def test_one_stream_has_a_window_of_its_own() -> None:
    async with relaying(Source()) as held:
        await world(held)
        item = encode_item(ITEMS, bytes(PART_BYTES - 32))
        for _ in range(STREAM_WINDOW // PART_BYTES):
            held.worker.far.say(item)
        await settle()
        assert len(held.client.heard()) == STREAM_WINDOW // PART_BYTES
        held.client.say(encode_credit(ITEMS, 1))
        held.worker.far.say(item)
        await settle()
        assert len(held.client.heard()) == 1
        assert held.workers.killed == []
        held.worker.far.say(item)
        await settle()
        assert len(held.workers.killed) == 1
