"""What waits between a caller and its worker when one of them does not read."""

from collections.abc import AsyncIterator

import pytest

from signetrpc.rpc import Protection, StatusCode, method, service
from signetrpc.rpc import _relay as relay_module
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import STREAM_WINDOW
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Item,
    encode_call,
    encode_cancel,
    encode_credit,
    encode_item,
    encode_reply,
)
from tests.support.desk import NIL, call, reply, status
from tests.support.links import Relaying, relaying
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

SEAL = Protection.SEAL
MEBIBYTE = 1024 * 1024


@service("test.Both")
class Both:
    @method(Protection.SIGN)
    async def echo(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for item in items:
            yield item


def stream(call_id: int) -> bytes:
    return encode_call(
        call_id, encode_value("test.Both/echo"), None, NIL, encode_value({})
    )


def piece(call_id: int) -> bytes:
    """An item that counts as one part."""
    return encode_item(call_id, bytes(PART_BYTES - 32))


def paused(held: Relaying) -> tuple[bool, bool]:
    """Whether nothing is read from the caller, and from the worker."""
    return held.client.pipe.paused, held.worker.far.pipe.paused


async def test_of_a_caller_that_does_not_read_the_worker_waits() -> None:
    async with relaying(Both()) as held:
        held.client.say(stream(1), stream(2))
        worker = await held.opened()
        held.client.pipe.full = True
        worker.far.say(piece(1))
        await settle()
        assert paused(held) == (True, True)
        before = len(held.client.pipe.sent)
        worker.far.say(piece(2), piece(1))
        await settle()
        assert len(held.client.pipe.sent) == before
        held.client.pipe.make_room()
        await settle()
        assert len(held.client.heard()) == 3
        assert paused(held) == (False, False)


async def test_of_a_caller_without_credit_the_worker_waits() -> None:
    """The window is the connection's: what one call may send another may not."""
    async with relaying(Both()) as held:
        calls = range(1, 6)
        held.client.say(*map(stream, calls))
        worker = await held.opened()
        each = STREAM_WINDOW // PART_BYTES
        for call_id in calls:
            worker.far.say(*[piece(call_id)] * each)
            await settle()
        # 1 MiB for the connection: the last call's have to wait, all but what was read
        # before the window was empty.
        assert paused(held) == (False, True)
        assert len(held.client.heard()) == MEBIBYTE // PART_BYTES
        held.client.say(encode_credit(0, MEBIBYTE))
        await settle()
        assert paused(held) == (False, False)
        assert len(held.client.heard()) == each


async def test_of_a_worker_without_credit_the_caller_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "LINK_WINDOW", 4 * PART_BYTES)
    async with relaying(Both()) as held:
        held.client.say(stream(1), stream(2))
        worker = await held.opened()
        held.client.say(*[piece(1)] * 3)
        await settle()
        assert paused(held) == (False, False)
        held.client.say(piece(2))
        await settle()
        assert paused(held) == (True, False)
        held.client.say(piece(2))
        await settle()
        assert len(worker.far.heard()) == 2 + 4
        worker.far.say(encode_credit(0, 4 * PART_BYTES))
        await settle()
        assert paused(held) == (False, False)
        assert len(worker.far.heard()) == 1


async def test_a_worker_that_ends_lets_the_caller_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "LINK_WINDOW", PART_BYTES)
    async with relaying(Both()) as held:
        held.client.say(stream(1))
        worker = await held.opened()
        held.client.say(piece(1))
        await settle()
        assert paused(held) == (True, False)
        worker.crash()
        await settle()
        assert not held.client.pipe.paused
        ((call_id, code, _),) = map(status, held.client.heard())
        assert (call_id, code) == (1, StatusCode.UNAVAILABLE)
        assert held.connection.ended is None


async def test_one_call_has_no_more_on_its_way_than_its_window() -> None:
    async with relaying(Both()) as held:
        held.client.say(stream(1))
        await held.opened()
        held.client.say(*[piece(1)] * (STREAM_WINDOW // PART_BYTES))
        await settle()
        assert held.connection.ended is None
        held.client.say(piece(1))
        await settle()
        assert "without credit" in str(held.connection.ended)


async def test_a_worker_that_does_not_read_gets_no_end_of_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls need no credit, and a caller can make and cancel any number."""
    monkeypatch.setattr(relay_module, "_MOST_BEHIND", MEBIBYTE)
    async with relaying() as held:
        held.client.say(call(1, "inline", {"text": "x"}))
        worker = await held.opened()
        worker.far.heard()
        worker.far.pipe.full = True
        for call_id in range(2, 100):
            body = bytes(PART_BYTES - 100)
            held.client.say(call(call_id, "length", body=body), encode_cancel(call_id))
            await settle()
            if held.client.pipe.paused:
                break
        assert held.client.pipe.paused
        assert len(worker.far.pipe.sent) < MEBIBYTE + 2 * PART_BYTES
        # What a worker of many calls says is heard all the while.
        worker.far.say(encode_reply(1, NIL, encode_value("X")))
        await settle()
        assert held.client.heard() == [reply(1, "X")]
        worker.far.pipe.make_room()
        await settle()
        assert not held.client.pipe.paused
        held.client.say(call(200, "inline", {"text": "x"}))
        await settle()
        calls = [each for each in worker.far.heard() if isinstance(each, Call)]
        assert calls[-1].id == 200


async def test_little_waits_for_a_worker_before_the_caller_is_held() -> None:
    async with relaying() as held:
        count = MEBIBYTE // PART_BYTES
        for call_id in range(1, count + 1):
            assert not held.client.pipe.paused
            held.client.say(call(call_id, "length", body=bytes(PART_BYTES)))
            await settle()
        assert held.client.pipe.paused
        held.client.say(call(count + 1, "inline", {"text": "x"}))
        await settle()
        worker = await held.opened()
        assert not held.client.pipe.paused
        assert len(worker.far.heard()) == count + 1


async def test_parts_count_too_while_a_call_waits() -> None:
    async with relaying(Both(), max_body_bytes=1 << 22) as held:
        calls = range(1, 2 + MEBIBYTE // STREAM_WINDOW)
        for call_id in calls:
            held.client.say(stream(call_id))
            held.client.say(*[piece(call_id)] * (STREAM_WINDOW // PART_BYTES))
            await settle()
        assert held.client.pipe.paused
        worker = await held.opened()
        assert not held.client.pipe.paused
        heard = [each.id for each in worker.far.heard() if isinstance(each, Item)]
        each = STREAM_WINDOW // PART_BYTES
        assert heard == [call_id for call_id in calls for _ in range(each)]


async def test_a_refusal_lets_the_caller_go_on() -> None:
    async with relaying(max_calls=2) as held:
        for call_id in range(1, 40):
            held.client.say(
                call(call_id, "length", body=bytes(PART_BYTES)), encode_cancel(call_id)
            )
            await settle()
        assert held.client.pipe.paused
        held.workers.failure = LookupError("no")
        held.workers.go.set()
        await settle()
        assert not held.client.pipe.paused
        assert held.connection.ended is None
