"""A client's end of a connection: streams among its calls, and their ends."""

import anyio
import pytest

from signetrpc.rpc import DeadlineExceeded, Protection, RpcError, StatusCode
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._flow import CONNECTION_WINDOW, ITEM_OVERHEAD, STREAM_WINDOW
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Cancel,
    Credit,
    End,
    Item,
    Part,
    encode_credit,
    encode_go_away,
    encode_item,
    encode_reply,
    encode_status,
)
from signetrpc.rpc._schema import CallKind
from signetrpc.rpc._stream_call import StreamCall
from signetrpc.rpc.errors import NotCarriedOut
from signetrpc.transport import ConnectionClosed, FrameTooLarge, Limits
from tests.support.caller import METHOD, NIL, calls, keep
from tests.support.calls import client_end
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
SERVER, BOTH = CallKind.SERVER_STREAM, CallKind.BIDIRECTIONAL
LIMIT = 1 << 20
WHOLE = PART_BYTES - ITEM_OVERHEAD
"""An item of this size counts as much as a part."""


async def begin(
    connection: ClientConnection,
    *,
    body: bytes = b"x",
    level: Protection = SIGN,
    timeout: float | None = None,
    kind: CallKind = BOTH,
) -> StreamCall:
    return await connection.stream(METHOD, level, body, timeout, NIL, kind, LIMIT)


async def error_of(call: StreamCall) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call.inbox.take()
    return caught.value


async def test_a_stream_begins_with_a_call_like_any_other() -> None:
    async with client_end() as (connection, far, loop):
        call = await begin(connection, timeout=2.5, level=SEAL)
        assert call.id == 1 and connection.busy
        assert far.records() == [
            (SEAL, [Call(1, "test.Desk/work", 2_500_000, None, False, b"x")])
        ]
        assert loop.armed == [1002.5]


async def test_the_level_is_at_least_the_sessions() -> None:
    async with client_end() as (connection, far, _):
        call = await begin(connection, level=NONE)
        await call.outbox.send(b"a")
        call.end_sending()
        await settle()
        assert {level for level, _ in far.records()} == {SIGN}


async def test_long_arguments_go_in_parts_before_any_item() -> None:
    async with client_end() as (connection, far, _):
        body = bytes(range(256)) * 600
        call = await begin(connection, body=body)
        await call.outbox.send(b"a")
        await settle()
        first, *parts, item = far.heard()
        assert isinstance(first, Call) and first.more
        got = first.body
        for part in parts:
            assert isinstance(part, Part)
            got += bytes(part.chunk)
        assert got == body and item == Item(1, False, b"a")


async def test_arguments_longer_than_the_window_wait_for_credit() -> None:
    async with client_end() as (connection, far, _):
        begun: list[StreamCall] = []

        async def start() -> None:
            begun.append(await begin(connection, body=bytes(LIMIT)))

        async with anyio.create_task_group() as group:
            group.start_soon(start)
            await settle()
            assert begun == []
            assert len(far.heard()) == 1 + STREAM_WINDOW // PART_BYTES
            far.say(encode_credit(1, LIMIT))
        assert len(begun) == 1


async def test_a_beginning_that_is_cancelled_cancels_the_call() -> None:
    async with client_end() as (connection, far, _):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: begin(connection, body=bytes(LIMIT)))
            await settle()
            far.heard()
            group.cancel_scope.cancel()
        await settle()
        assert far.heard() == [Cancel(1)] and not connection.busy


async def test_a_refusal_while_arguments_are_sent() -> None:
    async with client_end() as (connection, far, _):
        async with anyio.create_task_group() as group:

            async def start() -> None:
                with pytest.raises(RpcError, match="NOT_FOUND: gone"):
                    await begin(connection, body=bytes(LIMIT))

            group.start_soon(start)
            await settle()
            far.heard()
            far.say(encode_status(1, 5, "gone"))
        await settle()
        assert far.heard() == [] and not connection.busy


