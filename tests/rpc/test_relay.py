"""Calls on their way to their caller's worker and back, where everybody plays fair."""

import pytest

from signetrpc.rpc import Protection, RpcError, StatusCode
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._context import CancellationCause
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Cancel,
    encode_cancel,
    encode_metadata,
    encode_reply,
    encode_status,
    parts_of,
)
from tests.support.desk import NIL, call, reply, status
from tests.support.links import USER, answer, both, raw_records, relaying, told
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
GONE = "the process that ran the call has ended"
LONG = bytes(range(256)) * (PART_BYTES // 100)


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
