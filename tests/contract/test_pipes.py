"""Pipes in memory: bounded, ended and broken like sockets."""

import anyio
import pytest

from signetrpc.transport import ConnectionClosed
from signetrpc.transport._contract_pipes import TappedPipe
from signetrpc.transport.testing import memory_pipes
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


async def test_bytes_arrive_both_ways_and_the_end_is_seen() -> None:
    one, two = memory_pipes()
    for here, there in ((one, two), (two, one)):
        here.write(b"hello")
        await here.drain()
        assert await there.receive() == b"hello"
    one.write(b"last")
    async with anyio.create_task_group() as group:
        group.start_soon(one.aclose)
        assert await two.receive() == b"last"
        assert await two.receive() == b""
        await two.aclose()


async def test_a_writer_waits_for_the_reader() -> None:
    one, two = memory_pipes()
    one.write(bytes(200_000))
    drained = False

    async def drain() -> None:
        nonlocal drained
        await one.drain()
        drained = True

    async with anyio.create_task_group() as group:
        group.start_soon(drain)
        await settle()
        assert not drained
        got = 0
        while got < 200_000:
            chunk = await two.receive()
            assert len(chunk) <= 64 * 1024
            got += len(chunk)
    assert drained


async def test_an_end_that_is_gone_breaks_the_other() -> None:
    one, two = memory_pipes()
    await two.aclose(linger=False)
    one.write(b"to nobody")
    with pytest.raises(ConnectionClosed):
        await one.drain()


async def test_a_tap_counts_and_changes() -> None:
    one, two = memory_pipes()
    tap = TappedPipe(one)
    tap.write(b"abc")
    tap.change = bytes.upper
    tap.write(b"def")
    await tap.drain()
    assert tap.written == 6
    assert not tap.congested
    assert await two.receive() == b"abcDEF"
    two.write(b"answer")
    await two.drain()
    assert await tap.receive() == b"answer"
    tap.abort()
    with pytest.raises(ConnectionClosed):
        await tap.receive()
    await tap.aclose(linger=False)
