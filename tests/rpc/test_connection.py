"""What both ends of a connection share: when things are read, written and over."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from signetrpc.rpc._connection import Connection
from signetrpc.rpc._messages import Cancel, Message, encode_cancel
from signetrpc.transport import (
    ConnectionClosed,
    Protection,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop, open_loop
from tests.support.calls import FarEnd, HeldLoop, link
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

SIGN, SEAL = Protection.SIGN, Protection.SEAL


class Noting(Connection):
    """A connection whose calls the test plays."""

    def __init__(self, loop: Loop, link: Link) -> None:
        self.calls: set[int] = set()
        super().__init__(loop, link, self.calls)
        self.received: list[tuple[Message, Protection]] = []
        self.expired: list[int] = []
        self.losses: list[TransportError] = []

    _peer_role = "peer"

    def _receive(
        self, message: Message, level: Protection, raw: bytes | memoryview
    ) -> None:
        self.received.append((message, level))
        if isinstance(message, Cancel) and message.id == 13:
            raise RemoteProtocolError("thirteen")

    def _lost(self, error: TransportError) -> None:
        self.losses.append(error)

    def _expire(self, call_id: int) -> None:
        self.expired.append(call_id)

    def say(self, call_id: int, level: Protection = SEAL, *, soon: bool = True) -> None:
        """Queue a message."""
        self._send(encode_cancel(call_id), level)
        if soon:
            self._flush_soon()
        else:
            self._flush()

    def until(self, call_id: int, when: float) -> None:
        """Give a call a deadline."""
        self.calls.add(call_id)
        self._set_deadline(call_id, when)

    def done(self, call_id: int) -> None:
        """End a call in time."""
        self.calls.remove(call_id)


@asynccontextmanager
async def noting(
    *, start: bool = True
) -> AsyncGenerator[tuple[Noting, FarEnd, HeldLoop]]:
    async with open_loop() as real:
        loop = HeldLoop(real)
        near, far = link(initiator=True)
        connection = Noting(loop, near)
        if start:
            connection.start()
        yield connection, far, loop
        await connection.aclose()


async def test_what_came_with_the_handshake_is_handled_at_the_start() -> None:
    async with noting(start=False) as (connection, far, _):
        far.session.send(encode_cancel(1), SIGN)
        connection.data_received(far.session.data_to_send())
        connection.start()
        assert connection.received == [(Cancel(1), SIGN)]
        assert far.pipe.receiver is connection


async def test_a_bad_start_is_not_received_from() -> None:
    async with noting(start=False) as (connection, far, _):
        far.session.send(b"\xc1", SEAL)
        connection.data_received(far.session.data_to_send())
        connection.start()
        assert isinstance(connection.ended, RemoteProtocolError)
        assert far.pipe.receiver is None


async def test_who_breaks_the_rules_is_told_of_no_clean_end() -> None:
    async with noting() as (connection, far, _):
        far.session.send(b"\xc1", SEAL)
        connection.data_received(far.session.data_to_send())
        await connection.aclose()
        assert far.pipe.aborted
        assert not far.pipe.sent


async def test_messages_of_one_turn_share_a_record_and_keep_their_order() -> None:
    async with noting() as (connection, far, _):
        connection.say(1)
        connection.say(2)
        connection.say(3, SIGN)
        connection.say(4)
        assert not far.pipe.sent
        await settle()
        assert far.records() == [
            (SEAL, [Cancel(1), Cancel(2)]),
            (SIGN, [Cancel(3)]),
            (SEAL, [Cancel(4)]),
        ]


async def test_what_is_written_at_once_takes_along_what_waited() -> None:
    async with noting() as (connection, far, _):
        connection.say(1)
        connection.say(2, soon=False)
        assert far.records() == [(SEAL, [Cancel(1), Cancel(2)])]
        await settle()
        assert not far.pipe.sent


async def test_the_rest_of_a_record_after_an_error_is_not_handled() -> None:
    async with noting() as (connection, far, _):
        far.say(encode_cancel(12), encode_cancel(13), encode_cancel(14))
        assert [message for message, _ in connection.received] == [
            Cancel(12),
            Cancel(13),
        ]
        assert connection.losses == [connection.ended]
        far.say(encode_cancel(15))
        assert len(connection.received) == 2


async def test_what_waited_goes_out_before_the_end() -> None:
    async with noting() as (connection, far, _):
        connection.say(1)
        far.say(encode_cancel(13))
        assert far.heard() == [Cancel(1)]
        connection.say(2)
        await settle()
        assert far.heard() == []


async def test_one_timer_serves_all_deadlines() -> None:
    async with noting() as (connection, _, loop):
        connection.until(1, 1005.0)
        connection.until(2, 1003.0)
        connection.until(3, 1004.0)
        assert loop.armed == [1003.0]
        connection.done(3)
        loop.advance(3)
        assert connection.expired == [2]
        assert loop.armed == [1005.0]
        connection.done(1)
        loop.advance(5)
        assert connection.expired == [2] and loop.armed == []
        connection.until(4, 1010.0)
        assert loop.armed == [1010.0]


async def test_a_timer_that_comes_early_comes_again() -> None:
    async with noting() as (connection, _, loop):
        connection.until(1, 1005.0)
        (timer,) = loop.timers
        assert timer.callback is not None
        timer.callback()
        assert connection.expired == [] and 1005.0 in loop.armed


async def test_the_end_is_waited_for_and_comes_once() -> None:
    error = ConnectionClosed("broke", clean=False)
    async with noting() as (connection, _, loop):
        ends: list[TransportError] = []

        async def wait() -> None:
            ends.append(await connection.wait_ended())

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await settle()
            connection.until(1, 1005.0)
            connection.pipe_ended(error)
            connection.pipe_ended(ConnectionClosed("again", clean=False))
            connection.data_received(b"more")
        assert ends == connection.losses == [error]
        assert await connection.wait_ended() is error
        assert loop.armed == []


async def test_a_wait_for_the_end_can_be_cancelled() -> None:
    async with noting() as (connection, _, _):
        async with anyio.create_task_group() as group:
            group.start_soon(connection.wait_ended)
            await settle()
            group.cancel_scope.cancel()
        connection.pipe_ended(None)
        assert connection.losses == [connection.ended]


async def test_closing_says_so_last_and_is_done_once() -> None:
    async with noting() as (connection, far, _):
        connection.say(1)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(connection.aclose)
        assert far.heard() == [Cancel(1)]
        assert far.session.state.name == "CLOSED"
        assert far.pipe.closed and not far.pipe.aborted
        (loss,) = connection.losses
        assert isinstance(loss, ConnectionClosed) and loss.clean


async def test_a_cancelled_close_closes() -> None:
    async with noting() as (connection, far, _):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await connection.aclose()
        assert far.pipe.closed


async def test_a_close_of_the_peer_is_answered() -> None:
    async with noting() as (connection, far, _):
        far.session.close()
        far.deliver(far.session.data_to_send())
        await connection.aclose()
        far.heard()
        assert far.pipe.closed
        assert str(connection.ended) == "the peer closed the session"


async def test_a_broken_session_is_aborted() -> None:
    async with noting() as (connection, far, _):
        far.deliver(b"\xff" * 100)
        assert connection.ended is not None
        await connection.aclose()
        assert far.pipe.aborted and not far.pipe.sent


async def test_sealing_that_fails_again_and_again_ends_it_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> bytes:
        raise ValueError("a bug")

    async with noting() as (connection, far, _):
        with monkeypatch.context() as patch:
            session = connection._session  # pyright: ignore[reportPrivateUsage]
            patch.setattr(session, "data_to_send", fail)
            connection.say(1, soon=False)
            assert connection.losses == [connection.ended]
            assert str(connection.ended) == "sealing failed: a bug"
            connection.say(2)
            await settle()
        assert not far.pipe.sent
    assert 1 <= caplog.text.count("sealing for host/server@EXAMPLE.COM") <= 2
