"""What is trio's own: a socket that is written to at once, and by whom else."""

import socket

import pytest
import trio
import trio.testing

from signetrpc.transport._loops import open_loop
from signetrpc.transport._pipes_trio import TrioPipe
from signetrpc.transport.errors import ConnectionClosed
from tests.support.pipes import Noted, far_end, joined

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["trio"])]

MUCH = b"0123456789abcdef" * (1 << 16)


async def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        await trio.lowlevel.wait_readable(sock)
        data += sock.recv(size - len(data))
    return data


async def test_what_the_socket_takes_is_sent_at_once() -> None:
    async with far_end("socket") as (pipe, sock):
        pipe.write(b"now")
        assert sock.recv(10) == b"now"


async def test_order_is_kept_while_something_waits() -> None:
    async with far_end("socket") as (pipe, sock), trio.open_nursery() as nursery:
        pipe.write(MUCH)
        pipe.write(b"second")
        nursery.start_soon(pipe.drain)
        await trio.testing.wait_all_tasks_blocked()
        pipe.write(b"third")
        assert await read(sock, len(MUCH) + 11) == MUCH + b"secondthird"


async def test_a_cancelled_drain_loses_nothing() -> None:
    async with far_end("socket") as (pipe, sock):
        pipe.write(MUCH)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.drain)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.drain)
            assert await read(sock, len(MUCH)) == MUCH


async def test_a_cancelled_writer_of_the_loop_loses_nothing() -> None:
    async with joined("socket") as (one, two):
        async with open_loop() as loop:
            one.start_receiving(loop, Noted())
            one.write(MUCH)
            await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.drain)
            got = b""
            while len(got) < len(MUCH):
                got += await two.receive()
        assert got == MUCH


async def test_a_break_while_waiting_for_room() -> None:
    async with far_end("socket") as (pipe, sock), trio.open_nursery() as nursery:
        pipe.write(MUCH)

        async def drain() -> None:
            with pytest.raises(ConnectionClosed):
                await pipe.drain()

        nursery.start_soon(drain)
        await trio.testing.wait_all_tasks_blocked()
        sock.close()


async def test_an_abort_while_waiting_for_room() -> None:
    async with far_end("socket") as (pipe, _), trio.open_nursery() as nursery:
        pipe.write(MUCH)

        async def drain() -> None:
            with pytest.raises(ConnectionClosed):
                await pipe.drain()

        nursery.start_soon(drain)
        await trio.testing.wait_all_tasks_blocked()
        pipe.abort()


async def test_a_write_to_a_gone_peer_breaks_the_pipe() -> None:
    async with far_end("socket") as (pipe, sock):
        sock.close()
        pipe.write(b"x")
        pipe.write(b"y")
        with pytest.raises(ConnectionClosed) as caught:
            await pipe.drain()
        assert isinstance(caught.value.__cause__, BrokenPipeError)


async def test_an_end_that_cannot_be_told() -> None:
    one, two = socket.socketpair()
    pipe = TrioPipe(one)
    two.close()
    one.shutdown(socket.SHUT_RDWR)
    one.close()
    await pipe.aclose()
    with pytest.raises(ConnectionClosed):
        await pipe.receive()


async def test_readiness_without_data_is_waited_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(sock: object) -> None:
        await trio.lowlevel.checkpoint()

    async with far_end("socket") as (pipe, sock), trio.open_nursery() as nursery:
        monkeypatch.setattr(trio.lowlevel, "wait_readable", at_once)

        async def send() -> None:
            await trio.lowlevel.checkpoint()
            sock.send(b"data")

        nursery.start_soon(send)
        assert await pipe.receive() == b"data"
