"""What a handler sends ahead, and how it learns why nobody waits any more."""

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from signetrpc.rpc import (
    CallContext,
    RpcError,
    StatusCode,
    current_call,
    method,
    service,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._context import CancellationCause
from signetrpc.rpc._messages import (
    Headers,
    Item,
    Reply,
    Status,
    encode_call,
    encode_cancel,
    encode_item,
)
from signetrpc.transport import Limits, Protection
from tests.rpc.test_context import context
from tests.support.calls import FarEnd, server_end
from tests.support.desk import answers
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

SIGN, SEAL = Protection.SIGN, Protection.SEAL


@service("test.Ahead", protection=SIGN)
class Ahead:
    """Sends headers in each style of handler."""

    def __init__(self) -> None:
        self.calls: list[CallContext] = []
        self.causes: list[CancellationCause | None] = []
        self.problems: list[Exception] = []

    @method(inline=True)
    def inline(self) -> None:
        current_call().send_headers({"from": "inline"})

    @method
    async def task(self) -> None:
        current_call().send_headers({"from": "task"})

    @method
    def thread(self) -> None:
        current_call().send_headers({"from": "thread"})

    @method
    async def items(self) -> AsyncIterator[int]:
        current_call().send_headers({"from": "items"})
        yield 1
        self.late()

    @method
    def thread_items(self) -> Iterator[int]:
        current_call().send_headers({"from": "thread_items"})
        yield 1
        self.late()

    @method
    async def headless(self) -> AsyncIterator[int]:
        yield 1
        self.late()

    @method
    async def twice(self) -> None:
        current_call().send_headers({"n": "1"})
        self.late()

    @method
    async def wrong(self) -> None:
        with pytest.raises(ValueError, match="reserved"):
            current_call().send_headers({"signet-x": "1"})
        with pytest.raises(RpcError, match="headers of 20001 bytes, limit 16384"):
            current_call().send_headers({"k": "x" * 20_000})
        current_call().send_headers({"k": "right"})

    @method
    async def long(self) -> None:
        current_call().send_headers({"k": "x" * 10_000})

    @method
    async def wait(self) -> None:
        call = current_call()
        self.calls.append(call)
        assert call.cancelled_because is None and not call.cancelled
        try:
            await anyio.sleep_forever()
        finally:
            self.causes.append(call.cancelled_because)
            assert call.cancelled
            call.send_headers({"nobody": "hears"})

    @method
    async def take(self, items: AsyncIterator[bytes]) -> None:
        try:
            async for _ in items:
                pass
        finally:
            self.causes.append(current_call().cancelled_because)

    def late(self) -> None:
        try:
            current_call().send_headers({"n": "2"})
        except RuntimeError as error:
            self.problems.append(error)


def begin(
    far: FarEnd, name: str, call_id: int = 1, timeout: float | None = None
) -> None:
    wire_name = encode_value(f"test.Ahead/{name}")
    body = encode_value({})
    far.say(encode_call(call_id, wire_name, timeout, b"\xc0", body), level=SIGN)


@pytest.mark.parametrize("style", ["inline", "task", "thread"])
async def test_headers_go_ahead_of_the_reply(style: str) -> None:
    async with server_end(Ahead()) as (_, far, _):
        begin(far, style)
        assert await answers(far, 2) == [
            Headers(1, [("from", style)]),
            Reply(1, None, False, encode_value(None)),
        ]


@pytest.mark.parametrize("style", ["items", "thread_items"])
async def test_headers_go_ahead_of_the_first_item(style: str) -> None:
    served = Ahead()
    async with server_end(served) as (_, far, _):
        begin(far, style)
        assert await answers(far, 3) == [
            Headers(1, [("from", style)]),
            Item(1, False, encode_value(1)),
            Status(1, 0, "", None),
        ]
    (problem,) = served.problems
    assert str(problem) == "headers go once, ahead of the first item or the reply"


async def test_headers_are_of_the_level_of_the_call() -> None:
    async with server_end(Ahead()) as (_, far, _):
        body = encode_value({})
        far.say(
            encode_call(1, encode_value("test.Ahead/inline"), None, b"\xc0", body),
            level=SEAL,
        )
        await settle()
        assert {level for level, _ in far.records()} == {SEAL}


async def test_headers_come_too_late_after_an_item() -> None:
    served = Ahead()
    async with server_end(served) as (_, far, _):
        begin(far, "headless")
        assert await answers(far, 2) == [
            Item(1, False, encode_value(1)),
            Status(1, 0, "", None),
        ]
    assert len(served.problems) == 1


async def test_headers_go_once() -> None:
    served = Ahead()
    async with server_end(served) as (_, far, _):
        begin(far, "twice")
        headers, reply = await answers(far, 2)
        assert headers == Headers(1, [("n", "1")]) and isinstance(reply, Reply)
    assert len(served.problems) == 1


async def test_wrong_headers_are_refused_and_can_be_sent_right() -> None:
    async with server_end(Ahead()) as (_, far, _):
        begin(far, "wrong")
        headers, reply = await answers(far, 2)
        assert headers == Headers(1, [("k", "right")]) and isinstance(reply, Reply)


async def test_headers_that_the_caller_cannot_take_fail_the_call() -> None:
    limits = Limits(max_record_bytes=16384, max_message_bytes=8192)
    async with server_end(Ahead(), limits=limits) as (_, far, _):
        begin(far, "long")
        (status,) = await answers(far, 1)
        assert isinstance(status, Status)
        assert status.code == StatusCode.RESOURCE_EXHAUSTED
        assert "limit 8192" in status.message


def test_a_context_without_a_connection_sends_nothing() -> None:
    with pytest.raises(RuntimeError, match="of no call"):
        context(None).send_headers({"a": "b"})


@pytest.mark.parametrize(
    "cause", [CancellationCause.CALLER, CancellationCause.DEADLINE]
)
async def test_a_handler_learns_what_the_caller_says(cause: CancellationCause) -> None:
    served = Ahead()
    async with server_end(served) as (_, far, _):
        begin(far, "wait")
        await settle()
        far.say(encode_cancel(1, cause), level=SIGN)
        await settle()
        assert served.causes == [cause] and far.heard() == []


async def test_a_handler_learns_of_its_deadline() -> None:
    served = Ahead()
    async with server_end(served) as (_, far, loop):
        begin(far, "wait", timeout=2.0)
        await settle()
        loop.advance(3)
        await settle()
        assert served.causes == [CancellationCause.DEADLINE]
        (status,) = far.heard()
        assert isinstance(status, Status)
        assert status.code == StatusCode.DEADLINE_EXCEEDED


async def test_a_handler_learns_that_the_connection_is_gone() -> None:
    served = Ahead()
    async with server_end(served) as (connection, far, _):
        begin(far, "wait")
        await settle()
        far.session.close()
        far.deliver(far.session.data_to_send())
        await settle()
        assert connection.ended is not None
        assert served.causes == [CancellationCause.CONNECTION_LOST]


async def test_a_handler_learns_that_the_server_stops() -> None:
    served = Ahead()
    async with server_end(served) as (connection, far, _):
        begin(far, "wait")
        await settle()
        await connection.aclose()
        await settle()
        assert served.causes == [CancellationCause.SERVER_STOPPING]


async def test_a_handler_learns_that_its_time_to_finish_is_over() -> None:
    served = Ahead()
    async with server_end(served) as (connection, far, loop):
        begin(far, "wait")
        await settle()
        connection.retire(5.0)
        loop.advance(6)
        await settle()
        assert served.causes == [CancellationCause.SERVER_STOPPING]


async def test_a_handler_learns_that_what_came_is_over_a_limit() -> None:
    served = Ahead()
    async with server_end(served, max_body_bytes=100) as (_, far, _):
        begin(far, "take")
        await settle()
        far.say(encode_item(1, bytes(101)), level=SIGN)
        await settle()
        assert served.causes == [CancellationCause.REFUSED]
        (status,) = far.heard()
        assert isinstance(status, Status)
        assert status.code == StatusCode.RESOURCE_EXHAUSTED
        assert status.message == "item of 101 bytes, limit 100"


def test_names_for_who_calls() -> None:
    call = context(None)
    assert call.peer is call.caller
    assert call.session_id == call.caller.session_id


async def test_a_thread_reads_the_time_that_is_left() -> None:
    async with server_end(Timed()) as (_, far, _):
        name = encode_value("test.Timed/left")
        far.say(encode_call(1, name, 5.0, b"\xc0", encode_value({})), level=SIGN)
        (reply,) = await answers(far, 1)
        assert reply == Reply(1, None, False, encode_value(5.0))


@service("test.Timed", protection=SIGN)
class Timed:
    """Looks at the clock in a thread."""

    @method
    def left(self) -> float:
        left = current_call().time_left()
        if left is None:
            raise RpcError(StatusCode.INVALID_ARGUMENT, "give a timeout")
        return left
