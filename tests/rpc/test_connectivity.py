"""How a channel stands to its server: each state, how it comes, and who is woken."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from signetrpc.rpc import (
    ConnectivityState,
    DeadlineExceeded,
    RpcError,
    StatusCode,
)
from signetrpc.rpc._connectivity import News
from signetrpc.rpc._messages import encode_go_away
from signetrpc.rpc.testing import channel_for
from signetrpc.transport import AuthenticationFailed, ConnectFailed, FailureReason
from tests.support.channels import LENGTH, Table, Text, status_of, table
from tests.support.kinds import Numbers
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

IDLE = ConnectivityState.IDLE
CONNECTING = ConnectivityState.CONNECTING
READY = ConnectivityState.READY
TRANSIENT_FAILURE = ConnectivityState.TRANSIENT_FAILURE
SHUTDOWN = ConnectivityState.SHUTDOWN

REFUSED = AuthenticationFailed("wrong password", reason=FailureReason.REFUSED)


@asynccontextmanager
async def watched(held: Table) -> AsyncGenerator[list[ConnectivityState]]:
    """Give the states that somebody sees who waits for each change."""
    seen = [held.channel.get_state()]

    async def watch() -> None:
        while seen[-1] is not SHUTDOWN:
            await held.channel.wait_for_state_change(seen[-1])
            seen.append(held.channel.get_state())

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await settle()
        yield seen
        group.cancel_scope.cancel()


def lose(held: Table) -> None:
    held.far.deliver(b"\xff" * 20)


async def test_a_life() -> None:
    async with table() as held, watched(held) as seen:
        assert held.channel.get_state() is READY
        lose(held)
        assert held.channel.get_state() is IDLE
        await settle()
        held.connector.gate = anyio.Event()
        held.connector.failure = ConnectFailed("nobody")
        async with anyio.create_task_group() as group:
            group.start_soon(status_of, held.channel.unary(LENGTH, Text("abc")))
            await settle()
            assert held.channel.get_state() is CONNECTING
            held.connector.gate.set()
        await settle()
        assert held.channel.get_state() is TRANSIENT_FAILURE
        held.loop.advance(1.3)  # left alone no more, but nobody asks
        await settle()
        assert held.channel.get_state() is TRANSIENT_FAILURE
        held.connector.failure = None
        held.connector.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(held.channel.channel_ready)
            await settle()
            assert held.channel.get_state() is CONNECTING
            held.connector.gate.set()
        assert held.channel.get_state() is READY
        await settle()
        await held.channel.aclose()
        assert held.channel.get_state() is SHUTDOWN
        await settle()
        life = [READY, IDLE, CONNECTING, TRANSIENT_FAILURE, CONNECTING, READY, SHUTDOWN]
        assert seen == life


async def test_a_server_that_goes_away_leaves_the_channel_idle() -> None:
    async with table() as held, watched(held) as seen:
        held.far.say(encode_go_away(30.0))
        assert held.channel.get_state() is IDLE
        await settle()
        assert seen == [READY, IDLE]


async def test_another_connection_is_no_news() -> None:
    async with table() as held, watched(held) as seen:
        held.connector.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(held.channel.open)
            await settle()
            assert held.channel.get_state() is READY
            held.connector.gate.set()
        await settle()
        assert held.connector.attempts == 2 and seen == [READY]


async def test_a_connection_on_its_way_without_a_call() -> None:
    async with table() as held:
        lose(held)
        held.connector.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(held.channel.open)
            await settle()
            assert held.channel.get_state() is CONNECTING
            held.connector.gate.set()
        assert held.channel.get_state() is READY


async def test_a_connection_that_ends_at_once_is_a_failure() -> None:
    async with table() as held:
        lose(held)
        held.connector.ends_at_once = True
        with pytest.raises(DeadlineExceeded, match="ended the connection at once"):
            await held.channel.channel_ready(timeout=0.01)
        assert held.channel.get_state() is TRANSIENT_FAILURE


async def test_who_waits_is_woken_by_changes_only() -> None:
    news = News()
    woken: list[int] = []

    async def wait(number: int) -> None:
        await news.wait()
        woken.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, 1)
        group.start_soon(wait, 2)
        await settle()
        news.tell(IDLE)
        await settle()
        assert woken == []
        news.tell(READY)
        news.tell(IDLE)  # it is no longer what it was in between
        await settle()
        assert sorted(woken) == [1, 2]


async def test_waiting_for_another_state_than_the_present_one_is_over_at_once() -> None:
    async with table() as held:
        await held.channel.wait_for_state_change(IDLE)
        await held.channel.wait_for_state_change(SHUTDOWN)


async def test_nothing_comes_after_the_shutdown() -> None:
    async with table() as held:
        await held.channel.aclose()
        await held.channel.wait_for_state_change(READY)
        wait = held.channel.wait_for_state_change(SHUTDOWN)
        assert await status_of(wait) == (StatusCode.CANCELLED, "the channel is closed")
        ready = held.channel.channel_ready()
        assert await status_of(ready) == (StatusCode.CANCELLED, "the channel is closed")


async def test_ready_waits_through_failures() -> None:
    async with table() as held, anyio.create_task_group() as group:
        await held.channel.channel_ready()
        assert held.connector.attempts == 1
        lose(held)
        held.connector.failure = ConnectFailed("nobody")
        group.start_soon(held.channel.channel_ready)
        await settle()
        assert held.connector.attempts == 2
        assert held.channel.get_state() is TRANSIENT_FAILURE
        held.connector.failure = None
        held.loop.advance(1.3)
        await settle()
        assert held.connector.attempts == 3
        assert held.channel.get_state() is READY


async def test_ready_does_not_show_a_refused_password_again() -> None:
    async with table() as held:
        lose(held)
        held.connector.failure = REFUSED
        for _ in range(2):
            with pytest.raises(RpcError, match="wrong password") as caught:
                await held.channel.channel_ready()
            assert caught.value.status is StatusCode.UNAUTHENTICATED
        assert held.connector.attempts == 2


async def test_ready_has_a_deadline_of_its_own_or_its_callers() -> None:
    async with table() as held:
        lose(held)
        held.connector.failure = ConnectFailed("nobody")
        with pytest.raises(DeadlineExceeded, match="the last attempt: nobody"):
            await held.channel.channel_ready(timeout=0.01)
        with pytest.raises(TimeoutError), anyio.fail_after(0.01):
            await held.channel.channel_ready()


async def test_a_channel_in_memory_is_ready() -> None:
    async with channel_for(Numbers) as channel:
        await channel.channel_ready()
        assert channel.get_state() is READY
    assert channel.get_state() is SHUTDOWN
