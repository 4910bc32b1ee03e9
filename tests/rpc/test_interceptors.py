"""Interceptors around handlers: each kind of call, each style, in order."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from signetrpc.rpc import (
    CallContext,
    CallInfo,
    Interceptor,
    Protection,
    RpcError,
    StatusCode,
    raised,
)
from signetrpc.rpc._chain import chained
from signetrpc.rpc._schema import CallKind
from signetrpc.rpc.testing import channel_for
from tests.support.around import Changing, Next, NextItems, Noting
from tests.support.kinds import (
    CHANGED,
    EACH,
    KINDS,
    ONE,
    RESULTS,
    TAKING,
    Numbers,
    call,
    of,
)

pytestmark = pytest.mark.anyio


# In order.


@pytest.mark.parametrize("name", KINDS)
async def test_the_first_is_the_outermost(name: str) -> None:
    served = Numbers()
    events = served.shown.events
    around = [Noting("a", events), Noting("b", events)]
    async with channel_for(served, interceptors=around) as channel:
        assert await call(channel, name) == RESULTS[name]
    assert events == ["start a", "start b", "handler", "end b", "end a"]


@pytest.mark.parametrize("name", KINDS)
async def test_what_goes_in_and_comes_out_can_be_changed(name: str) -> None:
    async with channel_for(Numbers(), interceptors=[Changing()]) as channel:
        assert await call(channel, name) == CHANGED[name]


async def test_each_kind_has_its_own_and_passes_the_others_by() -> None:
    class UnaryAlone:
        async def intercept_unary(
            self, call_next: Next, request: Any, context: CallContext
        ) -> int:
            return 0

    assert chained([UnaryAlone()], CallKind.UNARY) is not None
    for kind in (CallKind.CLIENT_STREAM, CallKind.SERVER_STREAM):
        assert chained([UnaryAlone()], kind) is None
    async with channel_for(Numbers(), interceptors=[UnaryAlone()]) as channel:
        for name in KINDS:
            expected = [0] if name in ONE else RESULTS[name]
            assert await call(channel, name) == expected


@pytest.mark.parametrize("kind", CallKind)
def test_what_intercepts_nothing_is_refused(kind: CallKind) -> None:
    assert chained([], kind) is None
    with pytest.raises(TypeError, match="^object intercepts nothing$"):
        chained([Changing(), object()], kind)  # type: ignore[list-item]  # pyright: ignore


# What they know and say.


@pytest.mark.parametrize("name", KINDS)
async def test_they_know_the_call_and_add_trailers(name: str) -> None:
    seen: list[object] = []

    class Looking:
        async def on_start(self, context: CallContext) -> None:
            seen.extend([context.method, context.protection, *context.metadata])

        async def on_end(
            self, token: None, context: CallContext, error: Exception | None
        ) -> None:
            context.set_trailers([*context.trailers, ("from", "interceptor")])

    async with channel_for(Numbers(), interceptors=[Looking()]) as channel:
        pairs = {"k": "v"}
        if name in (*ONE, *TAKING):
            info = CallInfo()
            await call(channel, name, metadata=pairs, call_info=info)
            trailers = info.trailers
        else:
            made: Any = of(name)
            given = made.arguments(number=1)
            open_stream: Any = channel.server_stream
            if name in EACH:
                open_stream = channel.bidirectional
            async with open_stream(made, given, metadata=pairs) as stream:
                if name in EACH:
                    await stream.end()
                async for _ in stream:
                    pass
                trailers = stream.trailers
    assert seen == [f"test.Numbers/{name}", Protection.SIGN, ("k", "v")]
    assert trailers == (("from", "handler"), ("from", "interceptor"))


# Instead of the handler.


@pytest.mark.parametrize("name", KINDS)
async def test_an_error_before_keeps_the_handler_from_running(name: str) -> None:
    class Refusing:
        async def on_start(self, context: CallContext) -> None:
            raise RpcError(StatusCode.PERMISSION_DENIED, "not you")

        async def on_end(self, *_: object) -> None:
            raise AssertionError("it never began")

    served = Numbers()
    outer = Noting("outer", served.shown.events)
    async with channel_for(served, interceptors=[outer, Refusing()]) as channel:
        with pytest.raises(RpcError) as caught:
            await call(channel, name)
    assert caught.value.status is StatusCode.PERMISSION_DENIED
    assert served.shown.events == [
        "start outer",
        "end outer: PERMISSION_DENIED: not you",
    ]


@pytest.mark.parametrize("name", KINDS)
async def test_an_error_after_takes_the_place_of_the_answer(name: str) -> None:
    class Late:
        async def on_start(self, context: CallContext) -> None:
            return None

        async def on_end(
            self, token: None, context: CallContext, error: Exception | None
        ) -> None:
            raise RpcError(StatusCode.DATA_LOSS, "it is gone")

    served = Numbers()
    async with channel_for(served, interceptors=[Late()]) as channel:
        with pytest.raises(RpcError) as caught:
            await call(channel, name)
    assert caught.value.status is StatusCode.DATA_LOSS
    assert served.shown.events == ["handler"]


@pytest.mark.parametrize("where", ["on_start", "on_end"])
@pytest.mark.parametrize("name", KINDS)
async def test_their_own_failures_are_internal_and_logged(
    name: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        async def on_start(self, context: CallContext) -> None:
            if where == "on_start":
                raise KeyError("the secret is 42")

        async def on_end(self, *_: object) -> None:
            raise KeyError("the secret is 42")

    caplog.set_level(logging.ERROR, "signetrpc.rpc")
    async with channel_for(Numbers(), interceptors=[Broken()]) as channel:
        with pytest.raises(RpcError) as caught:
            await call(channel, name)
    assert str(caught.value) == "INTERNAL: the handler failed"
    assert [each.message for each in caplog.records if "failed for" in each.message]


@pytest.mark.parametrize("name", KINDS)
async def test_they_may_answer_by_themselves(name: str) -> None:
    class Answering:
        async def intercept_unary(self, *_: object) -> int:
            return 7

        async def intercept_client_stream(self, *_: object) -> int:
            return 7

        async def intercept_server_stream(self, *_: object) -> AsyncIterator[int]:
            yield 7

        async def intercept_bidirectional(self, *_: object) -> AsyncIterator[int]:
            yield 7

    served = Numbers()
    async with channel_for(served, interceptors=[Answering()]) as channel:
        assert await call(channel, name) == [7]
    assert served.shown.events == []


async def test_going_on_twice_runs_the_handler_twice() -> None:
    class Twice:
        async def intercept_unary(
            self, call_next: Next, request: Any, context: CallContext
        ) -> int:
            first, second = await call_next(request), await call_next(request)
            return int(first) + int(second)

        async def intercept_server_stream(
            self, call_next: NextItems, request: Any, context: CallContext
        ) -> AsyncIterator[int]:
            for _ in range(2):
                async for item in call_next(request):
                    yield item

    served = Numbers()
    async with channel_for(served, interceptors=[Twice()]) as channel:
        assert await call(channel, "twice") == [8]
        assert await call(channel, "count") == [0, 1, 0, 1]
        assert await call(channel, "count_in_thread") == [0, 1, 0, 1]
    assert served.shown.events == ["handler"] * 6


async def test_an_iterator_that_is_no_generator_serves() -> None:
    class Two:
        def __init__(self) -> None:
            self._left = [2, 1]

        def __aiter__(self) -> "Two":
            return self

        async def __anext__(self) -> int:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop()

    class Plain:
        def intercept_server_stream(self, *_: object) -> AsyncIterator[int]:
            return Two()

    around: list[Interceptor] = [Noting("a", []), Plain()]
    async with channel_for(Numbers(), interceptors=around) as channel:
        assert await call(channel, "count") == [1, 2]


async def test_an_item_raised_to_a_level_is_passed_on_as_it_is() -> None:
    class Raising:
        async def intercept_server_stream(
            self, call_next: NextItems, request: Any, context: CallContext
        ) -> AsyncIterator[int]:
            async for item in call_next(request):
                yield raised(item, Protection.SEAL)

    around: list[Interceptor] = [Noting("a", []), Raising()]
    async with channel_for(Numbers(), interceptors=around) as channel:
        assert await call(channel, "count") == [0, 1]
