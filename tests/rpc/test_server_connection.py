"""A server's end of a connection: what is answered, and at which level."""

import logging

import pytest

from signetrpc.rpc import (
    Protection,
    StatusCode,
    current_call,
    current_caller,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    PART_BYTES,
    Credit,
    Part,
    Reply,
    Status,
    encode_cancel,
    encode_metadata,
    encode_part,
    parts_of,
)
from signetrpc.transport import (
    RemoteProtocolError,
)
from tests.support.desk import answers, call, desk, ended_by, reply, status
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
MANY_PARTS = 3 * PART_BYTES + 7


# Answers.


async def test_handlers_of_each_style_are_answered() -> None:
    async with desk() as (served, _, far, _):
        far.say(call(1, "inline", {"text": "a"}))
        assert far.heard() == [reply(1, "A")]
        far.say(call(2, "wait", {"text": "b"}))
        served.go.set()
        await settle()
        assert far.heard() == [reply(2, "b")]
        served.thread_go.set()
        far.say(call(3, "block", {"text": "c"}))
        heard = await answers(far, 1)
        assert heard == [reply(3, "alice")]


async def test_the_answers_of_one_batch_share_two_records() -> None:
    async with desk() as (_, _, far, _):
        far.say(*[call(number, "inline", {"text": "a"}) for number in range(1, 65)])
        records = far.records()
        assert [(level, len(messages)) for level, messages in records] == [
            (SEAL, 32),
            (SEAL, 32),
        ]


async def test_answers_of_one_turn_share_a_record() -> None:
    async with desk() as (served, _, far, _):
        far.say(*[call(number, "wait", {"text": "a"}) for number in range(1, 65)])
        served.go.set()
        await settle()
        # In two halves, and the last of them finds itself alone and goes at once.
        assert len(far.records()) <= 3


async def test_a_handler_knows_its_call() -> None:
    async with desk() as (_, _, far, _):
        pairs = encode_metadata((("k", "v"),))
        far.say(call(1, "context", metadata=pairs, timeout=2.5), level=SIGN)
        assert far.heard() == [
            reply(1, "test.Desk/context SIGN 2.5", seen="(('k', 'v'),)")
        ]
        far.say(call(2, "context"))
        assert far.heard() == [reply(2, "test.Desk/context SEAL None", seen="()")]
        for outside in (current_call, current_caller):
            with pytest.raises(LookupError):
                outside()


@pytest.mark.parametrize("style", ["fail", "fail_inline", "fail_thread"])
@pytest.mark.parametrize(
    ("how", "answer", "trailers"),
    [
        ("status", (StatusCode.NOT_FOUND, "gone"), [("k", "v")]),
        (
            "surrogate",
            (StatusCode.NOT_FOUND, "file ?"),
            [("from", "context")],
        ),
        ("number", (StatusCode.INTERNAL, "the handler failed"), None),
        ("bare", (StatusCode.INTERNAL, "the handler failed"), None),
        (
            "long",
            (StatusCode.NOT_FOUND, "x" * 8189 + "..."),
            [("from", "context")],
        ),
        (
            "secret",
            (StatusCode.INTERNAL, "the handler failed"),
            [("from", "context")],
        ),
        (
            "stop",
            (StatusCode.INTERNAL, "the handler failed"),
            [("from", "context")],
        ),
    ],
)
async def test_whatever_a_handler_raises_ends_its_call_alone(
    style: str,
    how: str,
    answer: tuple[StatusCode, str],
    trailers: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "signetrpc.rpc")
    async with desk() as (_, connection, far, _):
        far.say(call(1, style, {"how": how}))
        heard = await answers(far, 1)
        assert [status(message) for message in heard] == [(1, *answer)]
        (message,) = heard
        assert isinstance(message, Status) and message.trailers == trailers
        assert (answer[0] is StatusCode.INTERNAL) == bool(caplog.records)
        far.say(call(2, "inline", {"text": "still here"}))
        assert far.heard() == [reply(2, "STILL HERE")]
        assert connection.ended is None


