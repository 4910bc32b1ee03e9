"""Calls on their way to their caller's worker and back, where everybody plays fair."""

import pytest

from signetrpc.rpc import Protection, RpcError, StatusCode
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._context import CancellationCause
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Cancel,
    Reply,
    encode_call,
    encode_cancel,
    encode_metadata,
    encode_part,
    encode_reply,
    encode_status,
    parts_of,
)
from tests.support.desk import NIL, call, reply, status
from tests.support.links import USER, Relaying, raw_records, relaying
from tests.support.sessions import SMALL
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
GONE = "the process that ran the call has ended"
LONG = bytes(range(256)) * (PART_BYTES // 100)


def answer(call_id: int, value: object) -> bytes:
    return encode_reply(call_id, NIL, encode_value(value))


async def both(held: Relaying, *messages: bytes, level: Protection = SEAL) -> None:
    """Let the caller say something, and everything that follows happen."""
    held.client.say(*messages, level=level)
    await settle()


async def told(held: Relaying, *messages: bytes, level: Protection = SEAL) -> None:
    """Let the newest worker say something, and everything that follows happen."""
    held.worker.far.say(*messages, level=level)
    await settle()


# As they are.


async def test_the_first_call_gets_a_worker_and_crosses_whole() -> None:
    async with relaying() as held:
        pairs = encode_metadata((("k", "v"), ("b-bin", b"\x00")))
        said = call(1, "inline", {"text": "x"}, metadata=pairs)
        await both(held, said)
        assert [each.name for each in held.workers.asked] == ["alice"]
        worker = await held.opened()
        assert raw_records(worker.far) == [(SEAL, [said])]
        assert worker.worker.calls == 1
        pairs = encode_metadata((("t", "u"),))
        answered = encode_reply(1, pairs, encode_value("X"))
        await told(held, answered)
        assert raw_records(held.client) == [(SEAL, [answered])]
        assert worker.worker.calls == 0
        assert held.desk.started == []


async def test_later_calls_are_the_same_bytes_and_bodies_stay_undecoded() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}))
        worker = await held.opened()
        raw_records(worker.far)
        # Not as this library writes it, and with a body that is no msgpack.
        name = encode_value("test.Desk/inline")
        said = b"\x97\x01\x02" + name + NIL + NIL + b"\xc2\xc5\x00\x02\xc1\xc1"
        await both(held, said)
        assert raw_records(worker.far) == [(SEAL, [said])]
        # Nor is the result looked at.
        answered = b"\x95\x05\x02" + NIL + b"\xc2\xc5\x00\x01\xc1"
        await told(held, answered)
        assert raw_records(held.client) == [(SEAL, [answered])]
        assert len(held.workers.asked) == 1


async def test_each_call_keeps_its_level_both_ways() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}), level=SIGN)
        await both(held, call(2, "inline", {"text": "y"}), level=SEAL)
        worker = await held.opened()
        levels = {
            message.id: level
            for level, messages in worker.far.records()
            for message in messages
            if isinstance(message, Call)
        }
        assert levels == {1: SIGN, 2: SEAL}
        await told(held, answer(1, "X"), level=SEAL)
        await told(held, answer(2, "Y"), level=SEAL)
        assert held.client.records() == [
            (SIGN, [reply(1, "X")]),
            (SEAL, [reply(2, "Y")]),
        ]


async def test_parts_and_cancellation_come_in_order() -> None:
    async with relaying() as held:
        parts = list(parts_of(1, LONG))
        head = call(1, "length", body=LONG[:PART_BYTES], more=True)
        await both(held, head, parts[0])  # waits for the worker
        worker = await held.opened()
        await both(held, *parts[1:], encode_cancel(1))
        crossed = [each for _, some in raw_records(worker.far) for each in some]
        assert crossed == [head, *parts, encode_cancel(1)]
        # Whoever cancels gets no answer, and one that was on its way is nobody's.
        await told(held, answer(1, 5))
        assert held.client.heard() == []
        await held.connection.aclose()
    assert [each.status for each in held.records] == [StatusCode.CANCELLED]


async def test_a_long_reply_comes_in_its_parts() -> None:
    async with relaying() as held:
        await both(held, call(1, "big_inline", {"size": 1}))
        worker = await held.opened()
        said = [
            encode_reply(1, NIL, LONG[:PART_BYTES], True),
            *parts_of(1, LONG),
        ]
        await told(held, *said[:-1])
        assert worker.worker.calls == 1
        await told(held, said[-1])
        assert worker.worker.calls == 0
        crossed = [each for _, some in raw_records(held.client) for each in some]
        assert crossed == said


async def test_an_error_crosses_with_its_trailers_and_the_audit_has_the_user() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}))
        await held.opened()
        said = encode_status(1, StatusCode.NOT_FOUND, "gone", (("k", "v"),))
        await told(held, said)
        assert raw_records(held.client) == [(SEAL, [said])]
        await held.connection.aclose()
    (record,) = held.records
    assert record.status is StatusCode.NOT_FOUND
    assert record.impersonated_as == USER.name


