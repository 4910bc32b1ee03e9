"""Secure streams: messages at their levels, ends of every kind, one task each way."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from signetrpc.transport import SecureStreamAttribute
from signetrpc.transport._protection import Protection
from signetrpc.transport._session import Session
from signetrpc.transport._stream import Message, SecureStream
from signetrpc.transport.errors import (
    BusyError,
    ConnectionClosed,
    FrameTooLarge,
    IntegrityError,
    LocalProtocolError,
)
from tests.support.pipes import KINDS, far_end, joined
from tests.support.sessions import SMALL, collect, frames, opened, pair
from tests.support.turns import settle

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", KINDS)]

NONE, SIGN, SEAL = Protection


@asynccontextmanager
async def streams(
    kind: str, *, default: Protection = SEAL, **options: Any
) -> AsyncGenerator[tuple[SecureStream, SecureStream]]:
    async with joined(kind) as (one, two):
        client, server = opened(**options)
        yield SecureStream(one, client, default), SecureStream(two, server, default)


@asynccontextmanager
async def held(
    kind: str, **options: Any
) -> AsyncGenerator[tuple[SecureStream, Any, Session]]:
    """A stream, and the bare socket and session of its peer."""
    async with far_end(kind) as (pipe, sock):
        client, server = opened()
        yield SecureStream(pipe, client, SEAL, **options), sock, server


async def close_both(one: SecureStream, two: SecureStream) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(one.aclose)
        group.start_soon(two.aclose)


async def test_each_message_has_its_level(kind: str) -> None:
    async with streams(kind, minimum=NONE) as (one, two):
        await one.send(b"a")
        for level in (NONE, SIGN, SEAL):
            await one.send(b"b", level)
        await one.send(b"c")
        got = [await two.receive() for _ in range(5)]
        assert got == [
            Message(b"a", SEAL),
            Message(b"b", NONE),
            Message(b"b", SIGN),
            Message(b"b", SEAL),
            Message(b"c", SEAL),
        ]
        await close_both(one, two)


@pytest.mark.parametrize("minimum", [SIGN, SEAL])
async def test_the_default_is_at_least_the_sessions_minimum(
    kind: str, minimum: Protection
) -> None:
    async with streams(kind, default=NONE, minimum=minimum) as (one, two):
        await one.send(b"a")
        assert (await two.receive()).protection is minimum
        with pytest.raises(LocalProtocolError, match="this session's minimum"):
            await one.send(b"b", Protection(minimum - 1))
        await one.send(b"c")
        assert (await two.receive()).data == b"c"


async def test_what_is_too_long_or_empty_is_not_sent(kind: str) -> None:
    async with streams(kind, limits=SMALL) as (one, two):
        limit = one.extra(SecureStreamAttribute.max_message_bytes)
        with pytest.raises(FrameTooLarge) as caught:
            await one.send(bytes(limit + 1))
        assert (caught.value.size, caught.value.limit) == (limit + 1, limit)
        with pytest.raises(LocalProtocolError):
            await one.send(b"")
        await one.send(bytes(limit))
        assert (await two.receive()).data == bytes(limit)


async def test_facts_about_the_stream(kind: str) -> None:
    async with streams(kind) as (one, two):
        assert one.peer.name == "host/server"
        assert two.extra(SecureStreamAttribute.peer).name == "alice"
        assert one.extra(SecureStreamAttribute.suite) == "gss"
        assert one.extra(SecureStreamAttribute.minimum_protection) is SIGN


async def test_wrapping_shakes_hands(kind: str) -> None:
    async with joined(kind) as (one, two):
        client, server = pair()
        now = anyio.current_time()
        for end in (client, server):
            end._deadline = now + 10  # pyright: ignore[reportPrivateUsage]
        wrapped: list[SecureStream] = []

        async def wrap() -> None:
            wrapped.append(await SecureStream.wrap(one, client))

        async def wrap_signing() -> None:
            stream = await SecureStream.wrap(two, server, protection=SIGN)
            await stream.send(b"signed")
            wrapped.append(stream)

        async with anyio.create_task_group() as group:
            group.start_soon(wrap)
            group.start_soon(wrap_signing)
        mine = next(stream for stream in wrapped if stream.peer.name != "alice")
        assert await mine.receive() == Message(b"signed", SIGN)
        await close_both(*wrapped)


async def test_messages_that_came_together_are_given_singly(kind: str) -> None:
    async with held(kind) as (stream, sock, peer):
        for number in range(3):
            peer.send(b"%d" % number, SIGN)
        sock.send(peer.data_to_send())
        assert [(await stream.receive()).data for _ in range(3)] == [b"0", b"1", b"2"]


async def test_only_one_task_receives(kind: str) -> None:
    async with streams(kind) as (one, two):
        got: list[Message] = []

        async def receive() -> None:
            got.append(await one.receive())

        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            await settle()
            with pytest.raises(BusyError):
                await one.receive()
            await two.send(b"x")
        assert [message.data for message in got] == [b"x"]


async def test_cancelling_a_receive_loses_nothing(kind: str) -> None:
    async with streams(kind) as (one, two):
        async with anyio.create_task_group() as group:
            group.start_soon(one.receive)
            await settle()
            group.cancel_scope.cancel()
        await two.send(b"whole")
        assert (await one.receive()).data == b"whole"


async def test_several_tasks_send_and_each_message_is_whole(kind: str) -> None:
    got: list[bytes] = []
    async with streams(kind) as (one, two):
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one.send, b"%02d" % number * 5000)
            for _ in range(20):
                got.append((await two.receive()).data)
        assert sorted(got) == [b"%02d" % number * 5000 for number in range(20)]


async def test_a_send_cancelled_for_want_of_room_counts_as_sent(kind: str) -> None:
    async with streams(kind) as (one, two):
        sent = 0
        while True:
            with anyio.move_on_after(0.02) as scope:
                sent += 1
                await one.send(b"%06d" % sent + bytes(100_000))
            if scope.cancelled_caught:
                break
            assert sent < 1000
        if kind == "stream":  # which may have sent any part of it
            with pytest.raises(ConnectionClosed):
                await one.send(b"more")
            return
        async with anyio.create_task_group() as group:
            group.start_soon(one.send, b"last")
            for number in range(1, sent + 1):
                assert (await two.receive()).data[:6] == b"%06d" % number
            assert (await two.receive()).data == b"last"


# Ends.


async def test_a_close_ends_both_directions_cleanly(kind: str) -> None:
    async with streams(kind) as (one, two):
        await one.send(b"last")
        async with anyio.create_task_group() as group:
            group.start_soon(one.aclose)
            assert (await two.receive()).data == b"last"
            for _ in range(2):
                with pytest.raises(ConnectionClosed) as caught:
                    await two.receive()
                assert caught.value.clean
            with pytest.raises(LocalProtocolError, match="in state CLOSED"):
                await two.send(b"too late")
            await two.aclose()
        for _ in range(2):
            with pytest.raises(ConnectionClosed) as caught:
                await one.receive()
            assert caught.value.clean
        with pytest.raises(LocalProtocolError):
            await one.send(b"too late")
        await one.aclose()


async def test_a_peer_that_closes_and_stays_is_not_waited_for(kind: str) -> None:
    async with held(kind) as (stream, sock, peer):
        peer.send(b"last", SIGN)
        peer.close()
        sock.send(peer.data_to_send())
        assert (await stream.receive()).data == b"last"
        with anyio.fail_after(5):
            for _ in range(2):
                with pytest.raises(ConnectionClosed) as caught:
                    await stream.receive()
                assert caught.value.clean
            await stream.aclose()


async def test_an_end_without_a_close_is_a_truncation(kind: str) -> None:
    async with held(kind) as (stream, sock, peer):
        peer.send(b"last", SIGN)
        sock.send(peer.data_to_send())
        sock.shutdown(1)
        assert (await stream.receive()).data == b"last"
        for _ in range(2):
            with pytest.raises(ConnectionClosed, match="inside the session") as caught:
                await stream.receive()
            assert not caught.value.clean


async def test_a_changed_message_ends_the_stream(kind: str) -> None:
    async with held(kind) as (stream, sock, peer):
        peer.send(b"changed", SEAL)
        record = bytearray(peer.data_to_send())
        record[-1] ^= 1
        sock.send(bytes(record))
        for _ in range(2):
            with pytest.raises(IntegrityError):
                await stream.receive()
        with pytest.raises(LocalProtocolError):
            await stream.send(b"x")
        await stream.aclose()
        assert sock.recv(1000) == b""  # no CLOSE: nothing is vouched for any more


async def test_closing_ends_the_receive_of_another_task(kind: str) -> None:
    async with streams(kind) as (one, two):

        async def receive() -> None:
            with pytest.raises(ConnectionClosed, match="closed by this end") as caught:
                await one.receive()
            assert caught.value.clean

        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            await settle()
            with anyio.fail_after(5):
                await one.aclose()
                await one.aclose()
            group.start_soon(two.aclose)


async def test_a_stream_is_its_own_context_manager(kind: str) -> None:
    async with held(kind) as (stream, sock, peer):
        async with anyio.create_task_group() as group:

            async def use() -> None:
                async with stream as same:
                    assert same is stream
                    await stream.send(b"x")

            group.start_soon(use)
            await settle()
            sock.shutdown(1)
        peer.receive_data(sock.recv(10_000))
        kinds = [type(event).__name__ for event in collect(peer)]
        assert kinds == ["MessagesReceived", "PeerClosed"]


async def test_a_cancelled_close_still_says_so(kind: str) -> None:
    async with held(kind) as (stream, sock, _):
        sock.shutdown(1)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.aclose()
        (frame,) = frames(sock.recv(1000))
        assert frame.kind.name == "CLOSE"


# A lifetime.


async def test_at_the_end_of_its_lifetime_a_stream_is_over(kind: str) -> None:
    ends_at = anyio.current_time() + 0.02
    async with held(kind, ends_at=ends_at) as (stream, _, _):
        with pytest.raises(ConnectionClosed, match="lifetime is over") as caught:
            await stream.receive()
        assert caught.value.clean
        assert anyio.current_time() >= ends_at
        with pytest.raises(ConnectionClosed, match="must log in again"):
            await stream.send(b"x")


async def test_before_the_end_of_its_lifetime_all_is_as_ever(kind: str) -> None:
    async with held(kind, ends_at=anyio.current_time() + 100) as (stream, sock, peer):
        peer.send(b"in time", SIGN)
        sock.send(peer.data_to_send())
        assert (await stream.receive()).data == b"in time"
        await stream.send(b"x")


async def test_a_timer_that_comes_early_does_not_end_it(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with held(kind, ends_at=anyio.current_time() + 100) as (stream, sock, peer):
        later = anyio.move_on_after
        waits: list[float] = []

        def sooner(seconds: float) -> anyio.CancelScope:
            waits.append(seconds)
            return later(0.0 if len(waits) < 3 else seconds)

        monkeypatch.setattr("anyio.move_on_after", sooner)
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                assert (await stream.receive()).data == b"late"

            group.start_soon(receive)
            while len(waits) < 3:
                await anyio.sleep(0)
            peer.send(b"late", SIGN)
            sock.send(peer.data_to_send())
        assert len(waits) == 3