async def test_an_unexpected_error_is_logged_whole_and_told_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with desk() as (_, _, far, _):
        far.say(call(1, "fail_inline", {"how": "secret"}))
        assert b"42" not in encode_value([str(message) for message in far.heard()])
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "test.Desk/fail_inline failed for alice@EXAMPLE.COM" in record.getMessage()
    assert record.exc_info is not None and "the secret is 42" in str(record.exc_info[1])


@pytest.mark.parametrize("name", ["wrong", "bad_trailers"])
async def test_what_cannot_travel_back_is_internal(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk() as (_, connection, far, _):
        far.say(call(1, name))
        await settle()
        (message,) = far.heard()
        assert status(message)[1] is StatusCode.INTERNAL
        assert caplog.records
        assert connection.ended is None


async def test_a_scope_inside_a_handler_is_its_own() -> None:
    async with desk() as (_, _, far, _):
        far.say(call(1, "give_up"))
        await settle()
        assert far.heard() == [reply(1, "went on")]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", ""),
        (b"\xc1", ""),
        (encode_value({"text": 1}), "text"),
        (encode_value({}), "text"),
        (encode_value({"text": "a", "extra": 1}), "extra"),
        (encode_value(["a"]), ""),
    ],
)
async def test_wrong_arguments_are_told(body: bytes, says: str) -> None:
    async with desk() as (served, connection, far, _):
        far.say(call(1, "inline", body=body))
        (message,) = far.heard()
        assert status(message)[1] is StatusCode.INVALID_ARGUMENT
        assert says in status(message)[2]
        assert served.started == [] and connection.ended is None


async def test_an_unknown_method_is_unimplemented() -> None:
    async with desk() as (_, _, far, _):
        far.say(call(1, "nothing"), level=SIGN)
        ((level, (message,)),) = far.records()
        assert level is SIGN
        assert status(message) == (
            1,
            StatusCode.UNIMPLEMENTED,
            "no method 'test.Desk/nothing' here",
        )


# Levels.


async def test_a_call_below_its_methods_level_does_not_run() -> None:
    async with desk() as (served, connection, far, _):
        far.say(call(1, "sealed"), level=SIGN)
        await settle()
        ((level, (message,)),) = far.records()
        assert level is SEAL
        assert status(message) == (
            1,
            StatusCode.PERMISSION_DENIED,
            "test.Desk/sealed demands level SEAL; the call came at SIGN",
        )
        assert served.started == [] and connection.ended is None


@pytest.mark.parametrize("level", [SIGN, SEAL])
async def test_an_answer_has_the_level_of_its_call(level: Protection) -> None:
    async with desk() as (served, _, far, _):
        served.go.set()
        far.say(
            call(1, "inline", {"text": "a"}),
            call(2, "wait", {"text": "a"}),
            call(3, "fail_inline", {"how": "status"}),
            level=level,
        )
        await settle()
        assert {answered for answered, _ in far.records()} == {level}


async def test_an_unprotected_call_has_no_caller() -> None:
    async with desk(minimum=NONE) as (_, _, far, _):
        far.say(call(1, "open"), level=NONE)
        far.say(call(2, "open"), level=SIGN)
        far.say(call(3, "inline", {"text": "a"}), level=NONE)
        one, two, (level, (three,)) = far.records()
        assert one == (NONE, [reply(1, "anonymous")])
        assert two == (SIGN, [reply(2, "alice@EXAMPLE.COM")])
        assert level is SIGN
        assert status(three)[1] is StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "message", [encode_cancel(1), list(parts_of(1, bytes(PART_BYTES + 1)))[0]]
)
async def test_an_item_below_its_calls_level_is_fatal(message: bytes) -> None:
    async with desk() as (served, connection, far, _):
        far.say(call(1, "wait", {"text": "a"}), level=SEAL)
        await settle()
        far.say(message, level=SIGN)
        await settle()
        assert isinstance(ended_by(connection), RemoteProtocolError)
        assert "at level SIGN for a call at SEAL" in str(ended_by(connection))
        assert served.cancelled == ["a"]


