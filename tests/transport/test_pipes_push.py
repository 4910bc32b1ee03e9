"""The contract of byte pipes in push mode, over each kind on each backend."""

import socket

import anyio
import pytest

from signetrpc.transport._loops import open_loop
from signetrpc.transport.errors import ConnectionClosed
from tests.support.pipes import KINDS, Noted, far_end, joined
from tests.support.turns import settle

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", KINDS)]

MUCH = b"0123456789abcdef" * (1 << 16)
"""More than two sockets hold between them."""


async def test_chunks_go_to_the_receiver_and_then_the_end(kind: str) -> None:
    async with joined(kind) as (one, two), open_loop() as loop:
        two.write(b"before ")
        await two.drain()
        await settle()
        noted = Noted()
        one.start_receiving(loop, noted)
        two.write(b"after")
        await two.drain()
        await noted.until(lambda noted: noted.data == b"before after")
        async with anyio.create_task_group() as group:
            group.start_soon(two.aclose)
            await noted.until(lambda noted: bool(noted.ends))
            assert noted.ends == [None]
            await one.aclose()
        assert noted.ends == [None]


async def test_an_end_from_before_is_told(kind: str) -> None:
    async with far_end(kind) as (pipe, sock), open_loop() as loop:
        sock.send(b"all")
        sock.shutdown(socket.SHUT_WR)
        await settle()
        noted = Noted()
        pipe.start_receiving(loop, noted)
        await noted.until(lambda noted: bool(noted.ends))
        assert (noted.data, noted.ends) == (b"all", [None])


async def test_a_broken_pipe_is_told_once(kind: str) -> None:
    async with far_end(kind) as (pipe, sock), open_loop() as loop:
        pipe.write(b"never read")
        await pipe.drain()
        noted = Noted()
        pipe.start_receiving(loop, noted)
        sock.close()
        await noted.until(lambda noted: bool(noted.ends))
        (end,) = noted.ends
        assert isinstance(end, ConnectionClosed) and not end.clean


async def test_an_abort_is_told(kind: str) -> None:
    async with far_end(kind) as (pipe, _), open_loop() as loop:
        noted = Noted()
        pipe.start_receiving(loop, noted)
        await settle()
        pipe.abort()
        await noted.until(lambda noted: bool(noted.ends))
        assert isinstance(noted.ends[0], ConnectionClosed)


async def test_a_write_that_fails_is_told(kind: str) -> None:
    async with far_end(kind) as (pipe, sock), open_loop() as loop:
        noted = Noted()
        pipe.start_receiving(loop, noted)
        pipe.pause_receiving()
        await settle()
        sock.close()
        while not noted.ends:
            pipe.write(MUCH)
            await settle()
        assert len(noted.ends) == 1


async def test_pausing_takes_no_more_than_a_chunk(kind: str) -> None:
    async with joined(kind) as (one, two), open_loop() as loop:
        noted = Noted(then=lambda _: one.pause_receiving())
        one.start_receiving(loop, noted)
        await settle()
        two.write(b"first")
        await two.drain()
        await noted.until(lambda noted: bool(noted.data))
        two.write(b" second")
        await two.drain()
        await settle()
        assert noted.data == b"first"
        one.pause_receiving()
        one.resume_receiving()
        await noted.until(lambda noted: noted.data == b"first second")


async def test_a_task_of_the_loop_sends_what_is_written(kind: str) -> None:
    async with joined(kind) as (one, two), open_loop() as loop:
        one.write(b"before ")
        one.start_receiving(loop, Noted())
        one.write(MUCH)
        one.write(b"after")
        got = b""
        while not got.endswith(b"after"):
            got += await two.receive()
        assert got == b"before " + MUCH + b"after"
        await one.drain()


@pytest.mark.parametrize("begun", [False, True])
async def test_a_writer_cancelled_while_it_drains_hurts_nobody(
    kind: str, begun: bool
) -> None:
    async with joined(kind) as (one, two), open_loop() as loop:
        one.start_receiving(loop, Noted())
        await settle()
        one.write(MUCH)
        assert one.congested
        if begun:
            await settle()
        with anyio.CancelScope() as scope:
            loop.call_soon(scope.cancel)
            await one.drain()
        assert scope.cancelled_caught
        got = 0
        while got < len(MUCH):
            got += len(await two.receive())
        await one.drain()
        assert not one.congested


async def test_closing_at_once_after_the_start(kind: str) -> None:
    async with joined(kind) as (one, two), open_loop() as loop:
        one.start_receiving(loop, Noted())
        async with anyio.create_task_group() as group:
            group.start_soon(two.aclose)
            with anyio.fail_after(5):
                await one.aclose()


async def test_closing_while_paused(kind: str) -> None:
    async with joined(kind) as (one, two), open_loop() as loop:
        one.start_receiving(loop, Noted())
        await settle()
        one.pause_receiving()
        two.write(b"never taken")
        await two.drain()
        async with anyio.create_task_group() as group:
            group.start_soon(two.aclose)
            with anyio.fail_after(5):
                await one.aclose()
        one.pause_receiving()
        one.resume_receiving()


async def test_closing_after_the_loop_has_ended(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Then no task of the loop is there to end anything: a wait for one would last.
    monkeypatch.setattr("signetrpc.transport._pipes.LINGER_SECONDS", 1000)
    async with joined(kind) as (one, two):
        async with open_loop() as loop:
            one.start_receiving(loop, Noted())
            await settle()
            one.write(MUCH)
            await settle()
        async with anyio.create_task_group() as group:

            async def read() -> None:
                try:
                    while await two.receive():
                        pass
                except ConnectionClosed:
                    pass
                await two.aclose()

            group.start_soon(read)
            with anyio.fail_after(5):
                await one.aclose()
