"""The contract of byte pipes, over each kind of pipe on each backend."""

from collections.abc import Callable

import anyio
import pytest
from anyio.abc import ByteStream

from signetrpc.transport._pipes import HIGH_WATER, Pipe, StreamPipe, broken
from signetrpc.transport.errors import BusyError, ConnectionClosed
from tests.support.pipes import KINDS, far_end, joined
from tests.support.turns import settle

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", KINDS)]

MUCH = b"0123456789abcdef" * (1 << 16)
"""More than two sockets hold between them."""


async def read_all(pipe: Pipe) -> bytes:
    data = b""
    while chunk := await pipe.receive():
        data += chunk
    return data


async def fill(pipe: Pipe) -> int:
    """Write until the pipe is congested; return how many bytes it took."""
    written = 0
    while not pipe.congested:
        pipe.write(MUCH)
        written += len(MUCH)
        with anyio.move_on_after(0):
            await pipe.drain()
        assert written < 64 << 20
    return written


async def test_bytes_arrive_in_order_and_then_the_end(kind: str) -> None:
    async with joined(kind) as (one, two):
        one.write(b"hello ")
        one.write(b"world")
        await one.drain()
        async with anyio.create_task_group() as group:
            group.start_soon(one.aclose)
            assert await read_all(two) == b"hello world"
            assert await two.receive() == b""
            await two.aclose()


async def test_closing_sends_what_is_kept(kind: str) -> None:
    async with joined(kind) as (one, two):
        one.write(MUCH)
        async with anyio.create_task_group() as group:
            group.start_soon(one.aclose)
            assert await read_all(two) == MUCH
            await two.aclose()


async def test_closing_twice_is_harmless(kind: str) -> None:
    async with joined(kind) as (one, two):
        async with anyio.create_task_group() as group:
            group.start_soon(one.aclose)
            group.start_soon(one.aclose)
            group.start_soon(two.aclose)
        await one.aclose()
        with pytest.raises(ConnectionClosed):
            await one.receive()


