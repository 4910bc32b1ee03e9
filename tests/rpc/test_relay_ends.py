"""Calls in a worker when somebody goes: it, its caller, or the caller's name here."""

import pytest

from signetrpc.rpc import Protection, StatusCode
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._context import CancellationCause
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Cancel,
    Ping,
    Reply,
    encode_call,
    encode_part,
    encode_pong,
    encode_reply,
    parts_of,
)
from tests.support.desk import NIL, call, reply, status
from tests.support.links import answer, both, relaying, told
from tests.support.sessions import SMALL
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
GONE = "the process that ran the call has ended"
LONG = bytes(range(256)) * (PART_BYTES // 100)


# Where the worker goes.


async def test_a_worker_that_is_gone_fails_its_calls_once_and_not_before() -> None:
    async with relaying() as held:
        await both(
            held,
            call(1, "inline", {"text": "x"}),
            call(2, "inline", {"text": "y"}),
            call(3, "wait", {"text": "mine"}),
        )
        worker = await held.opened()
        await told(held, answer(1, "X"))
        assert held.client.heard() == [reply(1, "X")]
        worker.crash()
        await settle()
        gone = [status(each) for each in held.client.heard()]
        assert gone == [(2, StatusCode.UNAVAILABLE, GONE)]
        assert worker.worker.calls == 0
        assert worker.far.pipe.closed
        held.desk.go.set()
        await settle()
        assert held.client.heard() == [reply(3, "mine")]
        # An honest end: nobody is killed, and the next call gets another link.
        assert held.workers.killed == []
        await both(held, call(4, "inline", {"text": "x"}))
        assert held.worker is not worker
        await told(held, answer(4, "X"))
        assert held.client.heard() == [reply(4, "X")]


async def test_a_call_meets_a_link_that_ended_at_once() -> None:
    async with relaying() as held:
        # With the handshake's last bytes, before the service reads its first message.
        opening = held.workers.open

        async def broken(*given: object) -> object:
            worker, near, until = await opening(*given)  # type: ignore[arg-type]
            near.session.receive_data(b"\xff" * 64)
            return worker, near, until

        held.workers.open = broken  # type: ignore[method-assign,assignment]
        await both(held, call(1, "inline", {"text": "x"}))
        await held.opened()
        gone = [status(each) for each in held.client.heard()]
        assert gone == [(1, StatusCode.UNAVAILABLE, GONE)]
        assert len(held.workers.killed) == 1
        assert held.worker.worker.calls == 0


# Where the caller goes.


async def test_a_caller_that_leaves_cancels_what_runs() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}))
        worker = await held.opened()
        worker.far.heard()
        assert held.client.pipe.receiver is not None
        held.client.pipe.receiver.pipe_ended(None)
        await settle()
        assert worker.far.heard() == [Cancel(1, CancellationCause.CONNECTION_LOST)]
        assert worker.far.pipe.closed
        assert worker.worker.calls == 0
        assert held.workers.killed == []


async def test_a_caller_that_leaves_before_its_worker_is_there() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}))
        await held.connection.aclose()
        worker = await held.opened()
        assert worker.far.heard() == []
        assert worker.far.pipe.closed
        assert worker.worker.calls == 0


# Who the caller is here is asked again.


async def test_after_a_while_new_calls_get_a_new_link_and_old_ones_end_on_theirs() -> (
    None
):
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}))
        old = await held.opened()
        await both(held, call(2, "inline", {"text": "x"}))
        held.loop.advance(60)
        await both(held, call(3, "inline", {"text": "x"}))
        new = held.worker
        assert new is not old
        heard = [each.id for each in old.far.heard() if isinstance(each, Call)]
        assert heard == [1, 2]
        assert [type(each) for each in new.far.heard()] == [Call]
        old.far.say(answer(1, "old"))
        await settle()
        assert not old.far.pipe.closed
        old.far.say(answer(2, "old"))
        await settle()
        assert old.far.pipe.closed
        new.far.say(answer(3, "new"))
        await settle()
        assert held.client.heard() == [
            reply(1, "old"),
            reply(2, "old"),
            reply(3, "new"),
        ]
        assert held.workers.killed == []