async def test_a_server_that_takes_little_is_an_error_before_anything_is_sent() -> None:
    few = Limits(max_record_bytes=4096, max_message_bytes=1024)
    async with client_end(limits=few) as (connection, far, _):
        with pytest.raises(FrameTooLarge):
            await begin(connection, body=bytes(2000))
        assert far.heard() == [] and not connection.busy
        call = await begin(connection)
        with pytest.raises(RpcError, match="limit 1024"):
            await call.outbox.send(bytes(2000))
        # The item is not sent, and the call goes on.
        await call.outbox.send(b"small")
        await settle()
        assert far.heard()[-1] == Item(1, False, b"small")


# Who waits for whom.


async def test_a_server_that_takes_nothing_stops_one_sender_and_no_other() -> None:
    async with client_end() as (connection, far, _):
        one, two = await begin(connection), await begin(connection)
        async with anyio.create_task_group() as group:

            async def send() -> None:
                for _ in range(6):
                    await one.outbox.send(bytes(WHOLE))

            group.start_soon(send)
            await settle()
            sent = [each for each in far.heard() if isinstance(each, Item)]
            assert len(sent) == STREAM_WINDOW // PART_BYTES
            await two.outbox.send(b"on")
            await settle()
            assert far.heard() == [Item(2, False, b"on")]
            far.say(encode_credit(1, 2 * PART_BYTES))
        await settle()
        assert len(far.heard()) == 2


