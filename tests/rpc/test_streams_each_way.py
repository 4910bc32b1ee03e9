"""Streams each way as callers see them."""

import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import msgspec
import pytest

from signetrpc.rpc import (
    BidirectionalMethod,
    BidirectionalStream,
    Protection,
    RpcError,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import STREAM_WINDOW
from signetrpc.rpc._messages import (
    Call,
    Cancel,
    End,
    Item,
    Message,
    encode_credit,
    encode_item,
    encode_status,
)
from signetrpc.transport import BusyError
from tests.support.channels import table
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

SIGN, SEAL = Protection.SIGN, Protection.SEAL
OK = encode_status(1, 0, "", (("k", "v"),))


class Nothing(msgspec.Struct):
    """No arguments."""


_NAMES: dict[str, Any] = {"service": "test.River", "protection": SIGN}

ECHO = BidirectionalMethod[Nothing, bytes, bytes](
    name="echo", arguments=Nothing, item=bytes, result=bytes, **_NAMES
)


def items(*values: object) -> list[bytes]:
    return [encode_item(1, encode_value(each)) for each in values]


def sent(*values: object) -> list[Message]:
    return [Item(1, False, encode_value(each)) for each in values]


async def test_a_conversation() -> None:
    async with table() as held:
        async with held.channel.bidirectional(ECHO, Nothing()) as talk:
            await talk.send(b"a")
            await talk.send(b"b", protection=SEAL)
            await talk.end()
            held.far.say(*items(b"A", b"B"), OK)
            assert [each async for each in talk] == [b"A", b"B"]
        await settle()
        _, *rest = held.far.heard()
        assert rest == [*sent(b"a", b"b"), End(1)]
        with pytest.raises(RpcError):
            await talk.send(b"c")


async def test_a_source_is_sent_while_answers_are_read() -> None:
    async with table() as held:
        async with held.channel.bidirectional(ECHO, Nothing(), [b"a", b"b"]) as talk:
            await settle()
            _, *rest = held.far.heard()
            assert rest == [*sent(b"a", b"b"), End(1)]
            held.far.say(*items(b"A"), OK)
            assert [each async for each in talk] == [b"A"]


async def test_one_task_sends_while_another_reads_from_the_beginning() -> None:
    async with table() as held, anyio.create_task_group() as group:
        talk = held.channel.bidirectional(ECHO, Nothing())
        got: list[bytes] = []

        async def read() -> None:
            got.extend([each async for each in talk])

        async def write() -> None:
            await talk.send(b"a")
            await talk.end()

        group.start_soon(read)
        group.start_soon(write)
        await settle()
        # One call, not one for each of them.
        assert [type(each) for each in held.far.heard()] == [Call, Item, End]
        held.far.say(*items(b"A"), OK)
        await settle()
        assert got == [b"A"]


async def test_two_tasks_do_not_send_at_once() -> None:
    async with table() as held, anyio.create_task_group() as group:
        async with held.channel.bidirectional(ECHO, Nothing()) as talk:
            group.start_soon(talk.send, bytes(STREAM_WINDOW * 2))
            await settle()
            with pytest.raises(BusyError, match="another task sends"):
                await talk.send(b"b")
            with pytest.raises(BusyError, match="another task sends"):
                await talk.end()
            held.far.say(encode_credit(1, 1 << 30), encode_credit(0, 1 << 30))
            await settle()
            await talk.send(b"b")


async def test_a_long_item_that_is_cut_off_cancels_the_call_and_no_other() -> None:
    async with table() as held:
        async with held.channel.bidirectional(ECHO, Nothing()) as talk:
            async with anyio.create_task_group() as group:
                group.start_soon(talk.send, bytes(STREAM_WINDOW * 2))
                await settle()
                held.far.heard()
                group.cancel_scope.cancel()
            await settle()
            # Half an item is there, so there is nothing else that could be said.
            assert held.far.heard() == [Cancel(1)]
            with pytest.raises(RpcError, match="CANCELLED"):
                await talk.send(b"b")
            await talk.end()
        await settle()
        assert held.far.heard() == []
        assert await held.call(held.answer) == 3


async def test_an_item_that_cannot_be_sent_leaves_the_call_as_it_is() -> None:
    async with table(max_body_bytes=100) as held:
        async with held.channel.bidirectional(ECHO, Nothing()) as talk:
            with pytest.raises(RpcError, match="item of 202 bytes, limit 100"):
                await talk.send(bytes(200))
            await talk.send(b"b")
            await settle()
            assert held.far.heard()[1:] == sent(b"b")


async def test_what_a_source_raises_is_raised_where_answers_are_read() -> None:
    def broken() -> Iterator[bytes]:
        yield b"a"
        raise ZeroDivisionError("mine")

    async with table() as held:
        async with held.channel.bidirectional(ECHO, Nothing(), broken()) as talk:
            with pytest.raises(ZeroDivisionError, match="mine"):
                await anext(talk)
        await settle()
        assert held.far.heard()[1:] == [*sent(b"a"), Cancel(1)]


@pytest.mark.parametrize("end", ["leave", "error", "ok", "garbage"])
async def test_every_end_ends_the_source(end: str) -> None:
    async with table() as held:
        closed, never = anyio.Event(), anyio.Event()

        async def given() -> AsyncIterator[bytes]:
            try:
                yield b"a"
                await never.wait()
            finally:
                closed.set()

        talk: BidirectionalStream[bytes, bytes] | None
        talk = held.channel.bidirectional(ECHO, Nothing(), given())
        await talk.__aenter__()
        await settle()
        assert not closed.is_set()
        match end:
            case "leave":
                await talk.__aexit__(None, None, None)
            case "error":
                held.far.say(encode_status(1, 5, "gone"))
                with pytest.raises(RpcError, match="gone"):
                    await anext(talk)
            case "ok":
                held.far.say(OK)
                with pytest.raises(StopAsyncIteration):
                    await anext(talk)
            case _:
                talk = None
                gc.collect()
        await settle()
        assert closed.is_set()