async def test_a_peer_that_never_ends_is_not_waited_for_long(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_pipes", "_pipes_asyncio"):
        monkeypatch.setattr(f"signetrpc.transport.{name}.LINGER_SECONDS", 0.05)
    async with far_end(kind) as (pipe, sock):
        pipe.write(b"last words")
        with anyio.fail_after(5):
            await pipe.aclose()
        assert sock.recv(100) == b"last words"
        assert sock.recv(100) == b""


async def test_a_peer_that_does_not_read_cannot_hold_up_the_end(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_pipes", "_pipes_asyncio"):
        monkeypatch.setattr(f"signetrpc.transport.{name}.LINGER_SECONDS", 0.05)
    async with far_end(kind) as (pipe, _):
        await fill_without_breaking(pipe)
        with anyio.fail_after(5):
            await pipe.aclose()
        with pytest.raises(ConnectionClosed):
            await pipe.drain()


async def fill_without_breaking(pipe: Pipe) -> None:
    while not pipe.congested:
        pipe.write(MUCH)


async def test_only_one_task_receives(kind: str) -> None:
    got: list[bytes] = []
    async with joined(kind) as (one, two):
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                got.append(await one.receive())

            group.start_soon(receive)
            await settle()
            with pytest.raises(BusyError):
                await one.receive()
            two.write(b"x")
            await two.drain()
        assert got == [b"x"]


async def test_cancelling_a_receive_loses_nothing(kind: str) -> None:
    async with joined(kind) as (one, two):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await one.receive()
        async with anyio.create_task_group() as group:
            group.start_soon(one.receive)
            await settle()
            group.cancel_scope.cancel()
        two.write(b"whole")
        await two.drain()
        assert await one.receive() == b"whole"


async def test_closing_ends_the_receive_of_another_task(kind: str) -> None:
    async with joined(kind) as (one, _):
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                with pytest.raises(ConnectionClosed):
                    await one.receive()

            group.start_soon(receive)
            await settle()
            with anyio.fail_after(5):
                await one.aclose()


async def test_aborting_ends_the_receive_of_another_task(kind: str) -> None:
    async with joined(kind) as (one, _):
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                with pytest.raises(ConnectionClosed):
                    await one.receive()

            group.start_soon(receive)
            await settle()
            one.abort()
            one.abort()
        with pytest.raises(ConnectionClosed):
            await one.receive()
        with pytest.raises(ConnectionClosed):
            await one.drain()
        one.write(b"into the void")


async def test_a_congested_pipe_says_so_and_recovers(kind: str) -> None:
    async with joined(kind) as (one, two):
        assert not one.congested
        await fill_without_breaking(one)
        async with anyio.create_task_group() as group:

            async def read() -> None:
                while await two.receive():
                    pass

            group.start_soon(read)
            with anyio.fail_after(10):
                await one.drain()
            assert not one.congested
            group.cancel_scope.cancel()


async def test_several_tasks_can_drain(kind: str) -> None:
    async with joined(kind) as (one, two):
        one.write(MUCH)
        async with anyio.create_task_group() as drains:
            for _ in range(3):
                drains.start_soon(one.drain)
            await settle()
            got = 0
            while got < len(MUCH):
                got += len(await two.receive())
        assert not one.congested


async def test_a_peer_that_is_gone_breaks_the_pipe(kind: str) -> None:
    async with far_end(kind) as (pipe, sock):
        sock.close()
        with anyio.fail_after(10), pytest.raises(ConnectionClosed) as caught:
            while True:
                pipe.write(MUCH)
                await pipe.drain()
        assert not caught.value.clean
        pipe.write(b"swallowed")


async def test_a_reset_is_an_error_and_no_end(kind: str) -> None:
    # Unread bytes turn the close of a unix socket into a reset.
    async with far_end(kind) as (pipe, sock):
        pipe.write(b"never read")
        await pipe.drain()
        sock.close()
        with pytest.raises(ConnectionClosed) as caught:
            await pipe.receive()
        assert isinstance(caught.value.__cause__, Exception)


async def test_the_error_of_a_broken_pipe_names_its_cause(kind: str) -> None:
    cause = OSError("out of cable")
    assert "out of cable" in str(broken(cause))
    assert broken(cause).__cause__ is cause
    assert broken(None).clean is False


class ScriptedStream(ByteStream):
    """A stream whose every operation does what the test says."""

    def __init__(self, *, on_send: Callable[[], object] | None = None) -> None:
        self.on_send = on_send
        self.closed = False
        self.room = anyio.Event()
        self.sent = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(self, item: bytes) -> None:
        if self.on_send is not None:
            self.on_send()
        await self.room.wait()
        self.sent += item

    async def send_eof(self) -> None:
        raise NotImplementedError("this stream cannot")

    async def aclose(self) -> None:
        self.closed = True


async def test_a_cancelled_send_breaks_a_stream_that_may_have_a_hole(kind: str) -> None:
    stream = ScriptedStream()
    pipe = StreamPipe(stream)
    pipe.write(b"some of it")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pipe.drain()
    # Nothing had been taken: it goes on.
    async with anyio.create_task_group() as group:
        group.start_soon(pipe.drain)
        await settle()
        group.cancel_scope.cancel()
    with pytest.raises(ConnectionClosed):
        await pipe.drain()
    with pytest.raises(ConnectionClosed):
        await pipe.receive()


async def test_a_stream_that_cannot_half_close_is_closed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signetrpc.transport._pipes.LINGER_SECONDS", 0.01)
    stream = ScriptedStream()
    stream.room.set()
    pipe = StreamPipe(stream)
    pipe.write(b"x" * (HIGH_WATER + 1))
    assert pipe.congested
    await pipe.aclose()
    assert stream.closed and len(stream.sent) == HIGH_WATER + 1


async def test_a_cancelled_close_closes(kind: str) -> None:
    async with joined(kind) as (one, two):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await one.aclose()
        with anyio.fail_after(5):
            try:
                assert await two.receive() == b""
            except ConnectionClosed as error:
                assert not error.clean
        await settle()
        with pytest.raises(ConnectionClosed):
            await one.drain()
