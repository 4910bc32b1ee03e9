"""A client's end of a connection: its table of calls and their answers."""

import anyio
import pytest

from signetrpc.rpc import DeadlineExceeded, Protection, RpcError, StatusCode
from signetrpc.rpc._codec import Body
from signetrpc.rpc._context import CancellationCause
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Cancel,
    Part,
    encode_reply,
    encode_status,
    parts_of,
)
from signetrpc.transport import (
    ConnectionClosed,
    FrameTooLarge,
    Limits,
)
from tests.support.caller import METHOD, NIL, Caller, calls
from tests.support.calls import client_end
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection


# Calls and answers.


async def test_a_call_is_written_at_once_and_answered() -> None:
    async with calls() as table:
        await table.start("a", timeout=2.5)
        assert table.far.heard() == [
            Call(1, "test.Desk/work", 2_500_000, None, False, b"x")
        ]
        table.far.say(encode_reply(1, NIL, b"answer"))
        await settle()
        assert table.caller.ended == {"a": b"answer"}
        assert table.loop.armed == [1002.5]  # dropped when it comes up


async def test_answers_find_their_calls_in_any_order() -> None:
    async with calls() as table:
        await table.start("a", "b", "c")
        table.far.say(
            encode_reply(2, NIL, b"for b"),
            encode_reply(3, NIL, b"for c"),
            encode_reply(1, NIL, b"for a"),
        )
        await settle()
        assert table.caller.ended == {"a": b"for a", "b": b"for b", "c": b"for c"}


async def test_calls_of_one_turn_share_a_record() -> None:
    async with client_end() as (connection, far, _):
        caller = Caller(connection)
        async with anyio.create_task_group() as group:
            for number in range(64):
                group.start_soon(caller.call, str(number))
            await settle()
            records = far.records()
            assert sum(len(messages) for _, messages in records) == 64
            # The first alone, which may be all; and the others, so many at a time that
            # the server has something to do meanwhile.
            assert [len(messages) for _, messages in records] == [1, 32, 31]
            group.cancel_scope.cancel()


async def test_the_level_is_at_least_the_sessions() -> None:
    async with calls() as table:
        await table.start("a", level=NONE)
        await table.start("b", level=SEAL)
        assert [level for level, _ in table.far.records()] == [SIGN, SEAL]
        table.far.say(encode_reply(1, NIL, b"1"), level=SEAL)
        await settle()
        assert table.caller.ended["a"] == b"1"


async def test_a_status_is_an_error() -> None:
    async with calls() as table:
        await table.start("a", "b")
        table.far.say(encode_status(1, 5, "gone", (("k", "v"),)))
        table.far.say(encode_status(2, 4, "late"))
        await settle()
        error = table.caller.error("a")
        assert (error.status, error.message) == (StatusCode.NOT_FOUND, "gone")
        assert error.trailers == (("k", "v"),)
        assert isinstance(table.caller.ended["b"], DeadlineExceeded)


async def test_what_decoding_raises_is_the_calls_failure_alone() -> None:
    def refuse(body: Body) -> None:
        raise RpcError(StatusCode.INTERNAL, f"not {len(body)} bytes")

    async with client_end() as (connection, far, _):

        async def call(size: int) -> None:
            with pytest.raises(RpcError, match=f"not {size} bytes"):
                await connection.call(METHOD, SEAL, b"", 60.0, NIL, refuse)

        async with anyio.create_task_group() as group:
            group.start_soon(call, 3)
            await settle()
            far.say(encode_reply(1, NIL, b"abc"))
        async with anyio.create_task_group() as group:
            group.start_soon(call, PART_BYTES + 3)
            await settle()
            body = bytes(PART_BYTES + 3)
            far.say(encode_reply(2, NIL, body[:PART_BYTES], True), *parts_of(2, body))
        assert connection.ended is None
        assert not [m for m in far.heard() if isinstance(m, Cancel)]


# Bodies in parts.


async def test_long_arguments_go_out_in_parts() -> None:
    async with calls() as table:
        body = bytes(range(256)) * 600
        await table.start("a", body=body)
        first, *parts = table.far.heard()
        assert isinstance(first, Call) and first.more
        got = bytes(first.body)
        for part in parts:
            assert isinstance(part, Part) and part.id == 1
            got += bytes(part.chunk)
        assert got == body
        assert [part.more for part in parts if isinstance(part, Part)] == [True, False]


async def test_long_replies_come_in_parts_between_others() -> None:
    async with calls() as table:
        await table.start("a", "b", "c")
        one, two = bytes(range(256)) * 600, bytes(range(255, -1, -1)) * 600
        for piece in zip(
            [encode_reply(1, NIL, one[:PART_BYTES], True), *parts_of(1, one)],
            [encode_reply(2, NIL, two[:PART_BYTES], True), *parts_of(2, two)],
            strict=True,
        ):
            for message in piece:
                table.far.say(message)
        table.far.say(encode_reply(3, NIL, b"short"))
        await settle()
        assert table.caller.ended == {"a": one, "b": two, "c": b"short"}


