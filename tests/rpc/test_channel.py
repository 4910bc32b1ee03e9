"""The channel: connecting anew, and leaving a dead server alone."""

from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    DeadlineExceeded,
    RpcError,
    StatusCode,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Call,
    encode_go_away,
    encode_reply,
)
from signetrpc.transport import (
    AuthenticationFailed,
    ConnectFailed,
    FailureReason,
    InsufficientProtection,
)
from tests.support.channels import LENGTH, NIL, Text, status_of, table
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


async def test_the_call_that_finds_the_connection_gone_opens_another() -> None:
    async with table() as held:
        first = held.far
        first.session.close()
        first.deliver(first.session.data_to_send())
        await settle()
        assert await held.call(held.answer) == 3
        assert held.connector.attempts == 2 and held.far is not first
        assert first.pipe.closed


async def test_a_server_that_goes_away_is_left_for_another() -> None:
    async with table() as held:
        first = held.far
        results: list[int] = []

        async def call() -> None:
            results.append(await held.channel.unary(LENGTH, Text("abc")))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await settle()
            first.say(encode_go_away(30.0))
            assert await held.call(held.answer) == 3
            assert not first.pipe.closed
            first.say(encode_reply(1, NIL, encode_value(4)))
        await settle()
        assert results == [4] and first.pipe.closed


async def test_a_connection_whose_keys_are_used_up_is_closed_when_idle() -> None:
    async with table() as held:
        first = held.far
        results: list[int] = []

        async def call() -> None:
            results.append(await held.channel.unary(LENGTH, Text("abc")))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await settle()
            connection: Any = held.channel._connection  # pyright: ignore[reportPrivateUsage]
            connection._session._suite.exhausted = True
            connection._flush()  # after each it is looked
            assert await held.call(held.answer) == 3
            assert held.far is not first and not first.pipe.closed
            first.say(encode_reply(1, NIL, encode_value(4)))
            await settle()
            assert results == [4] and first.pipe.closed


async def test_callers_share_one_new_connection() -> None:
    async with table() as held:
        held.far.deliver(b"\xff" * 20)
        held.connector.gate = anyio.Event()
        results: list[int] = []

        async def call() -> None:
            results.append(await held.channel.unary(LENGTH, Text("abc")))

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(call)
            await settle()
            held.connector.gate.set()
            await settle()
            held.answer()
        assert held.connector.attempts == 2 and results == [3] * 10


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (ConnectFailed("nobody"), StatusCode.UNAVAILABLE),
        (
            AuthenticationFailed("wrong", reason=FailureReason.REFUSED),
            StatusCode.UNAUTHENTICATED,
        ),
        (InsufficientProtection("weak"), StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_a_server_that_cannot_be_reached_is_left_alone_for_a_while(
    failure: Exception, status: StatusCode
) -> None:
    async with table() as held:
        held.far.deliver(b"\xff" * 20)
        held.connector.failure = failure
        with pytest.raises(RpcError) as caught:
            await held.channel.unary(LENGTH, Text("abc"))
        assert caught.value.status is status and caught.value.__cause__ is failure
        code, text = await status_of(held.channel.unary(LENGTH, Text("abc")))
        assert code is status
        assert text.startswith(f"{failure}; next attempt in ")
        assert held.connector.attempts == 2
        held.loop.now += 1.3
        held.connector.failure = None
        assert await held.call(held.answer) == 3
        assert held.connector.attempts == 3


async def test_reconnecting_takes_no_longer_than_the_call_may() -> None:
    async with table() as held:
        held.far.deliver(b"\xff" * 20)
        held.connector.gate = anyio.Event()
        with pytest.raises(DeadlineExceeded, match="no connection within 0.01 seconds"):
            await held.channel.unary(LENGTH, Text("abc"), timeout=0.01)
        held.connector.gate.set()
        assert await held.call(held.answer) == 3


async def test_calls_with_less_time_than_a_handshake_takes_get_there_together() -> None:
    async with table() as held:
        held.far.deliver(b"\xff" * 20)
        held.connector.gate = anyio.Event()
        for _ in range(3):
            with pytest.raises(DeadlineExceeded, match="no connection within"):
                await held.channel.unary(LENGTH, Text("abc"), timeout=0.01)
        held.connector.gate.set()
        await settle()
        assert await held.call(held.answer, timeout=0.01) == 3
        assert held.connector.attempts == 2


async def test_what_is_no_failure_to_connect_comes_out_as_itself() -> None:
    async with table() as held:
        held.far.deliver(b"\xff" * 20)
        held.connector.failure = KeyError("a bug")
        with pytest.raises(KeyError, match="a bug"):
            await held.channel.unary(LENGTH, Text("abc"))
        held.connector.failure = None
        assert await held.call(held.answer) == 3


async def test_a_cancelled_reconnect_leaves_the_way_open() -> None:
    async with table() as held:
        held.far.deliver(b"\xff" * 20)
        held.connector.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(held.channel.unary, LENGTH, Text("abc"))
            await settle()
            group.cancel_scope.cancel()
        held.connector.gate.set()
        assert await held.call(held.answer) == 3


async def test_the_time_of_reconnecting_counts() -> None:
    async with table() as held:
        held.far.deliver(b"\xff" * 20)
        held.connector.gate = anyio.Event()
        async with anyio.create_task_group() as group:

            async def call() -> None:
                await held.channel.unary(LENGTH, Text("abc"), timeout=9.0)

            group.start_soon(call)
            await settle()
            held.loop.now += 4.0
            held.connector.gate.set()
            await settle()
            (message,) = held.far.heard()
            assert isinstance(message, Call) and message.timeout_us == 5_000_000
            group.cancel_scope.cancel()


async def test_a_closed_channel_calls_nobody() -> None:
    async with table() as held:
        await held.channel.aclose()
        await held.channel.aclose()
        for _ in range(2):
            assert await status_of(held.channel.unary(LENGTH, Text("abc"))) == (
                StatusCode.CANCELLED,
                "the channel is closed",
            )
        assert held.connector.attempts == 1


async def test_a_connection_that_comes_after_the_end_is_closed() -> None:
    async with table() as held:
        held.far.deliver(b"\xff" * 20)
        held.connector.gate = anyio.Event()
        codes: list[StatusCode] = []

        async def call() -> None:
            codes.append((await status_of(held.channel.unary(LENGTH, Text("a"))))[0])

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await settle()
            await held.channel.aclose()
            held.connector.gate.set()
        assert codes == [StatusCode.UNAVAILABLE]
        assert held.far.pipe.aborted and held.far.pipe.closed
