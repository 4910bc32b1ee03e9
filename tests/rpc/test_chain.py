"""Calls through interceptors: how they end, and that nothing is left behind."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from signetrpc.rpc import CallContext, Interceptor, StatusCode
from signetrpc.rpc._chain import chained
from signetrpc.rpc._schema import CallKind
from signetrpc.rpc.testing import channel_for
from tests.support.around import (
    PATIENCE,
    Ending,
    Next,
    NextItems,
    Noting,
    Slow,
    Stopping,
    slowly,
)
from tests.support.desk import until
from tests.support.kinds import KINDS, Numbers, call

pytestmark = pytest.mark.anyio


# Calls that are given up.


async def test_they_learn_that_the_caller_gave_up() -> None:
    served, ending = Slow(), Ending()
    async with channel_for(served, interceptors=[ending]) as channel:
        async with anyio.create_task_group() as group:
            group.start_soon(channel.unary, *slowly("wait"))
            await served.started.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(PATIENCE):
            await ending.ended.wait()
        assert ending.status is StatusCode.CANCELLED


async def test_they_learn_that_a_thread_worked_for_nobody() -> None:
    served, ending = Slow(), Ending()
    try:
        async with channel_for(served, interceptors=[ending]) as channel:
            async with anyio.create_task_group() as group:
                group.start_soon(channel.unary, *slowly("block"))
                await served.started.wait()
                group.cancel_scope.cancel()
            await until(lambda: served.calls[0].cancelled)
            served.go.set()
            with anyio.fail_after(PATIENCE):
                await ending.ended.wait()
            assert ending.status is StatusCode.CANCELLED
    finally:
        served.go.set()


async def test_they_are_cancelled_themselves_after_a_thread_too() -> None:
    waiting, over = anyio.Event(), anyio.Event()

    class Lingering:
        async def intercept_unary(
            self, call_next: Next, request: Any, context: CallContext
        ) -> object:
            result = await call_next(request)
            waiting.set()
            try:
                await anyio.sleep_forever()
            finally:
                over.set()
            return result

    async with channel_for(Numbers(), interceptors=[Lingering()]) as channel:
        async with anyio.create_task_group() as group:
            group.start_soon(call, channel, "twice_in_thread")
            await waiting.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(PATIENCE):
            await over.wait()


@pytest.mark.parametrize("name", ["drip", "ticks"])
async def test_they_learn_that_a_stream_is_read_no_more(name: str) -> None:
    served, ending = Slow(), Ending()
    async with channel_for(served, interceptors=[ending]) as channel:
        async with channel.server_stream(*slowly(name)) as items:
            assert await anext(items) == 0
        with anyio.fail_after(PATIENCE):
            await ending.ended.wait()
        assert ending.status is StatusCode.CANCELLED
        assert served.events == [f"{name} ended"]


async def test_one_that_takes_too_long_over_a_call_given_up_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signetrpc.rpc._chain._LAST_SECONDS", 0.01)
    stopped = anyio.Event()

    class Stuck:
        async def on_start(self, context: CallContext) -> None:
            """Know nothing yet."""

        async def on_end(self, *_: object) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                stopped.set()

    served = Slow()
    async with channel_for(served, interceptors=[Stuck()]) as channel:
        async with anyio.create_task_group() as group:
            group.start_soon(channel.unary, *slowly("wait"))
            await served.started.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(PATIENCE):
            await stopped.wait()


# Nothing is left behind.


async def test_generators_left_in_the_middle_are_closed_before_the_answer() -> None:
    served, stopping = Slow(), Stopping()
    around = [stopping, stopping]
    async with channel_for(served, interceptors=around) as channel:
        async with channel.server_stream(*slowly("ticks")) as items:
            assert [item async for item in items] == [0]
        assert served.events == ["ticks ended"]
        made, given = slowly("first")
        assert await channel.client_stream(made, given, [5, 6, 7]) == 5
        assert stopping.events == ["items ended"] * 2
        made, given = slowly("firsts")
        async with channel.bidirectional(made, given, [5, 6, 7]) as replies:
            assert [reply async for reply in replies] == [5]
        assert stopping.events == ["items ended"] * 4


async def test_streams_begun_again_and_again_are_not_collected() -> None:
    class Again:
        async def intercept_server_stream(
            self, call_next: NextItems, request: Any, context: CallContext
        ) -> AsyncIterator[int]:
            for _ in range(100):
                async for item in call_next(request):
                    yield item

    chain = chained([Again()], CallKind.SERVER_STREAM)
    assert chain is not None

    async def innermost(request: int) -> AsyncIterator[int]:
        yield request

    given = chain(innermost, None, 3)
    assert [item async for item in given] == [3] * 100
    assert len(given._opened._replies) <= 2
    await given.aclose()


async def test_no_task_outlives_its_call() -> None:
    served, events = Slow(), list[str]()
    around: list[Interceptor] = [Noting("a", events), Stopping(), Noting("b", events)]
    async with channel_for(served, Numbers(), interceptors=around) as channel:
        await call(channel, "twice")
        before = len(anyio.get_running_tasks())
        for name in KINDS:
            await call(channel, name)
        async with channel.server_stream(*slowly("drip")) as items:
            assert await anext(items) == 0
        with anyio.fail_after(PATIENCE):
            while len(anyio.get_running_tasks()) > before:
                await anyio.sleep(0)
        starts = sum(event.startswith("start") for event in events)
        assert starts == len(events) - starts == 2 * len(KINDS) + 4
