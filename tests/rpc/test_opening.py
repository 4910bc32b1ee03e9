"""Streams that a server which goes did not take, and where they are made again."""

from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    NotCarriedOut,
    RpcError,
    StatusCode,
)
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    encode_credit,
    encode_go_away,
    encode_headers,
    encode_status,
)
from signetrpc.transport import ConnectFailed
from tests.support.channels import status_of, table
from tests.support.leaving import COUNT, Long, go_away, items
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

OK = encode_status(1, 0, "", (("k", "v"),))


# One request.


async def test_a_server_stream_is_made_again_where_there_is_a_server() -> None:
    async with table() as held, anyio.create_task_group() as group:
        got: list[int] = []

        async def read() -> None:
            async with held.channel.server_stream(COUNT, Long()) as stream:
                got.extend([each async for each in stream])
                assert stream.trailers == (("k", "v"),)

        group.start_soon(read)
        await settle()
        first = held.far
        assert [type(each) for each in go_away(first)] == [Call]
        await settle()
        assert held.far is not first
        assert [type(each) for each in held.far.heard()] == [Call]
        held.far.say(*items(1, 2), OK)
        await settle()
        assert got == [1, 2] and first.pipe.closed


async def test_once_and_not_for_ever() -> None:
    async with table() as held:
        async with held.channel.server_stream(COUNT, Long()) as stream:
            go_away(held.far)
            async with anyio.create_task_group() as group:

                async def again() -> None:
                    await settle()
                    assert len(go_away(held.far)) == 1

                group.start_soon(again)
                with pytest.raises(NotCarriedOut):
                    await anext(stream)
            for _ in range(2):
                with pytest.raises(NotCarriedOut):
                    await anext(stream)
            assert await stream.headers() == ()
        assert held.connector.attempts == 2


@pytest.mark.parametrize("said", [items(1)[0], encode_headers(1, (("a", "b"),))])
async def test_a_server_that_has_answered_is_not_believed(said: bytes) -> None:
    async with table() as held:
        async with held.channel.server_stream(COUNT, Long()) as stream:
            held.far.say(said)
            go_away(held.far)
            with anyio.fail_after(5), pytest.raises(NotCarriedOut):
                await anext(stream)
        assert held.connector.attempts == 1


async def test_no_other_server_is_there() -> None:
    async with table() as held:
        async with held.channel.server_stream(COUNT, Long()) as stream:
            go_away(held.far)
            held.connector.failure = ConnectFailed("nobody")
            for _ in range(2):
                ended = await status_of(anext(stream))
                assert ended == (StatusCode.UNAVAILABLE, "nobody")
            held.connector.failure = None
            assert await status_of(anext(stream)) == (StatusCode.UNAVAILABLE, "nobody")
        assert held.connector.attempts == 2


async def test_it_waits_for_another_server_if_it_waits_for_one_at_all() -> None:
    async with table(wait_for_ready=True) as held, anyio.create_task_group() as group:
        stream = held.channel.server_stream(COUNT, Long(), timeout=9.0)
        got: list[int] = []

        async def read() -> None:
            got.append(await anext(stream))

        await stream.__aenter__()
        go_away(held.far)
        held.connector.failure = ConnectFailed("nobody")
        group.start_soon(read)
        await settle()
        held.connector.failure = None
        held.loop.advance(2.0)
        await settle()
        (message,) = held.far.heard()
        assert isinstance(message, Call) and message.timeout_us == 7_000_000
        held.far.say(*items(1))
        await settle()
        assert got == [1]
        stream.cancel()


async def test_headers_come_of_the_call_that_is_made() -> None:
    async with table() as held, anyio.create_task_group() as group:
        stream = held.channel.server_stream(COUNT, Long())
        found: list[Any] = []

        async def ask() -> None:
            found.append(await stream.headers())

        group.start_soon(ask)
        await settle()
        go_away(held.far)
        await settle()
        held.far.say(encode_headers(1, (("a", "b"),)), *items(1), OK)
        await settle()
        assert found == [(("a", "b"),)]
        assert [each async for each in stream] == [1]


async def test_what_was_given_up_is_not_made_again() -> None:
    async with table() as held:
        async with held.channel.server_stream(COUNT, Long()) as stream:
            go_away(held.far)
        code, text = await status_of(anext(stream))
        assert (code, text) == (StatusCode.CANCELLED, "the call was cancelled")
        assert held.connector.attempts == 1


@pytest.mark.parametrize("again", [False, True])
async def test_what_is_given_up_while_it_waits_for_a_server_waits_no_more(
    again: bool,
) -> None:
    async with table(wait_for_ready=True) as held, anyio.create_task_group() as group:
        stream = held.channel.server_stream(COUNT, Long())
        if again:
            await stream.__aenter__()
        held.connector.failure = ConnectFailed("nobody")
        held.far.heard()
        held.far.say(encode_go_away(30.0, 0))
        ended: list[tuple[StatusCode, str]] = []

        async def read() -> None:
            ended.append(await status_of(anext(stream)))

        group.start_soon(read)
        group.start_soon(read)
        await settle()
        assert ended == [] and held.connector.attempts == 2
        stream.cancel()
        await settle()
        assert ended == [(StatusCode.CANCELLED, "the call was cancelled")] * 2
        held.connector.failure = None
        held.loop.advance(2.0)
        await settle()
        assert held.connector.attempts == 2


async def test_a_reader_that_is_cancelled_leaves_it_to_the_next() -> None:
    async with table() as held, anyio.create_task_group() as group:
        async with held.channel.server_stream(COUNT, Long()) as stream:
            go_away(held.far)
            held.connector.gate = anyio.Event()
            with anyio.move_on_after(0.01):
                await anext(stream)
            held.connector.gate.set()
            got: list[int] = []

            async def read() -> None:
                got.append(await anext(stream))

            group.start_soon(read)
            await settle()
            held.far.say(*items(5))
            await settle()
            assert got == [5] and held.connector.attempts == 2


@pytest.mark.parametrize("times", [1, 2])
async def test_arguments_in_parts_that_were_not_taken(times: int) -> None:
    async with table() as held, anyio.create_task_group() as group:
        outcomes: list[object] = []

        async def call() -> None:
            stream = held.channel.server_stream(COUNT, Long(bytes(6 * PART_BYTES)))
            try:
                async with stream:
                    outcomes.append(await anext(stream))
            except RpcError as error:
                outcomes.append(type(error))

        group.start_soon(call)
        for _ in range(times):
            await settle()
            assert len(held.far.heard()) > 1  # and more wait for room
            held.far.say(encode_go_away(30.0, 0))
        await settle()
        assert held.connector.attempts == 2
        if times == 1:
            assert isinstance(held.far.heard()[0], Call)
            held.far.say(encode_credit(1, 2 * PART_BYTES))
            await settle()
            held.far.say(*items(1))
            await settle()
        assert outcomes == [1 if times == 1 else NotCarriedOut]