async def test_an_item_above_its_calls_level_is_taken() -> None:
    async with desk() as (served, connection, far, _):
        far.say(call(1, "wait", {"text": "a"}), level=SIGN)
        await settle()
        far.say(encode_cancel(1), level=SEAL)
        await settle()
        assert served.cancelled == ["a"] and connection.ended is None


# Bodies in parts.


async def test_arguments_in_parts() -> None:
    async with desk() as (_, _, far, _):
        body = encode_value({"data": bytes(MANY_PARTS)})
        first = call(1, "length", body=body[:PART_BYTES], more=True)
        parts = list(parts_of(1, body))
        far.say(first)
        far.say(call(2, "inline", {"text": "between"}))
        for part in parts:
            far.say(part)
        heard = [each for each in far.heard() if not isinstance(each, Credit)]
        assert heard == [reply(2, "BETWEEN"), reply(1, MANY_PARTS)]


async def test_wrong_arguments_in_parts() -> None:
    async with desk() as (_, connection, far, _):
        body = encode_value({"data": "x" * MANY_PARTS})
        far.say(call(1, "length", body=body[:PART_BYTES], more=True))
        for part in parts_of(1, body):
            far.say(part)
        credit, message = far.heard()
        assert isinstance(credit, Credit)
        assert status(message)[1] is StatusCode.INVALID_ARGUMENT
        assert connection.ended is None


async def test_a_reply_in_parts() -> None:
    async with desk() as (_, _, far, _):
        far.say(call(1, "big_inline", {"size": MANY_PARTS}))
        await settle()
        first, *parts = far.heard()
        assert isinstance(first, Reply) and first.more
        body = bytes(first.body)
        for part in parts:
            assert isinstance(part, Part) and part.id == 1
            body += bytes(part.chunk)
        assert [part.more for part in parts if isinstance(part, Part)][-1] is False
        assert body == encode_value(bytes(MANY_PARTS))


async def test_arguments_that_are_too_long_end_their_call() -> None:
    async with desk(max_body_bytes=100_000) as (_, connection, far, _):
        far.say(call(1, "length", body=bytes(PART_BYTES), more=True))
        far.say(list(parts_of(1, bytes(3 * PART_BYTES)))[0])
        (message,) = far.heard()
        assert status(message) == (
            1,
            StatusCode.RESOURCE_EXHAUSTED,
            "arguments of 131072 bytes, limit 100000",
        )
        far.say(list(parts_of(1, bytes(3 * PART_BYTES)))[1])
        assert far.heard() == [] and connection.ended is None


async def test_a_reply_that_is_too_long_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with desk(max_body_bytes=1000) as (_, _, far, _):
        far.say(call(1, "big_inline", {"size": 1000}))
        (message,) = far.heard()
        assert status(message)[1:] == (
            StatusCode.RESOURCE_EXHAUSTED,
            "reply of 1003 bytes, limit 1000",
        )
    assert "the result of test.Desk/big_inline" in caplog.text


async def test_half_arguments_of_ended_calls_make_room() -> None:
    async with desk(max_body_bytes=PART_BYTES) as (_, connection, far, loop):
        for call_id in range(1, 40):
            far.say(
                call(call_id, "length", body=bytes(PART_BYTES), more=True, timeout=1.0)
            )
            if call_id % 2:
                far.say(encode_cancel(call_id))
            else:
                loop.advance(1.5)
        codes = {status(message)[1] for message in far.heard()}
        assert codes == {StatusCode.DEADLINE_EXCEEDED}
        assert connection.ended is None


async def test_half_arguments_are_bounded_together() -> None:
    async with desk(max_body_bytes=PART_BYTES) as (_, connection, far, _):
        for call_id in range(1, 18):
            # What comes with a call is not counted.
            far.say(call(call_id, "length", body=b"", more=True))
            far.say(encode_part(call_id, bytes(PART_BYTES), True))
        (message,) = [each for each in far.heard() if not isinstance(each, Credit)]
        assert status(message)[:2] == (17, StatusCode.RESOURCE_EXHAUSTED)
        assert "half-received bodies" in status(message)[2]
        assert connection.ended is None
