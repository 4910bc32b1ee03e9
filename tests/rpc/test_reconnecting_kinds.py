"""Waiting for a server that cannot be reached, in calls of each kind."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    BidirectionalMethod,
    ClientCall,
    ClientStreamMethod,
    DeadlineExceeded,
    ServerStreamMethod,
    StatusCode,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import Call, encode_item, encode_reply, encode_status
from signetrpc.transport import (
    AuthenticationFailed,
    ConnectFailed,
    FailureReason,
)
from tests.support.channels import (
    LENGTH,
    NIL,
    SIGN,
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


async def unary(held: Table, **options: Any) -> list[int]:
    return [await held.channel.unary(LENGTH, Text("a"), **options)]


async def server_stream(held: Table, **options: Any) -> list[int]:
    async with held.channel.server_stream(COUNT, Text("a"), **options) as stream:
        return [each async for each in stream]


async def client_stream(held: Table, **options: Any) -> list[int]:
    return [await held.channel.client_stream(TOTAL, Text("a"), [1], **options)]


async def bidirectional(held: Table, **options: Any) -> list[int]:
    async with held.channel.bidirectional(ECHO, Text("a"), [1], **options) as stream:
        return [each async for each in stream]


@pytest.mark.parametrize("make", [server_stream, client_stream, bidirectional])
async def test_streams_wait_and_without_a_timeout_as_long_as_it_takes(
    make: Callable[..., Awaitable[list[int]]],
) -> None:
    outcomes: list[list[int]] = []
    async with lost(default_timeout=0.001) as held:

        async def call() -> None:
            outcomes.append(await make(held, wait_for_ready=True))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await settle()
            for _ in range(5):
                await pass_time(held, 200.0)
            assert held.connector.attempts == 7 and outcomes == []
            held.connector.failure = None
            await pass_time(held, 200.0)
            message = held.far.heard()[0]
            assert isinstance(message, Call) and message.timeout_us is None
            if make is client_stream:
                held.far.say(encode_reply(1, NIL, encode_value(1)))
            else:
                held.far.say(
                    encode_item(1, encode_value(1)), encode_status(1, 0, "", ())
                )
    assert outcomes == [[1]]


@pytest.mark.parametrize("make", [server_stream, client_stream, bidirectional])
async def test_streams_that_do_not_wait_fail(
    make: Callable[..., Awaitable[list[int]]],
) -> None:
    async with lost() as held:
        assert await status_of(make(held)) == (StatusCode.UNAVAILABLE, "nobody")
        with pytest.raises(DeadlineExceeded, match="no connection within 0.01 seconds"):
            await make(held, timeout=0.01, wait_for_ready=True)


class Patient:
    """Lets calls wait, if it is told to."""

    def __init__(self, wait_for_ready: bool | None) -> None:
        self.wait_for_ready = wait_for_ready
        self.seen: list[bool | None] = []

    async def on_start(self, context: ClientCall) -> None:
        """Note what the caller wants, and change it."""
        self.seen.append(context.wait_for_ready)
        context.wait_for_ready = self.wait_for_ready

    async def on_end(
        self, token: None, context: ClientCall, error: Exception | None
    ) -> None:
        """Nothing."""


@pytest.mark.parametrize("make", [unary, server_stream, client_stream, bidirectional])
async def test_interceptors_see_and_decide_it(
    make: Callable[..., Awaitable[list[int]]],
) -> None:
    patient = Patient(None)
    async with lost(interceptors=[patient]) as held:
        code, text = await status_of(make(held, wait_for_ready=True))
        assert code is StatusCode.UNAVAILABLE and text == "nobody"
        patient.wait_for_ready = True
        with pytest.raises(DeadlineExceeded, match="no connection within"):
            await make(held, timeout=0.01)
        assert patient.seen == [True, None]
