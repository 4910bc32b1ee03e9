"""Streams with interceptors around them, in the caller's hands."""

import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    BidirectionalStream,
    ClientCall,
    Protection,
    RpcError,
    ServerStream,
    StatusCode,
    lowered,
)
from signetrpc.rpc.testing import channel_for
from tests.support.around import (
    PATIENCE,
    Changing,
    Ending,
    NextItems,
    Noting,
    Slow,
    slowly,
)
from tests.support.desk import until
from tests.support.kinds import CHANGED, Numbers, of
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

COUNT: Any = of("count")
SCALED: Any = of("scaled")
TOTAL: Any = of("total")


def talk_of(channel: Any, items: Any = None) -> BidirectionalStream[int, int]:
    stream: BidirectionalStream[int, int]
    stream = channel.bidirectional(SCALED, SCALED.arguments(number=2), items)
    return stream


def counting(channel: Any, number: int) -> ServerStream[int]:
    stream: ServerStream[int]
    stream = channel.server_stream(COUNT, COUNT.arguments(number=number))
    return stream


class Keeping:
    """Notes the items that go out, with their levels, and passes them on."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Protection | None]] = []

    async def noted(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        """Pass items on."""
        async for item in items:
            self.sent.append(lowered(item))
            yield item

    async def intercept_bidirectional(
        self,
        call_next: Callable[[Any, AsyncIterator[int]], AsyncIterator[int]],
        request: Any,
        items: AsyncIterator[int],
        context: ClientCall,
    ) -> AsyncIterator[int]:
        """Pass it all on."""
        async for reply in call_next(request, self.noted(items)):
            yield reply


# To and fro.


async def test_a_conversation_by_hand() -> None:
    keeping = Keeping()
    async with channel_for(Numbers(), client_interceptors=[keeping]) as channel:
        async with talk_of(channel) as talk:
            await talk.send(1)
            assert await anext(talk) == 2
            await talk.send(2, protection=Protection.SEAL)
            assert await anext(talk) == 4
            await talk.end()
            with pytest.raises(RpcError) as caught:
                await talk.send(3)
            assert caught.value.status is StatusCode.FAILED_PRECONDITION
            with pytest.raises(StopAsyncIteration):
                await anext(talk)
            assert talk.trailers == (("from", "handler"),)
    assert keeping.sent == [(1, None), (2, Protection.SEAL)]


async def test_sending_begins_the_call() -> None:
    served = Numbers()
    async with channel_for(served, client_interceptors=[Keeping()]) as channel:
        talk = talk_of(channel)
        await talk.send(1)
        with anyio.fail_after(PATIENCE):
            await until(lambda: served.shown.events == ["handler"])
        assert await anext(talk) == 2
        await talk.end()
        assert [reply async for reply in talk] == []


async def test_an_item_that_cannot_be_sent_ends_nothing() -> None:
    async with channel_for(Numbers(), client_interceptors=[Keeping()]) as channel:
        async with talk_of(channel) as talk:
            wrong: Any = object()
            with pytest.raises(RpcError) as caught:
                await talk.send(wrong)
            assert caught.value.status is StatusCode.INVALID_ARGUMENT
            await talk.send(1)
            assert await anext(talk) == 2


async def test_a_stream_that_has_a_source_takes_nothing_else() -> None:
    async with channel_for(Numbers(), client_interceptors=[Keeping()]) as channel:
        async with talk_of(channel, iter([1, 2])) as talk:
            for refused in (talk.send(3), talk.end()):
                with pytest.raises(RpcError, match="the items that it was given"):
                    await refused
            assert [reply async for reply in talk] == [2, 4]


# The caller's sources.


class Closing:
    """Sources of items that tell when they are closed."""

    def __init__(self) -> None:
        self.closed = 0

    async def later(self) -> AsyncIterator[int]:
        """Give items as a generator of the asynchronous kind."""
        try:
            for number in range(1_000_000):
                yield number
        finally:
            self.closed += 1

    def plain(self) -> Any:
        """Give items as a generator."""
        try:
            yield from range(1_000_000)
        finally:
            self.closed += 1


class Plainly:
    """An asynchronous iterable that is no generator."""

    def __init__(self) -> None:
        self._left = [3, 2, 1]

    def __aiter__(self) -> "Plainly":
        return self

    async def __anext__(self) -> int:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


@pytest.mark.parametrize("source", ["later", "plain"])
async def test_a_source_is_closed_when_no_more_is_wanted(source: str) -> None:
    closing = Closing()
    async with channel_for(Slow(), client_interceptors=[Noting("a", [])]) as channel:
        made, given = slowly("first")
        assert await channel.client_stream(made, given, getattr(closing, source)()) == 0
        made, given = slowly("firsts")
        both: Any = channel.bidirectional(made, given, getattr(closing, source)())
        async with both as replies:
            assert [reply async for reply in replies] == [0]
    assert closing.closed == 2


async def test_any_source_will_do() -> None:
    async with channel_for(Numbers(), client_interceptors=[Changing()]) as channel:
        given = TOTAL.arguments(number=2)
        for source in ([1, 2, 3], iter([1, 2, 3]), Plainly()):
            assert [await channel.client_stream(TOTAL, given, source)] == CHANGED[
                "total"
            ]


@pytest.mark.parametrize("by_hand", [True, False])
async def test_what_a_source_raises_the_caller_gets(by_hand: bool) -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise LookupError("no more")

    ending = Ending()
    async with channel_for(Numbers(), client_interceptors=[ending]) as channel:
        with pytest.raises(LookupError, match="no more"):
            if by_hand:
                async with talk_of(channel, failing()) as talk:
                    async for _ in talk:
                        pass
            else:
                given = TOTAL.arguments(number=2)
                await channel.client_stream(TOTAL, given, failing())
    assert isinstance(ending.error, LookupError)


# Ends.


async def test_leaving_the_block_ends_all_of_it() -> None:
    served, ending = Slow(), Ending()
    async with channel_for(served, client_interceptors=[ending]) as channel:
        stream: ServerStream[int] = channel.server_stream(*slowly("drip"))
        async with stream as items:
            assert await anext(items) == 0
        assert ending.status is StatusCode.CANCELLED
        for _ in range(2):
            with pytest.raises(RpcError, match="the call was cancelled"):
                await anext(stream)
        stream.cancel()
        with anyio.fail_after(PATIENCE):
            await until(lambda: served.events == ["drip ended"])


async def test_a_stream_that_nobody_has_any_more_is_cancelled() -> None:
    served, ending = Slow(), Ending()
    async with channel_for(served, client_interceptors=[ending]) as channel:
        items: ServerStream[int] = channel.server_stream(*slowly("drip"))
        assert await anext(items) == 0
        del items
        gc.collect()
        with anyio.fail_after(PATIENCE):
            await ending.ended.wait()
            await until(lambda: served.events == ["drip ended"])


async def test_a_stream_cancelled_before_it_began_never_begins() -> None:
    served, events = Numbers(), list[str]()
    async with channel_for(
        served, client_interceptors=[Noting("a", events)]
    ) as channel:
        items = counting(channel, 2)
        items.cancel()
        async with items:
            with pytest.raises(RpcError, match="the call was cancelled"):
                await anext(items)
            assert await items.headers() == items.trailers == ()
        del items
    assert events == served.shown.events == []


async def test_a_stream_that_outlives_its_channel_has_ended() -> None:
    around = [Noting("a", list[str]())]
    async with channel_for(Slow(), client_interceptors=around) as channel:
        items: ServerStream[int] = channel.server_stream(*slowly("drip"))
        assert await anext(items) == 0
    with pytest.raises(RpcError):
        await anext(items)


async def test_a_reader_that_stops_waiting_loses_nothing() -> None:
    served = Slow()
    around = [Noting("a", list[str]())]
    async with channel_for(Numbers(), served, client_interceptors=around) as channel:
        async with talk_of(channel) as talk:
            with anyio.move_on_after(0.001):
                await anext(talk)
            await talk.send(1)
            assert await anext(talk) == 2


async def test_items_wait_for_a_slow_reader() -> None:
    given = 0

    class Giving:
        async def intercept_server_stream(
            self, call_next: NextItems, request: Any, context: ClientCall
        ) -> AsyncIterator[int]:
            nonlocal given
            for number in range(100):
                given += 1
                yield number

    async with channel_for(Numbers(), client_interceptors=[Giving()]) as channel:
        async with counting(channel, 0) as items:
            assert not items.waiting
            assert await anext(items) == 0
            await settle()
            assert given <= 20 and items.waiting
            assert [item async for item in items] == list(range(1, 100))
            assert not items.waiting


async def test_headers_come_when_the_call_is_made() -> None:
    async with channel_for(Numbers(), client_interceptors=[Keeping()]) as channel:
        async with talk_of(channel) as talk:
            await talk.send(1)
            assert await talk.headers() == ()
            assert await anext(talk) == 2
            assert await talk.headers() == ()


async def test_a_call_that_has_ended_takes_nothing_more() -> None:
    class Short:
        async def intercept_bidirectional(self, *_: object) -> AsyncIterator[int]:
            yield 7

    async with channel_for(Numbers(), client_interceptors=[Short()]) as channel:
        async with talk_of(channel) as talk:
            assert [reply async for reply in talk] == [7]
            with pytest.raises(RpcError, match="the call has ended"):
                await talk.send(1)
            assert await talk.headers() == talk.trailers == ()


async def test_groups_of_errors_are_what_the_reader_gets() -> None:
    class Grouping:
        async def intercept_server_stream(
            self, call_next: NextItems, request: Any, context: ClientCall
        ) -> AsyncIterator[int]:
            async with anyio.create_task_group():
                raise LookupError("in a group")
            yield 0

    async with channel_for(Numbers(), client_interceptors=[Grouping()]) as channel:
        with pytest.raises(ExceptionGroup) as caught:
            await anext(counting(channel, 1))
        assert caught.group_contains(LookupError, match="in a group")


async def test_tasks_that_fail_when_the_channel_ends_hurt_nobody_else() -> None:
    class Failing:
        async def fail(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise LookupError("on the way out")

        async def intercept_server_stream(
            self, call_next: NextItems, request: Any, context: ClientCall
        ) -> AsyncIterator[int]:
            yield 0
            async with anyio.create_task_group() as group:
                group.start_soon(self.fail)
                await anyio.sleep_forever()

    async with channel_for(Numbers(), client_interceptors=[Failing()]) as channel:
        items = counting(channel, 1)
        assert await anext(items) == 0
        await settle()
    with pytest.raises(ExceptionGroup) as caught:
        await anext(items)
    assert caught.group_contains(LookupError, match="on the way out")
