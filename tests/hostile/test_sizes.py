"""Bodies of just so many bytes: at the edge of a part, of a window and of the limit."""

from collections.abc import AsyncIterator
from typing import Any, Final

import anyio
import pytest

from signetrpc.rpc import Protection, RpcError, StatusCode, method, service
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import ITEM_OVERHEAD, STREAM_WINDOW
from signetrpc.rpc._messages import (
    PART_BYTES,
    encode_item,
    encode_part,
    encode_reply,
)
from signetrpc.rpc.testing import channel_for
from tests.support.channels import LENGTH, NIL, Text, status_of, table
from tests.support.desk import reply, status
from tests.support.kinds import of
from tests.support.river import begin, river
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

LIMIT: Final = 3 * STREAM_WINDOW

SIZES: Final = [
    PART_BYTES - 1,
    PART_BYTES,
    PART_BYTES + 1,
    2 * PART_BYTES,
    STREAM_WINDOW,
    LIMIT,
]
"""Of whole bodies, as they travel."""

ROUND: Final = PART_BYTES - ITEM_OVERHEAD
"""Four of these use a call's window up to the last byte."""


@service("test.Sizes", protection=Protection.SIGN)
class Sizes:
    @method
    async def echo(self, data: bytes) -> bytes:
        return data

    @method
    async def repeat(self, data: bytes, times: int) -> AsyncIterator[bytes]:
        for _ in range(times):
            yield data

    @method
    async def last(self, items: AsyncIterator[bytes]) -> bytes:
        return [each async for each in items][-1]

    @method
    async def mirror(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for each in items:
            yield each


def data_of(size: int) -> bytes:
    """Return data that is so many bytes when it travels."""
    head = len(encode_value(bytes(size))) - size
    data = bytes(size - head)
    # The head of what is shorter may be shorter too.
    return data + bytes(size - len(encode_value(data)))


async def given(kind: str, data: bytes, times: int) -> list[bytes]:
    declared: Any = of(kind, Sizes)
    with anyio.fail_after(30):
        async with channel_for(Sizes, max_body_bytes=LIMIT) as channel:
            items = [data] * times
            match kind:
                case "echo":
                    arguments = declared.arguments(data=data)
                    return [await channel.unary(declared, arguments)]
                case "repeat":
                    arguments = declared.arguments(data=data[: 1 << 16], times=times)
                    stream = channel.server_stream(declared, arguments)
                case "last":
                    none = declared.arguments()
                    return [await channel.client_stream(declared, none, items)]
                case _:
                    stream = channel.bidirectional(
                        declared, declared.arguments(), items
                    )
            async with stream:
                return [each async for each in stream]


@pytest.mark.parametrize("size", SIZES)
def test_data_is_of_that_size(size: int) -> None:
    assert len(encode_value(data_of(size))) == size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["last", "mirror"])
async def test_items_of_each_size(kind: str, size: int) -> None:
    data = data_of(size)
    found = await given(kind, data, 3)
    assert found == [data] * (1 if kind == "last" else 3)


@pytest.mark.parametrize("kind", ["last", "mirror"])
async def test_an_item_of_one_byte_too_many(kind: str) -> None:
    size = LIMIT + 1
    with pytest.raises(RpcError) as caught:
        await given(kind, data_of(size), 3)
    assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.message == f"item of {size} bytes, limit {LIMIT}"


@pytest.mark.parametrize("size", SIZES)
async def test_arguments_and_replies_of_each_size(size: int) -> None:
    head = len(encode_value({"data": b""})) - len(encode_value(b""))
    for encoded in (size - head, size):  # so the arguments are, or the reply
        if encoded + head <= LIMIT:
            data = data_of(encoded)
            assert await given("echo", data, 1) == [data]


@pytest.mark.parametrize("kind", ["repeat", "last", "mirror"])
@pytest.mark.parametrize("size", [ROUND - 1, ROUND, ROUND + 1])
async def test_windows_that_end_at_nothing(kind: str, size: int) -> None:
    data = data_of(size)
    found = await given(kind, data, 20)  # more than the connection's window
    assert found == [data] * (1 if kind == "last" else 20)


async def test_nothing_is_no_value_and_hurts_its_call_alone() -> None:
    async with river() as (_, connection, far, _):
        far.say(begin(1, "small", body=b""), begin(2, "total"), begin(3, "total"))
        far.say(
            encode_item(2, b""), encode_item(3, b"", True), encode_part(3, b"", False)
        )
        await settle()
        ended = {status(each)[:2] for each in far.heard()}
        wrong = StatusCode.INVALID_ARGUMENT
        assert ended == {(1, wrong), (2, wrong), (3, wrong)}
        far.say(begin(4, "small"))
        assert far.heard() == [reply(4, "small")]
        assert connection.ended is None


async def test_pieces_of_nothing_add_nothing() -> None:
    async with river() as (served, connection, far, _):
        far.say(begin(1, "total"), encode_item(1, b"\x07", True))
        for _ in range(100):
            far.say(*[encode_part(1, b"", True)] * 100)
        far.say(encode_part(1, b"", False))
        await settle()
        assert served.got == [7] and connection.ended is None
        assert far.heard() == []


async def test_a_reply_of_nothing_hurts_its_call_alone() -> None:
    async with table() as held:
        ends: list[tuple[StatusCode, str]] = []

        async def make() -> None:
            ends.append(await status_of(held.channel.unary(LENGTH, Text("abc"))))

        async with anyio.create_task_group() as group:
            group.start_soon(make)
            await settle()
            assert len(held.far.heard()) == 1
            held.far.say(encode_reply(1, NIL, b""))
        assert ends == [(StatusCode.INTERNAL, "result: input data was truncated")]
        assert await held.call(held.answer) == 3
        assert held.connector.attempts == 1
