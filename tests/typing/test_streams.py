"""What streams are made of keeps its types: checked by mypy and pyright, and run."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

import msgspec
import pytest

from signetrpc.rpc import (
    BidirectionalMethod,
    BidirectionalStream,
    BlockingBidirectionalStream,
    BlockingChannel,
    BlockingServerStream,
    Channel,
    ClientStreamMethod,
    Protection,
    ServerStream,
    ServerStreamMethod,
    method,
    raised,
    service,
)


@service("typing.Feeds", protection=Protection.SIGN)
class Feeds:
    @method
    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    @method
    def watch(self, count: int) -> Iterator[str]:
        for number in range(count):
            yield raised(str(number), Protection.SEAL) if number else "0"

    @method
    async def chat(self, texts: AsyncIterator[str]) -> AsyncIterator[bytes]:
        async for text in texts:
            yield text.encode()


class Count(msgspec.Struct):
    """One argument."""

    count: int


COUNT = Count(3)
TOTAL = ClientStreamMethod[Count, int, int](
    service="typing.Feeds",
    name="total",
    protection=Protection.SIGN,
    arguments=Count,
    item=int,
    result=int,
)
WATCH = ServerStreamMethod[Count, str](
    service="typing.Feeds",
    name="watch",
    protection=Protection.SIGN,
    arguments=Count,
    result=str,
)
CHAT = BidirectionalMethod[Count, str, bytes](
    service="typing.Feeds",
    name="chat",
    protection=Protection.SIGN,
    arguments=Count,
    item=str,
    result=bytes,
)


async def check(channel: Channel) -> None:
    """Hold both checkers to the types of a channel's streams."""
    assert_type(await channel.client_stream(TOTAL, COUNT, [1]), int)
    assert_type(channel.server_stream(WATCH, COUNT), ServerStream[str])
    talk = channel.bidirectional(CHAT, COUNT, iter(["a"]))
    assert_type(talk, BidirectionalStream[str, bytes])
    async with talk as entered:
        assert_type(entered, BidirectionalStream[str, bytes])
        await entered.send("a", protection=Protection.SEAL)
        assert_type([each async for each in entered], list[bytes])
    await channel.client_stream(TOTAL, COUNT, ["a"])  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    await talk.send(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def check_blocking(channel: BlockingChannel) -> None:
    """The same for threads."""
    assert_type(channel.client_stream(TOTAL, COUNT, range(3)), int)
    with channel.server_stream(WATCH, COUNT) as texts:
        assert_type(texts, BlockingServerStream[str])
        assert_type(next(texts), str)
    talk = channel.bidirectional(CHAT, COUNT)
    assert_type(talk, BlockingBidirectionalStream[str, bytes])
    assert_type(list(talk), list[bytes])
    talk.send(b"")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def numbers() -> AsyncIterator[int]:
    for number in range(3):
        yield number


@pytest.mark.anyio
async def test_decorated_streams_keep_their_types() -> None:
    feeds = Feeds()
    assert assert_type(await feeds.total(numbers()), int) == 3
    texts = (str(number) async for number in numbers())
    chat = assert_type(feeds.chat(texts), AsyncIterator[bytes])
    assert [each async for each in chat] == [b"0", b"1", b"2"]


def test_a_raised_item_has_its_own_type() -> None:
    watch = assert_type(Feeds().watch(1), Iterator[str])
    assert list(watch) == ["0"]
    assert_type(raised(5, Protection.SEAL), int)
