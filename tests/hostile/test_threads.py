"""Callers who keep the threads of `def` handlers, and never take or send anything."""

import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest

from signetrpc.rpc import Protection, method, service
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import encode_call, encode_cancel, encode_credit
from signetrpc.rpc._server_connection import ServerConnection
from tests.support.calls import FarEnd, server_end
from tests.support.desk import NIL, answers, reply, until

pytestmark = pytest.mark.anyio

THREADS = 4
SHARE = THREADS // 2


@service("test.Workshop", protection=Protection.SIGN)
class Workshop:
    def __init__(self) -> None:
        self.running = 0
        self._lock = threading.Lock()

    def _count(self, more: int) -> None:
        with self._lock:
            self.running += more

    @method
    def give(self) -> Iterator[bytes]:
        self._count(1)
        try:
            while True:
                yield bytes(60_000)
        finally:
            self._count(-1)

    @method
    def take(self, items: Iterator[bytes]) -> int:
        self._count(1)
        try:
            return sum(map(len, items))
        finally:
            self._count(-1)

    @method
    def mirror(self, items: Iterator[bytes]) -> Iterator[bytes]:
        self._count(1)
        try:
            yield from items
        finally:
            self._count(-1)

    @method
    def quick(self) -> str:
        return "quick"


def begin(call_id: int, name: str) -> bytes:
    wire_name = encode_value(f"test.Workshop/{name}")
    return encode_call(call_id, wire_name, None, NIL, encode_value({}))


@asynccontextmanager
async def workshop() -> AsyncGenerator[tuple[Workshop, ServerConnection, FarEnd]]:
    served = Workshop()
    async with server_end(served, max_threads=THREADS) as (connection, far, _):
        try:
            yield served, connection, far
        finally:
            for call in list(connection.calls):
                far.say(encode_cancel(call.id))
            await until(lambda: not served.running)


@pytest.mark.parametrize("name", ["give", "take", "mirror"])
async def test_streams_leave_threads_to_others(name: str) -> None:
    async with workshop() as (served, _, far):
        far.say(*[begin(number, name) for number in range(1, 5 * THREADS)])
        await until(lambda: served.running == SHARE)
        far.heard()
        for number in range(100, 120):
            far.say(begin(number, "quick"))
            while reply(number, "quick") not in await answers(far, 1):
                pass
        assert served.running == SHARE


async def test_streams_come_to_their_turn() -> None:
    async with workshop() as (served, connection, far):
        calls = range(1, 3 * THREADS)
        far.say(*[begin(number, "give") for number in calls])
        for number in calls:
            await until(lambda: served.running == min(SHARE, len(connection.calls)))
            far.say(encode_cancel(number), encode_credit(0, 1 << 20))
        await until(lambda: not served.running)
        assert not connection.calls