async def test_a_caller_that_takes_nothing_stops_its_stream_and_no_other() -> None:
    async with client_end() as (connection, far, _):
        one, two = await begin(connection), await begin(connection)
        await settle()
        far.heard()
        whole = encode_item(1, bytes(WHOLE))
        for _ in range(STREAM_WINDOW // PART_BYTES):
            far.say(whole)
        far.say(encode_item(2, b"on"))
        assert await two.inbox.take() == b"on"
        await settle()
        # Nothing for the call; and half of what there is for the connection is not
        # used up yet.
        assert far.heard() == []
        for _ in range(2):
            await one.inbox.take()
        await settle()
        assert far.heard() == [Credit(1, STREAM_WINDOW // 2)]


async def test_a_connection_gives_its_room_back_whoever_takes_what() -> None:
    async with client_end() as (connection, far, _):
        for _ in range(8):
            await begin(connection)
        await settle()
        far.heard()
        for call_id in range(1, 9):
            for _ in range(STREAM_WINDOW // PART_BYTES):
                far.say(encode_item(call_id, bytes(WHOLE)))
        await settle()
        assert connection.ended is None
        assert far.heard() == [Credit(0, CONNECTION_WINDOW // 2)] * 4


async def test_a_small_call_goes_between_the_parts_of_a_long_item() -> None:
    async with calls() as table:
        call = await begin(table.connection)
        async with anyio.create_task_group() as group:
            group.start_soon(call.outbox.send, bytes(LIMIT))
            await settle()
            table.far.heard()
            await table.start("small")
            assert [type(each) for each in table.far.heard()] == [Call]
            table.far.say(encode_reply(2, NIL, b"quick"))
            await settle()
            assert table.caller.ended == {"small": b"quick"}
            table.far.say(encode_credit(1, LIMIT), encode_credit(0, LIMIT))
        await settle()
        assert sum(isinstance(each, Part) for each in table.far.heard()) > 10


async def test_a_full_pipe_stops_senders_and_wakes_them() -> None:
    async with client_end() as (connection, far, _):
        call = await begin(connection)
        far.heard()
        far.pipe.full = True
        async with anyio.create_task_group() as group:
            group.start_soon(call.outbox.send, b"a")
            await settle()
            assert far.heard() == []
            far.pipe.make_room()
        await settle()
        assert far.heard() == [Item(1, False, b"a")]


# Ends.


async def test_time_that_runs_out_ends_both_halves() -> None:
    async with client_end() as (connection, far, loop):
        call = await begin(connection, timeout=5.0)
        far.heard()
        far.say(encode_item(1, b"a"))
        loop.advance(6.0)
        assert isinstance(await error_of(call), DeadlineExceeded)
        with pytest.raises(DeadlineExceeded):
            await call.outbox.send(b"x")
        await settle()
        (message,) = far.heard()
        assert isinstance(message, Cancel) and message.id == 1
        assert not connection.busy


async def test_a_stream_without_a_time_has_none() -> None:
    async with client_end() as (connection, far, loop):
        call = await begin(connection)
        loop.advance(1e6)
        far.say(encode_item(1, b"a"))
        assert await call.inbox.take() == b"a" and connection.busy


async def test_the_end_of_the_connection_ends_streams() -> None:
    async with client_end() as (connection, _, _):
        call = await begin(connection)
        ended: list[StatusCode] = []

        async def take() -> None:
            ended.append((await error_of(call)).status)

        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await settle()
            connection.pipe_ended(ConnectionClosed("broke", clean=False))
        assert ended == [StatusCode.UNAVAILABLE]
        call.cancel()
        call.end_sending()


async def test_what_came_before_the_end_of_the_connection_is_had_first() -> None:
    async with client_end() as (connection, far, _):
        call, given_up = await begin(connection), await begin(connection)
        for number in (1, 2):
            far.say(encode_item(number, b"a"), encode_item(number, b"b"))
            far.say(encode_item(number, b"half", True))
        given_up.cancel()
        connection.pipe_ended(ConnectionClosed("broke", clean=False))
        assert [await call.inbox.take(), await call.inbox.take()] == [b"a", b"b"]
        assert (await error_of(call)).status is StatusCode.UNAVAILABLE
        assert (await error_of(given_up)).status is StatusCode.CANCELLED


async def test_a_server_that_goes_lets_streams_end() -> None:
    async with client_end() as (connection, far, _):
        one, two = await begin(connection), await begin(connection)
        await settle()
        far.heard()
        far.say(encode_go_away(30.0, 1))
        assert isinstance(await error_of(two), NotCarriedOut)
        assert not connection.usable and connection.ended is None
        far.say(encode_item(1, b"a"), encode_status(1, 0, ""))
        assert await one.inbox.take() == b"a"
        await settle()
        assert connection.ended is not None


async def test_a_stream_for_which_there_is_no_connection_any_more() -> None:
    async with client_end() as (connection, _, _):
        connection.pipe_ended(None)
        with pytest.raises(RpcError, match="UNAVAILABLE: no connection"):
            await begin(connection)


@pytest.mark.parametrize("timeout", [None, 5.0])
async def test_a_stream_begins_when_the_server_reads_again(
    timeout: float | None,
) -> None:
    async with client_end() as (connection, far, loop):
        far.pipe.full = True
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: begin(connection, timeout=timeout))
            await settle()
            assert far.heard() == []
            loop.now += 2.0
            far.pipe.make_room()
        (message,) = far.heard()
        assert isinstance(message, Call)
        left = None if timeout is None else 3_000_000
        assert message.timeout_us == left


async def test_unary_calls_with_parts_share_the_windows() -> None:
    async with client_end() as (connection, far, _):
        async with anyio.create_task_group() as group:
            group.start_soon(
                lambda: connection.call(METHOD, SIGN, bytes(LIMIT), 9.0, NIL, keep)
            )
            await settle()
            assert len(far.heard()) == 1 + STREAM_WINDOW // PART_BYTES
            far.say(encode_credit(1, LIMIT), encode_credit(0, LIMIT))
            await settle()
            far.say(encode_reply(1, NIL, b""))
        assert not connection.busy


async def test_the_end_of_sending_goes_after_all_that_was_sent() -> None:
    async with client_end() as (connection, far, _):
        call = await begin(connection)
        far.heard()
        for level in (SEAL, SIGN, SEAL):
            await call.outbox.send(b"a", level)
        call.end_sending()
        await settle()
        assert far.records() == [
            (SEAL, [Item(1, False, b"a")]),
            (SIGN, [Item(1, False, b"a")]),
            (SEAL, [Item(1, False, b"a")]),
            (SIGN, [End(1)]),
        ]


async def test_a_reply_over_a_small_limit_ends_its_call_alone() -> None:
    async with calls(max_body_bytes=100) as table:
        await table.start("a", "b")
        table.far.say(encode_reply(1, NIL, bytes(101)), encode_reply(2, NIL, b"on"))
        await settle()
        error = table.caller.error("a")
        assert error.status is StatusCode.RESOURCE_EXHAUSTED
        assert error.message == "reply of 101 bytes, limit 100"
        assert table.caller.ended["b"] == b"on"
