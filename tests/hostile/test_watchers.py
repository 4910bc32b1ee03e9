"""Callers who watch a server's health, many at once, and never take what they hear."""

import pytest

from signetrpc.rpc import StatusCode
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import ITEM_OVERHEAD, STREAM_WINDOW
from signetrpc.rpc._messages import encode_call, encode_cancel
from signetrpc.rpc.health import Health, ServingStatus
from signetrpc.transport import ConnectionClosed
from tests.support.calls import server_end
from tests.support.desk import NIL
from tests.support.river import bodies, ends
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

MOST = 50
STATUSES = (ServingStatus.SERVING, ServingStatus.NOT_SERVING)


def watch(call_id: int, name: str = "") -> bytes:
    wire_name = encode_value("signet.Health/watch")
    return encode_call(call_id, wire_name, None, NIL, encode_value({"service": name}))


def watching(health: Health) -> int:
    return len(health._watches)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("how", ["cancelling", "leaving"])
async def test_who_watches_is_counted_and_leaves_nothing(how: str) -> None:
    health = Health()
    async with server_end(health, max_calls=MOST) as (connection, far, _):
        far.say(*[watch(number) for number in range(1, 2 * MOST + 1)])
        await settle()
        assert watching(health) == MOST
        assert ends(far.heard()) == [
            (number, StatusCode.RESOURCE_EXHAUSTED)
            for number in range(MOST + 1, 2 * MOST + 1)
        ]
        if how == "cancelling":
            far.say(*[encode_cancel(number) for number in range(1, MOST + 1)])
        else:
            connection.pipe_ended(ConnectionClosed("broke", clean=False))
        await settle()
        assert not watching(health) and not connection.calls


async def test_changes_that_nobody_takes_do_not_add_up() -> None:
    health = Health()
    async with server_end(health) as (connection, far, _):
        far.say(watch(1), watch(2, "no such service"))
        await settle()
        for number in range(3 * STREAM_WINDOW // ITEM_OVERHEAD // 2):
            health.set("", STATUSES[number % 2])
            await settle()
        health.set("", ServingStatus.UNKNOWN)
        await settle()
        heard = far.heard()
        # Until the window is used up, and none of them waits in the server.
        size = len(encode_value("SERVING")) + ITEM_OVERHEAD
        assert len(bodies(heard)) <= STREAM_WINDOW // size + 1
        assert bodies(heard, 2) == [encode_value("SERVICE_UNKNOWN")]
        assert watching(health) == 2 and len(connection.calls) == 2


async def test_a_flood_of_changes_within_a_turn_is_one() -> None:
    health = Health()
    async with server_end(health) as (_, far, _):
        far.say(watch(1))
        await settle()
        far.heard()
        for number in range(10_001):
            health.set("", STATUSES[number % 2])
        await settle()
        assert bodies(far.heard()) == [encode_value("SERVING")]
