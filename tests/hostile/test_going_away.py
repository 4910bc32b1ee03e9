"""Peers that ask too often, answer what nobody asked, or send everybody away."""

from collections.abc import Callable

import anyio
import pytest

from signetrpc.rpc import CancellationCause, KeepalivePolicy, StatusCode
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Call,
    GoAway,
    Message,
    Ping,
    Pong,
    encode_go_away,
    encode_ping,
    encode_pong,
)
from signetrpc.rpc.errors import NotCarriedOut
from signetrpc.transport import ConnectionClosed, RemoteProtocolError
from tests.support.channels import LENGTH, Table, Text, status_of, table
from tests.support.desk import call, desk, ended_by, reply, status
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

ANY = 0xFFFFFFFF
TOO_MANY = "too many pings: 3 less than 5 seconds after another"


# What a server bears.


async def test_a_client_that_asks_too_often_is_told_so_and_left() -> None:
    async with desk() as (served, connection, far, _):
        far.say(call(1, "wait", {"text": "a"}))
        await settle()
        far.say(*map(encode_ping, range(1000)), call(2, "inline", {"text": "b"}))
        answers = far.heard()
        assert answers == [Pong(0), Pong(1), Pong(2), GoAway(0, 1, TOO_MANY)]
        error = ended_by(connection)
        assert isinstance(error, ConnectionClosed) and str(error) == TOO_MANY
        await settle()
        assert served.started == served.cancelled == ["a"]
        assert not connection.calls


async def test_pings_do_not_add_up_at_a_client_that_does_not_read() -> None:
    async with desk() as (_, connection, far, loop):
        far.pipe.full = True
        for number in range(100):
            loop.advance(5.0)  # as often as it may
            far.say(encode_ping(number))
            await settle()
        # It is not read from after the first answer that does not go out.
        assert far.pipe.paused and connection.ended is None
        assert far.heard() == [Pong(0)]


@pytest.mark.parametrize(
    ("numbers", "says"),
    [([0], 0), ([2], 2), ([1, 1], 1), ([1, 2], 2), ([ANY], ANY)],
)
async def test_an_answer_that_answers_nothing_ends_it(
    numbers: list[int], says: int
) -> None:
    async with desk() as (_, connection, far, _):
        far.say(call(1, "wait", {"text": "a"}))
        await settle()
        connection.retire(5.0)
        assert far.heard() == [GoAway(5_000, ANY), Ping(1)]
        far.say(*map(encode_pong, numbers))
        error = ended_by(connection)
        assert isinstance(error, RemoteProtocolError)
        assert str(error) == f"PONG {says} to no PING"


async def test_only_the_answer_to_the_farewell_shows_that_the_client_knows() -> None:
    async with desk() as (served, connection, far, _):
        connection._ask()  # pyright: ignore[reportPrivateUsage]
        connection.retire(5.0)
        assert far.heard() == [Ping(1), GoAway(5_000, ANY), Ping(2)]
        # This it said, and made, before it heard of the end.
        far.say(encode_pong(1), call(1, "inline", {"text": "a"}))
        assert far.heard() == [reply(1, "A")]
        far.say(encode_pong(2), call(2, "inline", {"text": "b"}))
        assert far.heard() == [GoAway(5_000, 1)]
        assert served.started == ["a"]


async def test_a_farewell_can_become_shorter_and_not_longer() -> None:
    async with desk() as (served, connection, far, loop):
        far.say(call(1, "wait", {"text": "a"}))
        await settle()
        for grace, ends in ((30.0, 1030.0), (60.0, 1030.0), (5.0, 1005.0)):
            connection.retire(grace)
            assert loop.armed == [ends]
        assert far.heard() == [GoAway(30_000, ANY), Ping(1)]
        (running,) = connection.calls
        loop.advance(5.0)
        assert isinstance(ended_by(connection), ConnectionClosed)
        await settle()
        assert served.cancelled == ["a"]
        cause = running.context.cancelled_because
        assert cause is CancellationCause.SERVER_STOPPING


