"""Calls that wait for a server that cannot be reached, and those that do not."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    BidirectionalMethod,
    ClientStreamMethod,
    DeadlineExceeded,
    RpcError,
    ServerStreamMethod,
    StatusCode,
)
from signetrpc.rpc._client import connect_with
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import Call, encode_reply
from signetrpc.transport import (
    AuthenticationFailed,
    ConnectFailed,
    FailureReason,
    HandshakeError,
    InsufficientProtection,
    LocalProtocolError,
)
from tests.support.channels import (
    LENGTH,
    NIL,
    SIGN,
    HeldConnector,
    Table,
    Text,
    status_of,
    table,
)
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NOBODY = ConnectFailed("nobody")
LOCKED = AuthenticationFailed("wrong password", reason=FailureReason.REFUSED)

_NAMES: dict[str, Any] = {"service": "test.Desk", "protection": SIGN, "arguments": Text}
COUNT = ServerStreamMethod[Text, int](name="count", result=int, **_NAMES)
TOTAL = ClientStreamMethod[Text, int, int](name="total", item=int, result=int, **_NAMES)
ECHO = BidirectionalMethod[Text, int, int](name="echo", item=int, result=int, **_NAMES)


class Waiting:
    """Calls in tasks, and how they have ended."""

    def __init__(self, held: Table) -> None:
        self.held = held
        self.outcomes: list[object] = []
        self.scope: anyio.CancelScope | None = None

    async def make(self, **options: Any) -> None:
        """Call, and note how it ends."""
        with anyio.CancelScope() as self.scope:
            try:
                given: dict[str, Any] = {"wait_for_ready": True, **options}
                result = await self.held.channel.unary(LENGTH, Text("abc"), **given)
                self.outcomes.append(result)
            except RpcError as error:
                self.outcomes.append((error.status, error.message))


@asynccontextmanager
async def lost(
    failure: Exception | None = NOBODY, **options: Any
) -> AsyncGenerator[Table]:
    """Give a channel whose connection is gone, and no other to be had."""
    async with table(**options) as held:
        held.far.deliver(b"\xff" * 20)
        held.connector.failure = failure
        yield held


async def pass_time(held: Table, seconds: float) -> None:
    held.loop.advance(seconds)
    await settle()


async def test_a_call_waits_through_failed_attempts() -> None:
    async with lost() as held, anyio.create_task_group() as group:
        waiting = Waiting(held)
        group.start_soon(waiting.make)
        await settle()
        assert held.connector.attempts == 2
        await pass_time(held, 0.7)
        assert held.connector.attempts == 2
        await pass_time(held, 0.6)
        assert held.connector.attempts == 3
        held.connector.failure = None
        await pass_time(held, 2.0)
        assert held.connector.attempts == 4 and waiting.outcomes == []
        (message,) = held.far.heard()
        assert isinstance(message, Call)
        assert message.timeout_us == pytest.approx(56_700_000)
        held.far.say(encode_reply(1, NIL, encode_value(3)))
        await settle()
        assert waiting.outcomes == [3]


async def test_those_that_wait_share_a_timer_and_an_attempt() -> None:
    async with lost() as held, anyio.create_task_group() as group:
        waiting = Waiting(held)
        before = len(held.loop.armed)
        for _ in range(50):
            group.start_soon(waiting.make)
        await settle()
        assert held.connector.attempts == 2
        assert len(held.loop.armed) == before + 1
        await pass_time(held, 1.3)
        assert held.connector.attempts == 3
        assert len(held.loop.armed) == before + 1
        held.connector.failure = None
        await pass_time(held, 2.0)
        held.answer()
        await settle()
        assert held.connector.attempts == 4 and waiting.outcomes == [3] * 50


async def test_those_that_do_not_wait_fail_beside_those_that_do() -> None:
    async with lost() as held, anyio.create_task_group() as group:
        waiting = Waiting(held)
        group.start_soon(waiting.make)
        await settle()
        code, text = await status_of(held.channel.unary(LENGTH, Text("abc")))
        assert code is StatusCode.UNAVAILABLE
        assert text.startswith("nobody; next attempt in ")
        # An attempt that is under way is everybody's, and its failure not of all.
        held.connector.gate = anyio.Event()
        await pass_time(held, 1.3)
        group.start_soon(waiting.make)
        hasty = Waiting(held)

        async def make_hastily() -> None:
            await hasty.make(wait_for_ready=False)

        group.start_soon(make_hastily)
        await settle()
        assert hasty.outcomes == [] and held.connector.attempts == 3
        held.connector.gate.set()
        await settle()
        assert hasty.outcomes == [(StatusCode.UNAVAILABLE, "nobody")]
        assert waiting.outcomes == []
        held.connector.failure = None
        await pass_time(held, 2.0)
        held.answer()
        await settle()
        assert waiting.outcomes == [3, 3]


async def test_the_channel_has_a_habit_that_a_call_may_leave() -> None:
    async with lost(wait_for_ready=True) as held, anyio.create_task_group() as group:
        waiting = Waiting(held)
        hasty = held.channel.unary(LENGTH, Text("abc"), wait_for_ready=False)
        assert await status_of(hasty) == (StatusCode.UNAVAILABLE, "nobody")

        async def make() -> None:
            await waiting.make(wait_for_ready=None)

        group.start_soon(make)
        await settle()
        assert waiting.outcomes == []
        held.connector.failure = None
        await pass_time(held, 1.3)
        held.answer()
        await settle()
        assert waiting.outcomes == [3]


async def test_the_deadline_bounds_the_wait() -> None:
    async with lost() as held:
        hasty = held.channel.unary(LENGTH, Text("abc"))
        assert await status_of(hasty) == (StatusCode.UNAVAILABLE, "nobody")
        text = "no connection within 0.01 seconds; the last attempt: nobody"
        with pytest.raises(DeadlineExceeded, match=text):
            await held.channel.unary(
                LENGTH, Text("abc"), timeout=0.01, wait_for_ready=True
            )
        assert held.connector.attempts == 2


async def test_nobody_waits_any_more() -> None:
    async with lost() as held, anyio.create_task_group() as group:
        waiting = Waiting(held)
        group.start_soon(waiting.make)
        await settle()
        assert waiting.scope is not None
        waiting.scope.cancel()
        await settle()
        await pass_time(held, 1.3)
        assert waiting.outcomes == [] and held.connector.attempts == 2
        # The way is open to others.
        held.connector.failure = None
        assert await held.call(held.answer) == 3


@pytest.mark.parametrize("attempting", [False, True])
async def test_the_channel_is_closed_meanwhile(attempting: bool) -> None:
    async with lost() as held, anyio.create_task_group() as group:
        waiting = Waiting(held)
        for _ in range(3):
            group.start_soon(waiting.make)
        await settle()
        if attempting:
            held.connector.gate = anyio.Event()
            await pass_time(held, 1.3)
        armed = len(held.loop.armed)
        await held.channel.aclose()
        held.connector.gate.set()
        await settle()
        assert waiting.outcomes == [(StatusCode.CANCELLED, "the channel is closed")] * 3
        assert len(held.loop.armed) == armed - (not attempting)
        assert held.connector.attempts == 2 + attempting


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (LOCKED, StatusCode.UNAUTHENTICATED),
        (InsufficientProtection("weak"), StatusCode.FAILED_PRECONDITION),
        (LocalProtocolError("no name"), StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_what_waiting_does_not_cure_ends_calls_at_once(
    failure: Exception, status: StatusCode
) -> None:
    async with lost(failure) as held:
        for _ in range(3):
            # The clock of the channel is held: by it the call would wait for ever.
            call = held.channel.unary(LENGTH, Text("abc"), wait_for_ready=True)
            with anyio.fail_after(5):
                code, text = await status_of(call)
            assert code is status and text.startswith(str(failure))
        # The credentials were shown once.
        assert held.connector.attempts == 2


async def test_a_refusal_after_failures_ends_the_wait() -> None:
    async with lost() as held, anyio.create_task_group() as group:
        waiting = Waiting(held)
        group.start_soon(waiting.make)
        await settle()
        held.connector.failure = LOCKED
        await pass_time(held, 1.3)
        assert waiting.outcomes == [(StatusCode.UNAUTHENTICATED, "wrong password")]
        assert held.connector.attempts == 3


@pytest.mark.parametrize(
    "failure",
    [
        HandshakeError("it is busy"),
        AuthenticationFailed("no KDC", reason=FailureReason.NO_KDC),
    ],
)
async def test_what_was_not_judged_is_waited_for(failure: Exception) -> None:
    async with lost(failure) as held, anyio.create_task_group() as group:
        waiting = Waiting(held)
        group.start_soon(waiting.make)
        await settle()
        held.connector.failure = None
        await pass_time(held, 1.3)
        held.answer()
        await settle()
        assert waiting.outcomes == [3]


async def test_a_bug_is_not_waited_for() -> None:
    async with lost(KeyError("a bug")) as held:
        with pytest.raises(KeyError, match="a bug"):
            await held.channel.unary(LENGTH, Text("abc"), wait_for_ready=True)


async def test_connections_that_end_at_once_are_failures() -> None:
    async with lost(None) as held, anyio.create_task_group() as group:
        held.connector.ends_at_once = True
        waiting = Waiting(held)
        group.start_soon(waiting.make)
        group.start_soon(waiting.make)
        await settle()
        assert held.connector.attempts == 2
        for _ in range(3):
            await pass_time(held, 1.3)
        assert held.connector.attempts == 5 and waiting.outcomes == []
        code, text = await status_of(held.channel.unary(LENGTH, Text("abc")))
        assert code is StatusCode.UNAVAILABLE
        assert text.startswith("the server ended the connection at once; next attempt")
        held.connector.ends_at_once = False
        await pass_time(held, 1.3)
        held.answer()
        await settle()
        assert waiting.outcomes == [3, 3]


async def test_a_connection_that_is_opened_meanwhile_ends_the_wait() -> None:
    async with lost() as held, anyio.create_task_group() as group:
        waiting = Waiting(held)
        group.start_soon(waiting.make)
        await settle()
        held.connector.failure = None
        await held.channel.open()
        await settle()
        held.answer()
        await settle()
        assert waiting.outcomes == [3] and held.connector.attempts == 3


async def test_the_first_connection_is_not_waited_for() -> None:
    connector = HeldConnector()
    connector.failure = NOBODY
    with pytest.raises(ConnectFailed, match="nobody"):
        async with connect_with(connector, wait_for_ready=True):
            raise AssertionError
    assert connector.attempts == 1
