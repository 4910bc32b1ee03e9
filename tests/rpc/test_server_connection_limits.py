"""A server's end of a connection: cancellation, time, threads and congestion."""

import anyio
import pytest

from signetrpc.rpc import (
    Protection,
    StatusCode,
)
from signetrpc.rpc._messages import (
    GoAway,
    Ping,
    encode_cancel,
    encode_pong,
)
from signetrpc.transport import ConnectionClosed
from tests.support.desk import answers, call, desk, ended_by, reply, status, until
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection


# Limits, cancellation, time.


async def test_no_more_calls_at_once_than_allowed() -> None:
    async with desk(max_calls=2) as (served, _, far, _):
        far.say(*[call(number, "wait", {"text": str(number)}) for number in (1, 2, 3)])
        await settle()
        (message,) = far.heard()
        assert status(message) == (
            3,
            StatusCode.RESOURCE_EXHAUSTED,
            "2 calls under way on this connection, limit 2",
        )
        far.say(encode_cancel(1), call(4, "wait", {"text": "4"}))
        await settle()
        assert sorted(served.started) == ["1", "2", "4"]


async def test_cancelling_stops_the_handler_and_is_not_answered() -> None:
    async with desk() as (served, _, far, loop):
        far.say(call(1, "wait", {"text": "a"}, timeout=5.0))
        await settle()
        far.say(encode_cancel(1))
        await settle()
        assert served.cancelled == ["a"]
        loop.advance(10)
        assert far.heard() == []


async def test_a_handler_cancelled_before_it_began_never_begins() -> None:
    async with desk() as (served, _, far, _):
        far.say(call(1, "wait", {"text": "a"}), encode_cancel(1))
        await settle()
        assert served.started == served.cancelled
        assert far.heard() == []


async def test_a_handler_that_ignores_its_cancellation_is_not_heard() -> None:
    async with desk() as (served, connection, far, _):
        served.stubborn = True
        far.say(call(1, "wait", {"text": "a"}))
        await settle()
        far.say(encode_cancel(1))
        await settle()
        assert served.cancelled == ["a"]
        assert far.heard() == [] and connection.ended is None


async def test_time_that_runs_out_is_answered_and_stops_the_handler() -> None:
    async with desk() as (served, _, far, loop):
        far.say(
            call(1, "wait", {"text": "a"}, timeout=5.0),
            call(2, "wait", {"text": "b"}, timeout=3.0),
            call(3, "wait", {"text": "c"}),
        )
        await settle()
        assert loop.armed == [1003.0]
        loop.advance(4)
        await settle()
        assert [status(message)[:2] for message in far.heard()] == [
            (2, StatusCode.DEADLINE_EXCEEDED)
        ]
        loop.advance(2)
        await settle()
        assert served.cancelled == ["b", "a"]
        assert loop.armed == []


async def test_the_longest_timeout_is_no_problem() -> None:
    async with desk() as (_, connection, far, loop):
        far.say(call(1, "wait", {"text": "a"}, timeout=float("inf")))
        assert connection.ended is None and len(loop.armed) == 1


async def test_no_time_at_all_is_over_at_once() -> None:
    async with desk() as (served, _, far, loop):
        far.say(call(1, "wait", {"text": "a"}, timeout=0.0))
        loop.advance(0)
        await settle()
        (message,) = far.heard()
        assert status(message)[1] is StatusCode.DEADLINE_EXCEEDED
        assert served.started == served.cancelled


async def test_threads_are_bounded_and_the_rest_waits() -> None:
    async with desk(max_threads=2) as (served, _, far, _):
        far.say(*[call(number, "block", {"text": "x"}) for number in range(1, 6)])
        await until(lambda: len(served.started) == 2)
        await settle()
        assert len(served.started) == 2
        served.thread_go.set()
        await answers(far, 5)
        assert len(served.started) == 5


async def test_calls_cancelled_while_they_wait_for_a_thread_do_not_pile_up() -> None:
    async with desk(max_threads=1) as (served, _, far, loop):
        far.say(call(1, "block", {"text": "first"}))
        await until(lambda: bool(served.started))
        statistics = anyio.get_running_tasks
        before = len(statistics())
        for number in range(2, 100):
            far.say(call(number, "block", {"text": "x"}), encode_cancel(number))
        far.say(call(100, "block", {"text": "late"}, timeout=1.0))
        await settle()
        loop.advance(2)
        await settle()
        assert len(statistics()) == before
        served.thread_go.set()
        await answers(far, 2)
        assert served.started == ["first"]