async def test_metadata_over_the_limit_ends_its_call_alone() -> None:
    async with desk() as (served, connection, far, _):
        pairs = encode_value([["k", "v" * 16_384]])
        far.say(call(1, "inline", {"text": "a"}, metadata=pairs))
        far.say(call(2, "inline", {"text": "b"}))
        refused, answer = far.heard()
        message = "metadata of 16385 bytes, limit 16384"
        assert status(refused) == (1, StatusCode.RESOURCE_EXHAUSTED, message)
        assert answer == reply(2, "B")
        assert served.started == ["b"] and connection.ended is None


async def test_who_may_not_call_learns_nothing_of_the_limit() -> None:
    async with desk() as (_, _, far, _):
        pairs = encode_value([["k", "v" * 17_000]])
        far.say(call(1, "nothing", metadata=pairs))
        (refused,) = far.heard()
        assert status(refused)[1] is StatusCode.UNIMPLEMENTED


# What a client bears.


def calls_in(messages: list[Message]) -> list[Message]:
    return [message for message in messages if isinstance(message, Call)]


async def test_a_call_is_made_again_once_and_not_for_ever() -> None:
    async with table() as held:

        async def send_away() -> None:
            for number in range(2):
                while len(held.connector.ends) == number:
                    await anyio.sleep(0)
                await settle()
                assert len(calls_in(held.far.heard())) == 1
                held.far.say(encode_go_away(30.0, 0))

        async with anyio.create_task_group() as group:
            group.start_soon(send_away)
            with pytest.raises(NotCarriedOut) as caught:
                await held.channel.unary(LENGTH, Text("abc"))
            assert caught.value.status is StatusCode.UNAVAILABLE
        assert held.connector.attempts == 2
        # The next call is another matter.
        assert await held.call(held.answer) == 3


def turn_away(held: Table, reason: str) -> None:
    held.far.say(encode_go_away(0.0, 1, reason))
    held.far.session.close()
    held.far.deliver(held.far.session.data_to_send())


async def ended(serve: Callable[[], None], held: Table) -> tuple[StatusCode, str]:
    """Call, let `serve` act when the call is written, and return how it ended."""
    ends: list[tuple[StatusCode, str]] = []

    async def make() -> None:
        ends.append(await status_of(held.channel.unary(LENGTH, Text("abc"))))

    async with anyio.create_task_group() as group:
        group.start_soon(make)
        await settle()
        serve()
    return ends[0]


async def test_a_client_that_was_told_why_says_so_and_asks_less() -> None:
    policy = KeepalivePolicy(idle_seconds=1.0)
    async with table(keepalive=policy) as held:
        outcome, message = await ended(lambda: turn_away(held, "too many\x1b[2J"), held)
        assert outcome is StatusCode.UNAVAILABLE
        assert message.endswith("; the server says: 'too many\\x1b[2J'")

        async with anyio.create_task_group() as group:
            group.start_soon(held.channel.unary, LENGTH, Text("abc"))
            await settle()
            assert len(calls_in(held.far.heard())) == 1
            held.loop.advance(1.0)
            assert held.far.heard() == []
            held.loop.advance(1.0)
            assert held.far.heard() == [Ping(1)]
            group.cancel_scope.cancel()


async def test_a_reason_that_is_too_long_ends_it() -> None:
    async with table() as held:
        outcome, message = await ended(
            lambda: held.far.say(encode_go_away(0.0, 1, "x" * 201)), held
        )
        assert outcome is StatusCode.UNAVAILABLE
        assert "malformed call message" in message


async def test_metadata_over_the_limit_is_not_sent() -> None:
    async with table() as held:
        pairs = {"k": "v" * 16_384}
        assert await status_of(
            held.channel.unary(LENGTH, Text("abc"), metadata=pairs)
        ) == (StatusCode.RESOURCE_EXHAUSTED, "metadata of 16385 bytes, limit 16384")
        assert held.far.heard() == []
