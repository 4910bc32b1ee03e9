"""One connection's floods take a turn of the event loop, and no more than one."""

import pytest

from signetrpc.rpc import Protection
from signetrpc.rpc._messages import (
    Message,
    Reply,
    encode_cancel,
    encode_credit,
    encode_end,
)
from tests.support.calls import FarEnd, HeldLoop
from tests.support.river import begin, item, river
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

MANY = 3000
FEW = 200
"""More than are handled before the clock is looked at."""


class Ticking:
    """Lets a message take a tenth of a millisecond."""

    def __init__(self, loop: HeldLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.handled = 0
        self._loop = loop
        monkeypatch.setattr("signetrpc.rpc._connection.decode_message", self._decode)

    def _decode(self, data: bytes) -> Message:
        from signetrpc.rpc._messages import decode_message

        self.handled += 1
        self._loop.now += 0.0001
        return decode_message(data)


def say_apart(far: FarEnd, messages: list[bytes]) -> None:
    """Say each in a record of its own, all in one chunk."""
    chunk = b""
    for message in messages:
        far.session.send(message, Protection.SEAL)
        chunk += far.session.data_to_send()
    far.deliver(chunk)


FLOODS: dict[str, list[bytes]] = {
    "calls": [begin(number, "small") for number in range(2, MANY)],
    "cancelled calls": [
        message
        for number in range(2, MANY // 2)
        for message in (begin(number, "held"), encode_cancel(number))
    ],
    "credit": [encode_credit(0, 1)] * MANY,
    "messages of an ended call": [encode_end(1)] * MANY,
}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_takes_its_turn(
    name: str, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood = FLOODS[name]
    async with river() as (_, connection, far, loop):
        far.say(begin(1, "small"))
        far.heard()
        ticking = Ticking(loop, monkeypatch)
        if apart:
            say_apart(far, flood)
        else:
            far.say(*flood)
        # No more is read meanwhile, and none of it is lost.
        assert ticking.handled < FEW and far.pipe.paused
        await settle()
        while ticking.handled < len(flood):
            await settle()
        assert ticking.handled == len(flood)
        assert not far.pipe.paused and connection.ended is None
        assert not connection.calls
        assert connection.counts.received_messages == len(flood) + 1


async def test_what_a_flood_says_is_taken_in_its_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with river() as (served, connection, far, loop):
        ticking = Ticking(loop, monkeypatch)
        numbers = range(1000)
        far.say(begin(1, "total"), *[item(1, each) for each in numbers], encode_end(1))
        assert ticking.handled < FEW
        while connection.calls:
            await settle()
        assert served.got == [*numbers]
        (reply,) = [each for each in far.heard() if isinstance(each, Reply)]
        assert reply.id == 1


async def test_a_turn_is_no_way_round_reading_ones_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So few answers among much else that only a turn's end has them written.
    flood = [
        message
        for number in range(2, 100)
        for message in (begin(number, "small"), *[encode_end(1)] * 39)
    ]
    async with river() as (_, connection, far, loop):
        far.say(begin(1, "small"))
        far.heard()
        ticking = Ticking(loop, monkeypatch)
        far.pipe.full = True
        far.say(*flood)
        await settle()
        assert ticking.handled < FEW and far.pipe.paused
        far.pipe.make_room()
        while ticking.handled < len(flood):
            await settle()
        assert not far.pipe.paused and connection.ended is None


async def test_the_end_is_not_overlooked_between_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with river() as (_, connection, far, loop):
        ticking = Ticking(loop, monkeypatch)
        far.say(*[encode_credit(0, 1)] * MANY)
        far.session.close()
        far.deliver(far.session.data_to_send())
        connection.pipe_ended(None)
        assert connection.ended is None
        while connection.ended is None:
            await settle()
        assert ticking.handled == MANY
        assert "closed the session" in str(connection.ended)
