"""What a connection carries besides calls: its windows, and signs of life."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from signetrpc.rpc import Protection
from signetrpc.rpc._exchange import Exchange
from signetrpc.rpc._flow import CONNECTION_WINDOW, MOST_CREDIT
from signetrpc.rpc._keepalive import KeepalivePolicy
from signetrpc.rpc._messages import (
    PART_BYTES,
    Cancel,
    Credit,
    Message,
    Part,
    Ping,
    Pong,
    encode_cancel,
    encode_credit,
    encode_part,
    encode_ping,
    encode_pong,
)
from signetrpc.transport import (
    ConnectionClosed,
    FrameTooLarge,
    Limits,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._loops import open_loop
from tests.support.calls import FarEnd, HeldLoop, link
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

SIGN, SEAL = Protection.SIGN, Protection.SEAL
PIECE = encode_part(1, bytes(PART_BYTES), True)
KEEPALIVE = KeepalivePolicy(idle_seconds=60.0, timeout_seconds=20.0)


class Plain(Exchange):
    """An exchange without calls."""

    _peer_role = "peer"

    def __init__(self, loop: HeldLoop, near: Any, **options: Any) -> None:
        super().__init__(loop, near, **options)
        self.pongs = 0
        self.calls = False
        self.losses: list[TransportError] = []

    @property
    def busy(self) -> bool:
        """What the test says."""
        return self.calls

    def _receive(
        self, message: Message, level: Protection, raw: bytes | memoryview
    ) -> None:
        if isinstance(message, Part):
            self._arrived(len(message.chunk))
        else:
            self._receive_control(message)

    def _ponged(self) -> None:
        self.pongs += 1

    def _lost(self, error: TransportError) -> None:
        self.losses.append(error)

    def _expire(self, call_id: int) -> None:
        raise AssertionError("there are no calls")

    def send(self) -> None:
        """Send a piece of a body."""
        self.send_piece(PIECE, SEAL, PART_BYTES)

    def ask(self) -> None:
        """Send a PING."""
        self._ask()

    def fail(self, error: TransportError) -> None:
        """End the connection."""
        self._end(error)


@asynccontextmanager
async def plain(
    *, keepalive: KeepalivePolicy | None = None, **limits: Any
) -> AsyncGenerator[tuple[Plain, FarEnd, HeldLoop]]:
    async with open_loop() as real:
        loop = HeldLoop(real)
        near, far = link(initiator=True, **limits)
        connection = Plain(loop, near, keepalive=keepalive)
        connection.start()
        yield connection, far, loop
        await connection.aclose()
        await settle()
        assert loop.armed == []


# Windows.


async def test_pieces_are_sent_while_the_window_is_above_zero() -> None:
    async with plain() as (connection, far, _):
        for _ in range(CONNECTION_WINDOW // PART_BYTES):
            assert connection.has_room
            connection.send()
        assert not connection.has_room
        far.say(encode_credit(0, 1))
        assert connection.has_room
        connection.send()
        far.say(encode_credit(0, PART_BYTES - 1))
        assert not connection.has_room


async def test_who_waits_for_room_is_woken_by_credit() -> None:
    async with plain() as (connection, far, _):
        for _ in range(CONNECTION_WINDOW // PART_BYTES):
            connection.send()
        woken: list[int] = []

        async def wait(number: int) -> None:
            await connection.room()
            woken.append(number)
            connection.send()

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(wait, number)
                await settle()
            far.say(encode_credit(0, 2 * PART_BYTES))
            await settle()
            assert woken == [0, 1]  # in their order, and the third waits again
            far.say(encode_credit(0, 1))
        assert woken == [0, 1, 2]


async def test_who_waits_for_a_full_pipe_is_woken_when_it_drains() -> None:
    async with plain() as (connection, far, _):
        far.pipe.full = True
        assert not connection.has_room
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(connection.room)
            await settle()
            far.pipe.make_room()
        assert connection.has_room


@pytest.mark.parametrize("full", [True, False])
async def test_who_waits_for_room_is_woken_by_the_end(full: bool) -> None:
    async with plain() as (connection, far, _):
        for _ in range(CONNECTION_WINDOW // PART_BYTES):
            connection.send()
        far.pipe.full = full
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(connection.room)
            await settle()
            if full:
                far.pipe.abort()  # before anybody says so
                await settle()
            connection.pipe_ended(ConnectionClosed("broke", clean=False))
        await connection.room()


async def test_a_cancelled_wait_for_room_disturbs_nobody() -> None:
    async with plain() as (connection, far, _):
        far.pipe.full = True
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def wait() -> None:
                with scope:
                    await connection.room()

            group.start_soon(wait)
            group.start_soon(connection.room)
            await settle()
            scope.cancel()
            await settle()
            far.pipe.make_room()
        assert connection.has_room


async def test_the_peers_bytes_are_given_back_as_they_come() -> None:
    async with plain() as (connection, far, _):
        for _ in range(10 * CONNECTION_WINDOW // PART_BYTES):
            far.say(PIECE)
            await settle()
        assert connection.ended is None
        credits = far.records()
        assert credits == [(SIGN, [Credit(0, CONNECTION_WINDOW // 2)])] * 20


async def test_credit_that_is_on_its_way_counts() -> None:
    async with plain() as (connection, far, _):
        far.pipe.full = True
        for _ in range(CONNECTION_WINDOW // PART_BYTES * 2):
            far.say(PIECE)
        assert connection.ended is None


async def test_more_credit_than_there_can_be_is_fatal() -> None:
    async with plain() as (connection, far, _):
        far.say(encode_credit(0, MOST_CREDIT))
        assert isinstance(connection.ended, RemoteProtocolError)
        assert "limit 2147483647" in str(connection.ended)


async def test_what_is_refused_uses_nothing_up() -> None:
    few = Limits(max_record_bytes=4096, max_message_bytes=1024)
    async with plain(limits=few) as (connection, _, _):
        for _ in range(2 * CONNECTION_WINDOW // PART_BYTES):
            with pytest.raises(FrameTooLarge):
                connection.send()
        assert connection.has_room


async def test_what_is_for_nobody_is_fatal() -> None:
    async with plain() as (connection, far, _):
        far.say(encode_cancel(1))
        assert str(connection.ended) == "Cancel from a peer"


# Life.


async def test_a_ping_is_answered_at_the_sessions_level() -> None:
    async with plain() as (_, far, _):
        far.say(encode_ping(7))
        await settle()
        assert far.records() == [(SIGN, [Pong(7)])]


async def test_too_many_pings_are_fatal() -> None:
    async with plain() as (connection, far, loop):
        for number in range(20):
            far.say(encode_ping(number))
            loop.advance(5.0)
        assert connection.ended is None
        far.say(*map(encode_ping, range(4)))
        assert "too many pings" in str(connection.ended)


async def test_a_pong_to_nothing_is_fatal() -> None:
    async with plain() as (connection, far, _):
        far.say(encode_pong(1))
        assert str(connection.ended) == "PONG 1 to no PING"


async def test_an_answer_to_what_was_asked_is_noted() -> None:
    async with plain() as (connection, far, _):
        connection.ask()
        assert far.records() == [(SIGN, [Ping(1)])]
        far.say(encode_pong(1))
        assert connection.pongs == 1 and connection.ended is None


async def test_a_peer_that_gives_no_sign_of_life_is_left() -> None:
    async with plain(keepalive=KEEPALIVE) as (connection, far, loop):
        connection.calls = True
        loop.advance(59.0)
        assert far.heard() == []
        loop.advance(1.0)
        assert far.heard() == [Ping(1)]
        loop.advance(19.0)
        assert connection.ended is None
        loop.advance(1.0)
        error = connection.ended
        assert isinstance(error, ConnectionClosed) and not error.clean
        assert str(error) == "the peer gives no sign of life"
        assert connection.losses == [error]


@pytest.mark.parametrize("sign", [PIECE, encode_credit(0, 1)])
async def test_any_sign_of_life_will_do(sign: bytes) -> None:
    async with plain(keepalive=KEEPALIVE) as (connection, far, loop):
        connection.calls = True
        for _ in range(5):
            loop.advance(60.0)
            assert Ping in [type(message) for message in far.heard()]
            loop.advance(10.0)
            far.say(sign)
            loop.advance(10.0)
            assert connection.ended is None
            loop.advance(49.0)
            assert Ping not in [type(message) for message in far.heard()]
            far.say(sign)


async def test_nobody_is_asked_while_no_call_waits() -> None:
    async with plain(keepalive=KEEPALIVE) as (connection, far, loop):
        for _ in range(10):
            loop.advance(60.0)
        assert far.heard() == [] and connection.ended is None


async def test_who_is_held_back_by_this_end_is_not_given_up() -> None:
    async with plain(keepalive=KEEPALIVE) as (connection, far, loop):
        connection.calls = True
        release = anyio.Event()
        connection.hold(release.wait)
        await settle()
        for _ in range(5):
            loop.advance(60.0)
        assert far.heard() == [] and connection.ended is None
        release.set()
        await settle()
        loop.advance(60.0)
        assert far.heard() == [Ping(1)]


async def test_a_peer_that_does_not_read_is_given_up() -> None:
    async with plain(keepalive=KEEPALIVE) as (connection, far, loop):
        connection.calls = True
        far.pipe.full = True
        connection.hold(far.pipe.drain)
        await settle()
        loop.advance(60.0)
        loop.advance(20.0)
        assert "no sign of life" in str(connection.ended)


async def test_no_beat_after_the_end() -> None:
    async with plain(keepalive=KEEPALIVE) as (connection, far, loop):
        assert loop.armed == [1060.0]
        connection.fail(ConnectionClosed("over", clean=True))
        assert loop.armed == []
        loop.advance(100.0)
        assert far.heard() == []


async def test_control_messages_go_with_others() -> None:
    async with plain() as (connection, far, _):
        connection.send()
        far.say(encode_ping(1))
        await settle()
        messages = far.heard()
        assert [type(message) for message in messages] == [Part, Pong]
        assert Cancel(1) not in messages