async def test_a_thread_that_was_given_up_still_counts() -> None:
    async with desk(max_threads=1) as (served, _, far, _):
        far.say(call(1, "block", {"text": "one"}))
        await until(lambda: bool(served.started))
        far.say(encode_cancel(1), call(2, "block", {"text": "two"}))
        await settle()
        assert served.started == ["one"]
        served.thread_go.set()
        heard = await answers(far, 1)
        assert heard == [reply(2, "alice")]


# A client that does not read.


async def test_a_client_that_does_not_read_is_not_read_from() -> None:
    async with desk() as (_, _, far, _):
        far.pipe.full = True
        far.say(call(1, "inline", {"text": "a"}))
        assert far.pipe.paused
        far.say(call(2, "inline", {"text": "b"}))
        await settle()
        assert far.pipe.paused
        far.pipe.make_room()
        await settle()
        assert not far.pipe.paused


async def test_congestion_is_seen_when_a_waiting_answer_is_written() -> None:
    async with desk() as (served, _, far, _):
        far.say(
            call(1, "wait", {"text": "a"}),
            call(2, "wait", {"text": "b"}),
            call(3, "wait", {"text": "c"}),
        )
        await settle()
        far.pipe.full = True
        served.go.set()
        await settle()
        assert far.pipe.paused
        far.pipe.make_room()
        await settle()
        assert not far.pipe.paused


async def test_a_pipe_that_breaks_while_congested_ends_the_connection() -> None:
    async with desk() as (_, connection, far, _):
        far.pipe.full = True
        far.say(call(1, "inline", {"text": "a"}))
        far.pipe.abort()
        await settle()
        assert far.pipe.paused
        assert str(ended_by(connection)) == "the connection broke"


# The end of a lifetime.


GOING = [GoAway(30_000, 0xFFFFFFFF), Ping(1)]


async def test_at_the_end_of_its_lifetime_a_client_is_told_to_go() -> None:
    async with desk(ends_at=1005.0) as (served, connection, far, loop):
        far.say(call(1, "wait", {"text": "a"}))
        await settle()
        loop.advance(5)
        await settle()
        assert far.heard() == GOING
        # It made this before it knew.
        far.say(call(2, "inline", {"text": "b"}))
        await settle()
        assert far.heard() == [reply(2, "B")]
        loop.advance(10)
        far.say(encode_pong(1))
        await settle()
        assert far.heard() == [GoAway(20_000, 2)]
        # And this it should not have made.
        far.say(call(3, "inline", {"text": "c"}))
        await settle()
        assert served.started == ["a", "b"] and connection.ended is None
        served.go.set()
        await settle()
        assert far.heard() == [reply(1, "a")]
        error = ended_by(connection)
        assert isinstance(error, ConnectionClosed) and error.clean
        assert loop.armed == []


async def test_a_client_that_does_not_go_is_cut_off() -> None:
    async with desk(ends_at=1005.0) as (_, connection, far, loop):
        far.say(call(1, "wait", {"text": "a"}))
        await settle()
        loop.advance(5)
        await settle()
        assert far.heard() == GOING
        connection.retire()
        assert loop.armed == [1035.0]
        loop.advance(30)
        error = ended_by(connection)
        assert isinstance(error, ConnectionClosed) and error.clean
        assert far.heard() == [] and loop.armed == []


async def test_an_idle_client_is_left_when_it_knows() -> None:
    async with desk() as (_, connection, far, _):
        connection.retire(5.0)
        assert far.heard() == [GoAway(5_000, 0xFFFFFFFF), Ping(1)]
        assert connection.ended is None
        far.say(encode_pong(1))
        assert far.heard() == [GoAway(5_000, 0)]
        assert isinstance(ended_by(connection), ConnectionClosed)


async def test_a_client_that_goes_needs_no_second_word() -> None:
    async with desk(ends_at=1005.0) as (_, connection, far, loop):
        far.session.close()
        far.deliver(far.session.data_to_send())
        assert loop.armed == []
        connection.retire()
        loop.advance(50)
        assert far.heard() == []


async def test_a_session_whose_keys_are_used_up_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with desk() as (_, connection, far, _):
        monkeypatch.setattr(type(connection._session), "exhausted", True)  # pyright: ignore[reportPrivateUsage]
        far.say(call(1, "inline", {"text": "a"}))
        await settle()
        assert far.heard() == [reply(1, "A"), *GOING]