async def test_calls_of_the_service_itself_ask_for_no_worker() -> None:
    async with relaying() as held:
        await both(held, call(1, "wait", {"text": "mine"}))
        held.desk.go.set()
        await settle()
        assert held.client.heard() == [reply(1, "mine")]
        assert held.workers.asked == []
        await held.connection.aclose()
    assert held.records[0].impersonated_as is None


# Time.


async def test_a_deadline_is_passed_on_as_what_is_left_of_it() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}, timeout=10))
        held.loop.advance(4)
        worker = await held.opened()
        (message,) = worker.far.heard()
        assert isinstance(message, Call)
        assert message.timeout_us == 6_000_000


async def test_a_call_whose_time_is_up_never_reaches_its_worker() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}, timeout=10))
        await both(held, call(2, "inline", {"text": "x"}))
        held.loop.advance(10)
        await settle()
        (expired,) = held.client.heard()
        assert status(expired)[:2] == (1, StatusCode.DEADLINE_EXCEEDED)
        worker = await held.opened()
        assert [type(each) for each in worker.far.heard()] == [Call]
        assert worker.worker.calls == 1


async def test_the_service_keeps_time_itself_when_the_worker_is_silent() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}, timeout=10))
        worker = await held.opened()
        worker.far.heard()
        held.loop.advance(10)
        await settle()
        (expired,) = held.client.heard()
        assert status(expired)[:2] == (1, StatusCode.DEADLINE_EXCEEDED)
        assert worker.far.heard() == [Cancel(1, CancellationCause.DEADLINE)]
        assert worker.worker.calls == 0
        await told(held, answer(1, "late"), encode_status(1, 4, "late"))
        assert held.client.heard() == []
        assert held.workers.killed == []
        await both(held, call(2, "inline", {"text": "x"}))
        await told(held, answer(2, "X"))
        assert held.client.heard() == [reply(2, "X")]


# Where there is no worker.


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            RpcError(StatusCode.PERMISSION_DENIED, "nobody here"),
            StatusCode.PERMISSION_DENIED,
            "nobody here",
        ),
        (
            KeyError("the secret is 42"),
            StatusCode.INTERNAL,
            "the process that would run the call could not be started",
        ),
    ],
)
async def test_a_refusal_answers_all_that_wait_and_stands_for_a_second(
    error: Exception, code: StatusCode, message: str
) -> None:
    async with relaying() as held:
        await both(held, *(call(n, "inline", {"text": "x"}) for n in (1, 2)))
        held.workers.failure = error
        held.workers.go.set()
        await settle()
        await both(held, call(3, "inline", {"text": "x"}))
        held.loop.advance(0.999)
        await both(held, call(4, "inline", {"text": "x"}))
        answers = [status(each) for each in held.client.heard()]
        assert answers == [(n, code, message) for n in (1, 2, 3, 4)]
        assert len(held.workers.asked) == 1
        held.workers.failure = None
        held.loop.advance(0.001)
        await both(held, call(5, "inline", {"text": "x"}))
        assert len(held.workers.asked) == 2
        await told(held, answer(5, "X"))
        assert held.client.heard() == [reply(5, "X")]


async def test_the_audit_alone_learns_why_there_is_no_worker() -> None:
    error = RpcError(StatusCode.PERMISSION_DENIED, "no local user")
    error.__cause__ = LookupError("user 'alice' is root")
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}))
        held.fail(error)
        await settle()
        ((_, _, message),) = map(status, held.client.heard())
        assert message == "no local user"
        await held.connection.aclose()
    assert held.records[0].reason == "user 'alice' is root"


async def test_a_cancelled_call_is_not_waited_for() -> None:
    async with relaying() as held:
        await both(held, call(1, "inline", {"text": "x"}), encode_cancel(1))
        worker = await held.opened()
        assert worker.far.heard() == []
        assert worker.worker.calls == 0


async def test_more_calls_than_a_worker_may_have_are_refused() -> None:
    async with relaying(worker_calls=2) as held:
        await both(held, *(call(n, "inline", {"text": "x"}) for n in (1, 2, 3)))
        worker = await held.opened()
        await both(held, call(4, "inline", {"text": "x"}))
        text = "2 calls under way as this caller, that is the limit"
        refused = [status(each) for each in held.client.heard()]
        assert refused == [(n, StatusCode.RESOURCE_EXHAUSTED, text) for n in (3, 4)]
        await told(held, answer(1, "X"))
        await both(held, call(5, "inline", {"text": "x"}))
        crossed = worker.far.heard()
        assert [each.id for each in crossed if isinstance(each, Call)] == [1, 2, 5]
        assert worker.worker.calls == 2


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
