"""Streams as callers see them, with a server in the test's hands."""

import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest

from signetrpc.rpc import (
    ClientStreamMethod,
    Protection,
    RpcError,
    ServerStreamMethod,
    StatusCode,
    raised,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import ITEM_OVERHEAD, STREAM_WINDOW
from signetrpc.rpc._messages import (
    Call,
    Cancel,
    End,
    Item,
    Message,
    encode_headers,
    encode_item,
    encode_reply,
    encode_status,
)
from tests.support.channels import NIL, Table, table
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

SIGN, SEAL = Protection.SIGN, Protection.SEAL
OK = encode_status(1, 0, "", (("k", "v"),))


class Nothing(msgspec.Struct):
    """No arguments."""


_NAMES: dict[str, Any] = {"service": "test.River", "protection": SIGN}

COUNT = ServerStreamMethod[Nothing, int](
    name="count", arguments=Nothing, result=int, **_NAMES
)
TOTAL = ClientStreamMethod[Nothing, int, int](
    name="total", arguments=Nothing, item=int, result=int, **_NAMES
)


def items(*values: object) -> list[bytes]:
    return [encode_item(1, encode_value(each)) for each in values]


def sent(*values: object) -> list[Message]:
    return [Item(1, False, encode_value(each)) for each in values]


class Source:
    """What a caller sends, and whether it was let go.

    Attributes:
        closed: True once its end was reached, whichever.
        go: What it waits for after the first two.
    """

    def __init__(self) -> None:
        self.closed = False
        self.go = anyio.Event()

    async def later(self) -> AsyncIterator[int]:
        """Give 1 and 2, wait, and give 3."""
        try:
            yield 1
            yield 2
            await self.go.wait()
            yield 3
        finally:
            self.closed = True

    def at_once(self, number: int = 3) -> Iterator[int]:
        """Give 1, 2, 3."""
        try:
            yield from range(1, number + 1)
        finally:
            self.closed = True


class Totals:
    """Client streams in tasks."""

    def __init__(self, held: Table) -> None:
        self.held = held
        self.outcomes: list[object] = []
        self.scope = anyio.CancelScope()

    async def call(self, source: Any, **options: Any) -> None:
        """Call, and note how it ends."""
        with self.scope:
            try:
                channel = self.held.channel
                total = await channel.client_stream(TOTAL, Nothing(), source, **options)
                self.outcomes.append(total)
            except Exception as error:
                self.outcomes.append(error)


# Many requests, one reply.


@pytest.mark.parametrize("form", ["later", "at once", "list"])
async def test_a_source_of_any_form_is_sent_to_its_end(form: str) -> None:
    async with table() as held, anyio.create_task_group() as group:
        source, totals = Source(), Totals(held)
        source.go.set()
        forms = {
            "later": source.later(),
            "at once": source.at_once(),
            "list": [1, 2, 3],
        }
        group.start_soon(totals.call, forms[form])
        await settle()
        first, *rest = held.far.heard()
        assert isinstance(first, Call) and first.timeout_us is None
        assert rest == [*sent(1, 2, 3), End(1)]
        assert source.closed or form == "list"
        held.far.say(encode_reply(1, NIL, encode_value(6)))
        await settle()
        assert totals.outcomes == [6]


async def test_single_items_are_raised() -> None:
    async with table() as held, anyio.create_task_group() as group:
        group.start_soon(Totals(held).call, [1, raised(2, SEAL), 3])
        await settle()
        levels = [
            (level, [each for each in found if isinstance(each, Item)])
            for level, found in held.far.records()
        ]
        assert (SEAL, sent(2)) in levels
        assert [level for level, found in levels if found] == [SIGN, SEAL, SIGN]
        group.cancel_scope.cancel()


async def test_an_early_answer_ends_the_source() -> None:
    async with table() as held, anyio.create_task_group() as group:
        source, totals = Source(), Totals(held)
        group.start_soon(totals.call, source.later())
        await settle()
        held.far.heard()
        held.far.say(encode_reply(1, NIL, encode_value(7)))
        await settle()
        assert totals.outcomes == [7] and source.closed
        assert held.far.heard() == []


async def test_an_answer_while_the_source_waits_for_room() -> None:
    async with table() as held, anyio.create_task_group() as group:
        source, totals = Source(), Totals(held)
        group.start_soon(totals.call, source.at_once(1 << 30))
        taken = 0
        while taken < STREAM_WINDOW:  # a thread reads the source, when it gets to it
            await settle()
            items = [each for each in held.far.heard() if isinstance(each, Item)]
            taken += sum(ITEM_OVERHEAD + len(each.body) for each in items)
        held.far.say(encode_status(1, 8, "too much"))
        await settle()
        (outcome,) = totals.outcomes
        assert isinstance(outcome, RpcError) and outcome.message == "too much"
        assert source.closed and held.far.heard() == []


async def test_what_a_source_raises_is_raised_and_cancels_the_call() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ZeroDivisionError("mine")

    async with table() as held, anyio.create_task_group() as group:
        totals = Totals(held)
        group.start_soon(totals.call, broken())
        await settle()
        (outcome,) = totals.outcomes
        assert isinstance(outcome, ZeroDivisionError)
        _, *rest = held.far.heard()
        assert rest == [*sent(1), Cancel(1)]


async def test_an_item_that_cannot_travel_is_raised_and_cancels_the_call() -> None:
    async with table(max_body_bytes=100) as held, anyio.create_task_group() as group:
        totals = Totals(held)
        group.start_soon(totals.call, [1, object()])
        await settle()
        (outcome,) = totals.outcomes
        assert isinstance(outcome, RpcError)
        assert outcome.status is StatusCode.INVALID_ARGUMENT
        assert held.far.heard()[-1] == Cancel(1)


async def test_cancelling_the_caller_ends_source_and_call() -> None:
    async with table() as held, anyio.create_task_group() as group:
        source, totals = Source(), Totals(held)
        group.start_soon(totals.call, source.later())
        await settle()
        held.far.heard()
        totals.scope.cancel()
        await settle()
        assert source.closed and totals.outcomes == []
        assert held.far.heard() == [Cancel(1)]


async def test_a_channel_that_closes_ends_the_source() -> None:
    async with table() as held, anyio.create_task_group() as group:
        source, totals = Source(), Totals(held)
        group.start_soon(totals.call, source.later())
        await settle()
        await held.channel.aclose()
        await settle()
        (outcome,) = totals.outcomes
        assert isinstance(outcome, RpcError)
        assert outcome.status is StatusCode.UNAVAILABLE and source.closed


# One request, many replies.


async def test_items_come_one_after_the_other() -> None:
    async with table() as held:
        async with held.channel.server_stream(COUNT, Nothing()) as stream:
            held.far.say(encode_headers(1, (("a", "b"),)), *items(1, 2, 3), OK)
            assert await stream.headers() == (("a", "b"),)
            assert [each async for each in stream] == [1, 2, 3]
            assert stream.trailers == (("k", "v"),)
            assert [each async for each in stream] == []
        await settle()
        assert [type(each) for each in held.far.heard()] == [Call]


async def test_a_stream_begins_with_its_first_item() -> None:
    async with table() as held, anyio.create_task_group() as group:
        stream = held.channel.server_stream(COUNT, Nothing())
        await settle()
        assert held.far.heard() == [] and stream.trailers == ()
        got: list[int] = []

        async def take() -> None:
            got.append(await anext(stream))

        group.start_soon(take)
        await settle()
        assert [type(each) for each in held.far.heard()] == [Call]
        held.far.say(*items(1))
        await settle()
        assert got == [1]


async def test_leaving_the_block_cancels_what_is_left() -> None:
    async with table() as held:
        async with held.channel.server_stream(COUNT, Nothing()) as stream:
            held.far.say(*items(1, 2))
            assert await anext(stream) == 1
        await settle()
        assert held.far.heard()[1:] == [Cancel(1)]
        with pytest.raises(RpcError, match="CANCELLED"):
            await anext(stream)


async def test_an_error_comes_after_what_came_before_it() -> None:
    async with table() as held:
        async with held.channel.server_stream(COUNT, Nothing()) as stream:
            held.far.say(*items(1), encode_status(1, 5, "gone"))
            assert await anext(stream) == 1
            for _ in range(2):
                with pytest.raises(RpcError, match="NOT_FOUND: gone"):
                    await anext(stream)


async def test_an_item_of_the_wrong_type() -> None:
    async with table() as held:
        async with held.channel.server_stream(COUNT, Nothing()) as stream:
            held.far.say(*items("one"))
            with pytest.raises(RpcError) as caught:
                await anext(stream)
            assert caught.value.status is StatusCode.INTERNAL
        await settle()
        assert held.far.heard()[1:] == [Cancel(1)]


async def test_what_nobody_reads_any_more_is_cancelled() -> None:
    async with table() as held:
        stream = held.channel.server_stream(COUNT, Nothing())
        await stream.__aenter__()
        held.far.say(*items(1, 2))
        async for each in stream:
            assert each == 1
            break
        await settle()
        assert [type(each) for each in held.far.heard()] == [Call]
        del stream
        gc.collect()
        await settle()
        assert held.far.heard() == [Cancel(1)]


async def test_what_was_read_to_its_end_costs_nothing_when_it_is_garbage() -> None:
    async with table() as held:
        stream = held.channel.server_stream(COUNT, Nothing())
        await stream.__aenter__()
        held.far.say(OK)
        assert [each async for each in stream] == []
        del stream
        gc.collect()
        await settle()
        assert [type(each) for each in held.far.heard()] == [Call]


async def test_what_is_garbage_in_another_thread_is_cancelled_in_the_loop() -> None:
    async with table() as held:
        streams = [held.channel.server_stream(COUNT, Nothing())]
        await streams[0].__aenter__()
        held.far.heard()
        await anyio.to_thread.run_sync(streams.clear)
        await settle()
        assert held.far.heard() == [Cancel(1)]


async def test_a_channel_that_closes_ends_a_stream() -> None:
    async with table() as held:
        async with held.channel.server_stream(COUNT, Nothing()) as stream:
            await held.channel.aclose()
            with pytest.raises(RpcError) as caught:
                await anext(stream)
            assert caught.value.status is StatusCode.UNAVAILABLE