@pytest.mark.parametrize("ended", ["time", "worker"])
async def test_a_link_without_calls_is_closed_when_it_is_not_used_any_more(
    ended: str,
) -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}))
        old = await held.opened()
        await told(held, answer(1, "X"))
        if ended == "time":
            held.loop.advance(60)
        else:
            old.worker.running = False
        await both(held, call(2, "inline", {"text": "x"}))
        assert old.far.pipe.closed
        assert [type(each) for each in held.worker.far.heard()] == [Call]


async def test_a_body_of_a_call_that_was_refused_is_passed_over() -> None:
    async with relaying(worker_calls=1) as held:
        await both(held, call(1, "inline", {"text": "x"}))
        worker = await held.opened()
        head = encode_call(
            2, encode_value("test.Desk/length"), None, NIL, LONG[:PART_BYTES], True
        )
        await both(held, head, *parts_of(2, LONG))
        heard = worker.far.heard()
        assert [each.id for each in heard if isinstance(each, Call)] == [1]
        assert len(heard) == 1
        ((call_id, code, _),) = map(status, held.client.heard())
        assert (call_id, code) == (2, StatusCode.RESOURCE_EXHAUSTED)
        await told(held, answer(1, "X"))
        assert held.client.heard() == [reply(1, "X")]
        assert held.connection.ended is None


async def test_a_reply_too_long_for_the_caller_is_told_in_its_place() -> None:
    async with relaying(limits=SMALL) as held:
        await both(held, call(1, "inline", {"text": "x"}))
        worker = await held.opened()
        worker.far.heard()
        await told(held, encode_reply(1, NIL, bytes(3000)))
        ((call_id, code, message),) = map(status, held.client.heard())
        assert (call_id, code) == (1, StatusCode.RESOURCE_EXHAUSTED)
        assert "the caller takes no such message: " in message
        assert "limit 2048" in message
        assert worker.far.heard() == [Cancel(1, CancellationCause.REFUSED)]
        assert worker.worker.calls == 0
        assert held.workers.killed == []


async def test_a_part_longer_than_what_it_is_a_part_of_is_nothing_honest() -> None:
    async with relaying(limits=SMALL) as held:
        await both(held, call(1, "inline", {"text": "x"}))
        await held.opened()
        long = encode_part(1, bytes(3000), False)
        await told(held, encode_reply(1, NIL, bytes(1000), True), long)
        crossed = held.client.heard()
        assert isinstance(crossed[0], Reply)
        assert [status(each)[:2] for each in crossed[1:]] == [
            (1, StatusCode.UNAVAILABLE)
        ]
        assert len(held.workers.killed) == 1


# A worker that does not react.


async def test_a_worker_that_does_not_react_is_killed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with relaying() as held:
        await both(
            held, call(1, "inline", {"text": "x"}), call(2, "wait", {"text": "m"})
        )
        worker = await held.opened()
        worker.far.heard()
        held.loop.advance(30)
        await settle()
        assert [type(each) for each in worker.far.heard()] == [Ping]
        held.loop.advance(29.9)
        await settle()
        assert held.client.heard() == []
        held.loop.advance(0.1)
        await settle()
        gone = [status(each) for each in held.client.heard()]
        assert gone == [(1, StatusCode.UNAVAILABLE, GONE)]
        assert held.workers.killed == [worker.worker]
        assert f"{worker.worker} does not react: killed" in caplog.text
        held.desk.go.set()
        await settle()
        assert held.client.heard() == [reply(2, "m")]


async def test_a_worker_that_reacts_may_take_its_time() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}))
        worker = await held.opened()
        worker.far.heard()
        for number in range(1, 6):
            held.loop.advance(30)
            await settle()
            assert worker.far.heard() == [Ping(number)]
            await told(held, encode_pong(number))
        assert held.workers.killed == []
        await told(held, answer(1, "X"))
        assert held.client.heard() == [reply(1, "X")]


async def test_of_a_worker_without_calls_no_sign_of_life_is_asked() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}))
        worker = await held.opened()
        await told(held, answer(1, "X"))
        worker.far.heard()
        for _ in range(10):
            held.loop.advance(30)
            await settle()
        assert worker.far.heard() == []
        assert held.workers.killed == []