async def test_a_reply_that_is_too_long_ends_its_call_and_is_cancelled() -> None:
    async with calls(max_body_bytes=100_000) as table:
        await table.start("a", "b")
        table.far.heard()
        body = bytes(3 * PART_BYTES)
        table.far.say(encode_reply(1, NIL, body[:PART_BYTES], True))
        for part in parts_of(1, body):
            table.far.say(part)
        await settle()
        error = table.caller.error("a")
        assert error.status is StatusCode.RESOURCE_EXHAUSTED
        assert error.message == "reply of 131072 bytes, limit 100000"
        assert table.far.heard() == [Cancel(1)]
        assert table.connection.ended is None


async def test_a_reply_that_is_never_finished_ends_with_its_time() -> None:
    async with calls() as table:
        await table.start("a", timeout=1.0)
        table.far.say(encode_reply(1, NIL, bytes(PART_BYTES), True))
        table.loop.advance(2)
        await settle()
        assert isinstance(table.caller.ended["a"], DeadlineExceeded)
        table.far.say(list(parts_of(1, bytes(2 * PART_BYTES)))[0])
        assert table.connection.ended is None


async def test_a_status_can_end_a_half_sent_reply() -> None:
    async with calls() as table:
        await table.start("a")
        table.far.say(encode_reply(1, NIL, b"half", True))
        table.far.say(encode_status(1, 13, "no more"))
        await settle()
        assert table.caller.error("a").message == "no more"
        table.far.say(list(parts_of(1, bytes(2 * PART_BYTES)))[0])
        assert table.connection.ended is None


async def test_a_server_that_takes_little_is_an_error_before_anything_is_sent() -> None:
    few = Limits(max_record_bytes=4096, max_message_bytes=1024)
    async with calls(limits=few) as table:
        await table.start("a", body=bytes(2000))
        error = table.caller.ended["a"]
        assert isinstance(error, FrameTooLarge) and error.limit == 1024
        assert not table.far.pipe.sent
        await table.start("b")
        (message,) = table.far.heard()
        assert isinstance(message, Call) and message.id == 1


# Cancellation and time.


async def test_cancelling_the_caller_cancels_the_call() -> None:
    async with calls() as table:
        await table.start("a")
        table.far.heard()
        table.caller.scopes["a"].cancel()
        await settle()
        assert table.caller.ended == {"a": "cancelled"}
        assert table.far.records() == [(SEAL, [Cancel(1)])]
        table.far.say(encode_reply(1, NIL, b"crossed"))
        assert table.connection.ended is None
        table.loop.advance(1000)
        assert table.far.heard() == []


async def test_an_answer_in_the_turn_of_the_cancellation_harms_nobody() -> None:
    async with calls() as table:
        await table.start("a", "b")
        table.caller.scopes["a"].cancel()
        table.far.say(encode_reply(1, NIL, b"crossed"))
        table.far.say(encode_reply(2, NIL, b"for b"))
        await settle()
        assert table.caller.ended["a"] in ("cancelled", b"crossed")
        assert table.caller.ended["b"] == b"for b"
        assert table.connection.ended is None


async def test_the_end_in_the_turn_of_the_cancellation_harms_nobody() -> None:
    async with calls() as table:
        await table.start("a", timeout=1.0)
        table.caller.scopes["a"].cancel()
        table.loop.advance(2)
        await settle()
        assert "a" in table.caller.ended
        await table.start("b")
        table.caller.scopes["b"].cancel()
        table.connection.pipe_ended(ConnectionClosed("broke", clean=False))
        await settle()
        assert "b" in table.caller.ended


async def test_time_that_runs_out_cancels_the_call() -> None:
    async with calls() as table:
        await table.start("a", timeout=5.0)
        await table.start("b", timeout=3.0)
        await table.start("c", timeout=9.0)
        table.far.heard()
        table.loop.advance(4)
        await settle()
        assert list(table.caller.ended) == ["b"]
        assert isinstance(table.caller.ended["b"], DeadlineExceeded)
        assert table.far.heard() == [Cancel(2, CancellationCause.DEADLINE)]
        assert table.loop.armed == [1005.0]
        table.loop.advance(10)
        await settle()
        assert set(table.caller.ended) == {"a", "b", "c"}
        assert table.loop.armed == []


async def test_a_server_that_takes_no_data_is_waited_for_in_time() -> None:
    async with calls() as table:
        table.far.pipe.full = True
        await table.start("a", timeout=0.01)
        with anyio.fail_after(10):
            while "a" not in table.caller.ended:
                await anyio.sleep(0.001)
        error = table.caller.ended["a"]
        assert isinstance(error, DeadlineExceeded)
        assert "took no data for 0.01 seconds" in str(error)
        assert not table.far.pipe.sent
        await table.start("b", timeout=7.0)
        table.loop.now += 3
        table.far.pipe.make_room()
        await settle()
        (message,) = table.far.heard()
        assert isinstance(message, Call) and message.timeout_us == 4_000_000


async def test_a_pipe_that_breaks_while_it_is_full_fails_who_waits() -> None:
    async with calls() as table:
        table.far.pipe.full = True
        await table.start("a")
        table.far.pipe.abort()
        await settle()
        assert table.caller.error("a").status is StatusCode.UNAVAILABLE
