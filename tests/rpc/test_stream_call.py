"""A stream in the client's table: what may come of it, and in which order."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from signetrpc.rpc import DeadlineExceeded, Protection, RpcError, StatusCode
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._flow import ITEM_OVERHEAD, MOST_CREDIT, STREAM_WINDOW
from signetrpc.rpc._messages import (
    PART_BYTES,
    Cancel,
    Credit,
    End,
    Item,
    encode_credit,
    encode_end,
    encode_headers,
    encode_item,
    encode_part,
    encode_reply,
    encode_status,
)
from signetrpc.rpc._schema import CallKind
from signetrpc.rpc._stream_call import StreamCall
from signetrpc.transport import BusyError, RemoteProtocolError
from tests.support.caller import METHOD, NIL
from tests.support.calls import FarEnd, client_end
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

SIGN, SEAL = Protection.SIGN, Protection.SEAL
CLIENT, SERVER, BOTH = (
    CallKind.CLIENT_STREAM,
    CallKind.SERVER_STREAM,
    CallKind.BIDIRECTIONAL,
)
LIMIT = 1 << 20
PAIRS = (("k", "v"),)
BAD_PAIRS = (("Upper", "v"),)
OK = encode_status(1, 0, "", PAIRS)
WHOLE = encode_item(1, bytes(PART_BYTES - ITEM_OVERHEAD))
FULL = [WHOLE] * (STREAM_WINDOW // PART_BYTES)


async def begin(
    connection: ClientConnection,
    kind: CallKind,
    *,
    level: Protection = SIGN,
    limit: int = LIMIT,
) -> StreamCall:
    return await connection.stream(METHOD, level, b"x", None, NIL, kind, limit)


@asynccontextmanager
async def begun(
    kind: CallKind, *, level: Protection = SIGN, limit: int = LIMIT
) -> AsyncGenerator[tuple[StreamCall, ClientConnection, FarEnd]]:
    """Give a call that has been written, its connection and the server."""
    async with client_end() as (connection, far, _):
        call = await begin(connection, kind, level=level, limit=limit)
        far.heard()
        yield call, connection, far


async def taken(call: StreamCall) -> list[bytes]:
    """Take all there is, to the end."""
    bodies: list[bytes] = []
    try:
        while True:
            bodies.append(await call.inbox.take())
    except StopAsyncIteration:
        return bodies


@pytest.mark.parametrize("kind", [SERVER, BOTH])
async def test_items_and_a_status(kind: CallKind) -> None:
    async with begun(kind) as (call, connection, far):
        far.say(encode_headers(1, PAIRS), encode_item(1, b"a"))
        far.say(encode_item(1, b"b", True), encode_part(1, b"c", False), OK)
        assert call.ended and not connection.busy
        assert call.headers == PAIRS and call.trailers == PAIRS
        assert await taken(call) == [b"a", b"bc"]


async def test_one_reply() -> None:
    async with begun(CLIENT) as (call, connection, far):
        far.say(encode_headers(1, PAIRS), encode_reply(1, NIL, b"a"))
        assert call.ended and not connection.busy
        assert await taken(call) == [b"a"]


async def test_one_reply_in_parts() -> None:
    async with begun(CLIENT) as (call, connection, far):
        far.say(encode_reply(1, NIL, b"a", True), encode_part(1, b"b", True))
        assert not call.ended
        far.say(encode_part(1, b"c", False))
        assert call.ended and not connection.busy
        assert await taken(call) == [b"abc"]


@pytest.mark.parametrize("kind", [CLIENT, SERVER, BOTH])
async def test_an_error_is_an_end_of_any(kind: CallKind) -> None:
    async with begun(kind) as (call, connection, far):
        far.say(encode_status(1, 5, "gone", PAIRS))
        with pytest.raises(RpcError, match="NOT_FOUND: gone") as caught:
            await call.inbox.take()
        assert caught.value.trailers == call.trailers == PAIRS
        with pytest.raises(RpcError, match="NOT_FOUND: gone"):
            await call.outbox.send(b"x")
        assert not connection.busy


async def test_what_came_before_an_error_is_delivered() -> None:
    async with begun(SERVER) as (call, _, far):
        far.say(encode_item(1, b"a"), encode_item(1, b"half", True))
        far.say(encode_status(1, 4, "late"))
        assert await call.inbox.take() == b"a"
        with pytest.raises(DeadlineExceeded):
            await call.inbox.take()


# Servers that break the rules.


@pytest.mark.parametrize(
    ("kind", "messages", "says"),
    [
        (CLIENT, [encode_item(1, b"a")], "an item for call 1, of none"),
        (CLIENT, [OK], "status OK without a result"),
        (CLIENT, [encode_reply(1, NIL, b"", True)] * 2, "a reply to call 1, of none"),
        (CLIENT, [encode_reply(1, NIL, b"", True), OK], "status OK without a result"),
        (SERVER, [encode_reply(1, NIL, b"a")], "a reply to call 1, of none"),
        (BOTH, [encode_reply(1, NIL, b"a")], "a reply to call 1, of none"),
        (SERVER, [encode_part(1, b"a", False)], "a part of no item"),
        (CLIENT, [encode_part(1, b"a", False)], "a part of no item"),
        (SERVER, [WHOLE, encode_part(1, b"a", False)], "a part of no item"),
        (SERVER, [encode_item(1, b"", True), WHOLE], "an item at the wrong moment"),
        (SERVER, [encode_item(1, b"", True), OK], "the end of a stream at the wrong"),
        (SERVER, [*FULL, encode_item(1, b"")], "32 bytes of a body without credit"),
        (SERVER, [*FULL, encode_item(1, b"", True)], "without credit"),
        (SERVER, [encode_headers(1, PAIRS)] * 2, "headers of 1 come too late"),
        (SERVER, [WHOLE, encode_headers(1, PAIRS)], "headers of 1 come too late"),
        (SERVER, [encode_headers(1, BAD_PAIRS)], "malformed headers"),
        (SERVER, [encode_status(1, 0, "", BAD_PAIRS)], "malformed trailers"),
        (SERVER, [encode_status(1, 5, "", BAD_PAIRS)], "malformed trailers"),
        (CLIENT, [encode_credit(1, MOST_CREDIT)], f"limit {MOST_CREDIT}"),
        (SERVER, [encode_end(1)], "End from a server"),
        (SERVER, [encode_item(2, b"")], "an answer to call 2, never made"),
        (SERVER, [encode_credit(2, 1)], "an answer to call 2, never made"),
    ],
)
async def test_a_server_that_breaks_the_rules_is_left(
    kind: CallKind, messages: list[bytes], says: str
) -> None:
    async with begun(kind) as (call, connection, far):
        far.say(*messages)
        error = connection.ended
        assert isinstance(error, RemoteProtocolError) and says in str(error)
        await settle()
        assert call.ended and not connection.busy
        with pytest.raises(RpcError) as caught:
            while True:  # what came before is still to be had
                await call.inbox.take()
        assert caught.value.status is StatusCode.UNAVAILABLE
        assert far.pipe.closed and far.pipe.aborted


@pytest.mark.parametrize(
    "message",
    [
        encode_item(1, b"a"),
        encode_item(1, b"a", True),
        OK,
        encode_headers(1, PAIRS),
        encode_credit(1, 1),
    ],
)
async def test_nothing_of_a_stream_comes_below_its_level(message: bytes) -> None:
    async with begun(BOTH, level=SEAL) as (call, connection, far):
        far.say(message, level=SIGN)
        text = "an answer at level SIGN to a call at SEAL"
        assert str(connection.ended) == text
        with pytest.raises(RpcError):
            await call.inbox.take()


async def test_an_item_above_its_calls_level_is_taken() -> None:
    async with begun(SERVER, level=SIGN) as (call, _, far):
        far.say(encode_item(1, b"a"), level=SIGN)
        far.say(encode_item(1, b"b"), level=SEAL)
        far.say(OK, level=SIGN)
        assert await taken(call) == [b"a", b"b"]


async def test_messages_of_a_stream_that_has_ended_are_passed_over() -> None:
    async with begun(SERVER) as (_, connection, far):
        far.say(OK)
        far.say(WHOLE, OK, encode_headers(1, PAIRS), encode_part(1, b"", False))
        far.say(encode_reply(1, NIL, b""), encode_credit(1, MOST_CREDIT))
        assert connection.ended is None


async def test_an_item_that_is_too_long_ends_its_call_alone() -> None:
    async with begun(SERVER, limit=PART_BYTES) as (call, connection, far):
        far.say(encode_item(1, bytes(PART_BYTES), True), encode_part(1, b"x", False))
        with pytest.raises(RpcError, match="item of 65537 bytes, limit 65536"):
            await call.inbox.take()
        await settle()
        assert [each for each in far.heard() if not isinstance(each, Credit)] == [
            Cancel(1)
        ]
        assert not connection.busy and connection.ended is None


# The caller's half.


async def test_sending_ends_once() -> None:
    async with begun(BOTH) as (call, connection, far):
        await call.outbox.send(b"a")
        call.end_sending()
        call.end_sending()
        await settle()
        assert far.heard() == [Item(1, False, b"a"), End(1)]
        with pytest.raises(RpcError, match="FAILED_PRECONDITION: sending has ended"):
            await call.outbox.send(b"b")
        # The other half goes on.
        far.say(encode_item(1, b"c"))
        assert await call.inbox.take() == b"c"
        assert connection.busy


async def test_sending_does_not_end_in_the_middle_of_an_item() -> None:
    async with begun(BOTH) as (call, _, far):
        async with anyio.create_task_group() as group:
            group.start_soon(call.outbox.send, bytes(LIMIT))
            await settle()
            with pytest.raises(BusyError):
                call.end_sending()
            far.say(encode_credit(1, LIMIT), encode_credit(0, LIMIT))
        call.end_sending()
        await settle()
        assert far.heard()[-1] == End(1)


@pytest.mark.parametrize("answer", [[encode_reply(1, NIL, b"a")], [OK]])
async def test_an_answer_ends_sending(answer: list[bytes]) -> None:
    kind = BOTH if answer == [OK] else CLIENT
    async with begun(kind) as (call, _, far):
        far.say(*answer)
        call.end_sending()
        with pytest.raises(RpcError, match="answered before all of it was sent"):
            await call.outbox.send(b"x")
        await settle()
        assert far.heard() == []


async def test_credit_is_given_at_the_calls_level_until_it_has_ended() -> None:
    async with begun(SERVER, level=SEAL) as (call, _, far):
        far.say(*FULL)
        for _ in range(2):
            await call.inbox.take()
        await settle()
        credits = [
            (level, each)
            for level, messages in far.records()
            for each in messages
            if isinstance(each, Credit) and each.id
        ]
        assert credits == [(SEAL, Credit(1, STREAM_WINDOW // 2))]
        far.say(*FULL[:2], OK)
        while call.inbox.waiting:
            await call.inbox.take()
        await settle()
        assert Credit(1, STREAM_WINDOW // 2) not in far.heard()


async def test_cancelling_says_so_once_and_drops_what_is_here() -> None:
    async with begun(BOTH) as (call, connection, far):
        far.say(encode_item(1, b"a"))
        call.cancel()
        call.cancel()
        await settle()
        assert far.heard() == [Cancel(1)]
        for work in (call.inbox.take, lambda: call.outbox.send(b"x")):
            with pytest.raises(RpcError, match="CANCELLED: the call was cancelled"):
                await work()
        assert not connection.busy and call.ended


async def test_giving_up_from_a_finaliser_waits_for_the_loop() -> None:
    async with begun(BOTH) as (call, _, far):
        call.abandon()
        assert far.heard() == [] and not call.ended
        await settle()
        assert far.heard() == [Cancel(1)] and call.ended
        call.abandon()
        await settle()
        assert far.heard() == []


# Headers.


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (encode_headers(1, PAIRS), PAIRS),
        (encode_item(1, b""), ()),
        (OK, ()),
        (encode_status(1, 5, ""), ()),
    ],
)
async def test_headers_are_waited_for_until_it_is_known_that_none_come(
    message: bytes, headers: object
) -> None:
    async with begun(SERVER) as (call, _, far):
        found: list[object] = []

        async def wait() -> None:
            found.append(await call.wait_headers())

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await settle()
            assert found == []
            far.say(message)
        assert found == [headers]
        assert await call.wait_headers() == headers


async def test_waiting_for_headers_ends_with_the_call() -> None:
    async with begun(SERVER) as (call, _, _):
        async with anyio.create_task_group() as group:
            group.start_soon(call.wait_headers)
            await settle()
            call.cancel()
        assert await call.wait_headers() == ()
