"""Clients that make calls and give them up, as fast as they can.

The model is CVE-2023-44487: a call that is given up no longer counts as one under way,
so that no limit on those bounds what its handler, or its place in a queue, still costs.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from signetrpc.rpc import Protection, StatusCode, method, service
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Reply,
    encode_call,
    encode_cancel,
    encode_credit,
)
from signetrpc.rpc._server_connection import ServerConnection
from tests.support.calls import FarEnd, HeldLoop, server_end
from tests.support.desk import NIL, reply, status
from tests.support.river import begin, ends, item, river
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

MOST = 5
STYLES = ("once", "items", "both")


@service("test.Slow", protection=Protection.SIGN)
class Slow:
    """Handlers that take their time to end when they are cancelled."""

    def __init__(self) -> None:
        self.running = 0
        self.go = anyio.Event()

    @asynccontextmanager
    async def _run(self) -> AsyncGenerator[None]:
        self.running += 1
        try:
            yield
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.go.wait()
            self.running -= 1

    @method
    async def once(self) -> None:
        async with self._run():
            pass

    @method
    async def items(self) -> AsyncGenerator[int]:
        async with self._run():
            yield 1

    @method
    async def both(self, numbers: AsyncGenerator[int]) -> AsyncGenerator[int]:
        async with self._run():
            async for number in numbers:
                yield number

    @method(inline=True)
    def quick(self) -> str:
        return "quick"


@asynccontextmanager
async def slow() -> AsyncGenerator[tuple[Slow, ServerConnection, FarEnd, HeldLoop]]:
    served = Slow()
    async with server_end(served, max_calls=MOST) as (connection, far, loop):
        try:
            yield served, connection, far, loop
        finally:
            served.go.set()


def call(call_id: int, name: str, timeout: float | None = None) -> bytes:
    wire_name = encode_value(f"test.Slow/{name}")
    return encode_call(call_id, wire_name, timeout, NIL, encode_value({}))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("by", ["cancelling", "a deadline"])
async def test_handlers_of_calls_that_were_given_up_are_bounded(
    style: str, by: str
) -> None:
    async with slow() as (served, connection, far, loop):
        for number in range(1, 4 * MOST):
            far.say(call(number, style, 1.0 if by == "a deadline" else None))
            await settle()
            far.heard()
            if by == "cancelling":
                far.say(encode_cancel(number))
            else:
                loop.advance(2.0)
            await settle()
        assert served.running == MOST and not connection.calls
        far.heard()
        far.say(call(100, "quick"))
        text = f"{MOST} calls given up whose handlers still run, limit {MOST}"
        (refused,) = far.heard()
        assert status(refused) == (100, StatusCode.RESOURCE_EXHAUSTED, text)
        assert connection.ended is None
        # When they have ended after all, there is room again.
        served.go.set()
        await settle()
        assert not served.running
        far.say(call(101, "quick"))
        assert far.heard() == [reply(101, "quick")]


async def test_what_never_began_does_not_count() -> None:
    async with slow() as (served, _, far, _):
        for number in range(1, 4 * MOST):
            far.say(call(number, "once"), encode_cancel(number))
        far.say(call(100, "quick"))
        await settle()
        assert far.heard() == [reply(100, "quick")]
        assert not served.running


async def test_calls_that_end_by_themselves_do_not_count() -> None:
    async with river(max_calls=MOST) as (_, connection, far, _):
        for number in range(1, 4 * MOST):
            # Its answer comes while it is given up.
            far.say(begin(number, "first"), item(number, 7))
            await settle()
            far.say(encode_cancel(number))
        heard = far.heard()
        assert len([each for each in heard if isinstance(each, Reply)]) == 4 * MOST - 1
        assert not ends(heard) and not connection.calls


async def test_a_long_answer_that_is_given_up_does_not_count() -> None:
    async with river(max_calls=MOST) as (_, connection, far, _):
        for number in range(1, 4 * MOST):
            far.say(begin(number, "large", {"size": 1 << 19}))
            await settle()
            far.say(encode_cancel(number))
            await settle()
            far.say(encode_credit(0, 1 << 19))
        assert not ends(far.heard()) and connection.ended is None


async def test_who_queued_for_room_and_was_given_up_leaves_nothing() -> None:
    async with river() as (served, connection, far, _):
        for number in range(1, 5):  # which use the connection's window up
            far.say(begin(number, "count", {"number": 8, "size": 60_000}))
            await settle()
        for number in range(5, 1000):
            far.say(begin(number, "count", {"number": 1}))
            await settle()
            far.say(encode_cancel(number))
            await settle()
        assert len(connection.calls) == 4
        queue = connection._senders  # pyright: ignore[reportPrivateUsage]
        assert len(queue) < 100
        # Those who are still there get what they wait for.
        for _ in range(3):
            far.heard()
            far.say(encode_credit(0, 1 << 20))
            far.say(*[encode_credit(number, 1 << 20) for number in range(1, 5)])
            await settle()
        assert not connection.calls
        assert served.closed.count("count") == 999
