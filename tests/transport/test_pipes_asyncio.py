"""What is asyncio's own: callbacks, buffers that the transport keeps, uvloop."""

import asyncio
import importlib.util
import socket

import anyio
import pytest

from signetrpc.transport._loops import open_loop
from signetrpc.transport._pipes import CHUNK, HIGH_WATER
from signetrpc.transport._pipes_asyncio import AsyncioPipe
from signetrpc.transport.errors import ConnectionClosed
from tests.support.pipes import Noted, far_end, joined
from tests.support.turns import settle

BACKENDS = [pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")]
if importlib.util.find_spec("uvloop"):
    BACKENDS.append(pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", BACKENDS)]

MUCH = bytes(4 << 20)


async def read(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        data += await loop.sock_recv(sock, size - len(data))
    return data


async def test_a_pipe_without_a_connection_has_nothing_to_close() -> None:
    pipe = AsyncioPipe()
    pipe.abort()
    pipe.pause_receiving()
    pipe.resume_receiving()
    await pipe.aclose()


async def test_no_more_than_a_chunk_is_held_for_a_slow_reader() -> None:
    async with far_end("socket") as (pipe, sock):
        assert isinstance(pipe, AsyncioPipe)
        sender = asyncio.ensure_future(
            asyncio.get_running_loop().sock_sendall(sock, MUCH)
        )
        await settle()
        assert not sender.done()
        got = 0
        while got < len(MUCH):
            chunk = await pipe.receive()
            assert len(chunk) < 3 * CHUNK
            got += len(chunk)
        await sender


async def test_what_is_held_is_pushed_first() -> None:
    async with far_end("socket") as (pipe, sock), open_loop() as loop:
        sender = asyncio.ensure_future(
            asyncio.get_running_loop().sock_sendall(sock, MUCH)
        )
        await settle()
        noted = Noted()
        pipe.start_receiving(loop, noted)
        assert len(noted.data) >= CHUNK
        await noted.until(lambda noted: len(noted.data) == len(MUCH))
        await sender


async def test_writing_stays_possible_after_the_peer_has_ended() -> None:
    async with far_end("socket") as (pipe, sock):
        sock.shutdown(socket.SHUT_WR)
        assert await pipe.receive() == b""
        pipe.write(b"answer")
        await pipe.drain()
        assert await read(sock, 6) == b"answer"


async def test_a_break_before_the_push_is_told_at_once() -> None:
    async with far_end("socket") as (pipe, _), open_loop() as loop:
        pipe.abort()
        await settle()
        noted = Noted()
        pipe.start_receiving(loop, noted)
        (end,) = noted.ends
        assert isinstance(end, ConnectionClosed)


async def test_a_break_wakes_all_who_drain() -> None:
    async with far_end("socket") as (pipe, sock):
        while not pipe.congested:
            pipe.write(MUCH)
        drains = [asyncio.ensure_future(pipe.drain()) for _ in range(3)]
        drains.append(asyncio.ensure_future(pipe.drain()))
        await settle()
        drains.pop().cancel()
        await settle()
        sock.close()
        for drain in drains:
            with pytest.raises(ConnectionClosed):
                await drain


async def test_a_sender_that_never_waits_learns_of_the_break() -> None:
    async with far_end("socket") as (pipe, sock):
        sock.close()
        with pytest.raises(ConnectionClosed):
            for _ in range(1000):
                pipe.write(b"x")
                await pipe.drain()


async def test_a_cancelled_linger_closes_at_once() -> None:
    async with far_end("socket") as (pipe, _):
        pipe.write(bytes(HIGH_WATER // 2))
        closing = asyncio.ensure_future(pipe.aclose())
        await settle()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await settle()
        with pytest.raises(ConnectionClosed):
            await pipe.receive()


async def test_room_and_cancellation_in_one_turn() -> None:
    async with joined("socket") as (one, two):
        while not one.congested:
            one.write(MUCH)
        drain = asyncio.ensure_future(one.drain())
        await settle()
        assert isinstance(one, AsyncioPipe)
        one.resume_writing()
        drain.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drain
        one.pause_writing()
        one.abort()
        with anyio.fail_after(5):
            with pytest.raises(ConnectionClosed):
                while True:
                    await two.receive()
                    await settle()
                    two.write(b"x")
                    await two.drain()
