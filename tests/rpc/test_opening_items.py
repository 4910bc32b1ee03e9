"""Streams of callers that a server which goes did not take."""

import gc
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    CallInfo,
    NotCarriedOut,
    RpcError,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Call,
    Cancel,
    End,
    encode_headers,
    encode_reply,
    encode_status,
)
from signetrpc.transport import ConnectFailed
from tests.support.channels import NIL, Table, table
from tests.support.leaving import ECHO, TOTAL, Long, go_away, items, sent
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

OK = encode_status(1, 0, "", (("k", "v"),))


class Source:
    """What a caller sends when the test says.

    Attributes:
        asked: How often it was asked for an item.
        begun: How often it was begun to be iterated.
    """

    def __init__(self) -> None:
        self.asked = self.begun = 0
        self.go = anyio.Event()

    async def items(self) -> AsyncIterator[int]:
        """Give 1, 2."""
        self.begun += 1
        for number in (1, 2):
            self.asked += 1
            await self.go.wait()
            yield number


# Many requests.


class Totals:
    """Client streams in tasks."""

    def __init__(self, held: Table) -> None:
        self.held = held
        self.info = CallInfo()
        self.outcomes: list[object] = []

    async def call(self, source: Any) -> None:
        """Call, and note how it ends."""
        try:
            channel = self.held.channel
            total = await channel.client_stream(
                TOTAL, Long(), source, call_info=self.info
            )
            self.outcomes.append(total)
        except RpcError as error:
            self.outcomes.append(type(error))


async def test_a_source_that_has_given_nothing_goes_on_for_the_new_call() -> None:
    async with table() as held, anyio.create_task_group() as group:
        source, totals = Source(), Totals(held)
        group.start_soon(totals.call, source.items())
        await settle()
        go_away(held.far)
        await settle()
        assert [type(each) for each in held.far.heard()] == [Call]
        source.go.set()
        await settle()
        assert held.far.heard() == [*sent(1, 2), End(1)]
        held.far.say(encode_headers(1, (("a", "b"),)))
        held.far.say(encode_reply(1, NIL, encode_value(3)))
        await settle()
        assert totals.outcomes == [3] and totals.info.headers == (("a", "b"),)
        assert (source.begun, source.asked) == (1, 2)


async def test_one_whose_items_were_sent_is_not_made_again() -> None:
    async with table() as held, anyio.create_task_group() as group:
        totals = Totals(held)
        group.start_soon(totals.call, [1])
        await settle()
        assert len(go_away(held.far)) == 3
        await settle()
        assert totals.outcomes == [NotCarriedOut] and held.connector.attempts == 1


async def test_the_end_of_a_stream_without_items_is_sent_again() -> None:
    async with table() as held, anyio.create_task_group() as group:
        totals = Totals(held)
        group.start_soon(totals.call, ())
        await settle()
        assert go_away(held.far)[1:] == [End(1)]
        await settle()
        assert held.far.heard()[1:] == [End(1)]
        held.far.say(encode_reply(1, NIL, encode_value(0)))
        await settle()
        assert totals.outcomes == [0]


async def test_no_other_server_is_there_for_a_source() -> None:
    async with table() as held, anyio.create_task_group() as group:
        source, totals = Source(), Totals(held)
        group.start_soon(totals.call, source.items())
        await settle()
        held.connector.failure = ConnectFailed("nobody")
        source.go.set()
        go_away(held.far)
        await settle()
        assert totals.outcomes == [RpcError] and held.connector.attempts == 2


# A stream each way.


async def test_a_talk_without_a_word_is_made_again_by_the_first_one() -> None:
    async with table() as held:
        async with held.channel.bidirectional(ECHO, Long()) as talk:
            go_away(held.far)
            await talk.send(1)
            await talk.send(2)
            await talk.end()
            await settle()
            first, *rest = held.far.heard()
            assert isinstance(first, Call) and rest == [*sent(1, 2), End(1)]
            held.far.say(*items(1), OK)
            assert [each async for each in talk] == [1]


async def test_or_by_its_end() -> None:
    async with table() as held:
        async with held.channel.bidirectional(ECHO, Long()) as talk:
            go_away(held.far)
            await talk.end()
            await settle()
            assert held.far.heard()[1:] == [End(1)]
            go_away(held.far)
            await talk.end()  # and whoever reads learns of it
            with pytest.raises(NotCarriedOut):
                await anext(talk)


async def test_one_whose_words_were_sent_is_not() -> None:
    async with table() as held:
        async with held.channel.bidirectional(ECHO, Long()) as talk:
            await talk.send(1)
            go_away(held.far)
            with pytest.raises(NotCarriedOut):
                await talk.send(2)
            with pytest.raises(NotCarriedOut):
                await anext(talk)
            await talk.end()
        assert held.connector.attempts == 1


async def test_reader_and_sender_make_it_again_together() -> None:
    async with table() as held, anyio.create_task_group() as group:
        source = Source()
        got: list[int] = []

        async def read() -> None:
            async with held.channel.bidirectional(ECHO, Long(), source.items()) as talk:
                got.extend([each async for each in talk])

        group.start_soon(read)
        await settle()
        held.connector.gate = anyio.Event()
        go_away(held.far)
        source.go.set()
        await settle()
        held.connector.gate.set()
        await settle()
        first, *rest = held.far.heard()
        assert isinstance(first, Call) and rest == [*sent(1, 2), End(1)]
        held.far.say(*items(7), OK)
        await settle()
        assert got == [7] and held.connector.attempts == 2


@pytest.mark.parametrize("way", ["leave", "garbage"])
async def test_what_is_given_up_while_its_source_makes_it_again(way: str) -> None:
    async with table() as held:
        source = Source()
        talk = held.channel.bidirectional(ECHO, Long(), source.items())
        await talk.__aenter__()
        await settle()
        held.connector.gate = anyio.Event()
        go_away(held.far)
        source.go.set()
        await settle()
        assert held.connector.attempts == 2
        if way == "leave":
            await talk.__aexit__(None, None, None)
        else:
            del talk
            gc.collect()
        held.connector.gate.set()
        await settle()
        assert all(isinstance(each, Call | Cancel) for each in held.far.heard())
