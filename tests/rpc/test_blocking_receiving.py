"""What comes on the loop is had by threads."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import cast

import anyio
import pytest

from signetrpc.rpc import CancellationCause, Protection, RpcError, ServerStream
from signetrpc.rpc._blocking_loop import LoopThread
from signetrpc.rpc._blocking_receiving import Receiving
from signetrpc.rpc._context import CURRENT, CallContext
from signetrpc.transport import Identity, Mechanism

SECONDS = 10
"""What never comes does not hang the tests."""


@asynccontextmanager
async def nothing() -> AsyncGenerator[None]:
    yield


@pytest.fixture
def thread() -> Generator[LoopThread[None]]:
    thread = LoopThread(nothing)
    thread.start()
    yield thread
    thread.close()


class Ahead:
    """A stream with items that are there already, and then waits, or ends."""

    def __init__(self, batches: list[list[int]], end: Exception | None = None) -> None:
        self._batches = batches
        self._end = end
        self._items: list[int] = []
        self.asked = 0

    @property
    def waiting(self) -> bool:
        return bool(self._items)

    async def __anext__(self) -> int:
        self.asked += 1
        if not self._items:
            if not self._batches:
                if self._end is None:
                    await anyio.sleep_forever()
                raise cast("Exception", self._end)
            self._items = self._batches.pop(0)
        return self._items.pop(0)


def received(thread: LoopThread[None], stream: Ahead) -> Receiving[int]:
    receiving = Receiving[int](thread)
    receiving.start(lambda: receiving.fetch_all(cast("ServerStream[int]", stream)))
    return receiving


def each(receiving: Receiving[int]) -> Iterator[int]:
    while True:
        try:
            yield receiving.take()
        except StopIteration:
            return


def test_items_come_in_batches_and_one_is_fetched_ahead(
    thread: LoopThread[None],
) -> None:
    stream = Ahead([[0, 1, 2], [3, 4], [5]], StopAsyncIteration())
    receiving = received(thread, stream)
    assert receiving.wait_begun() is cast("ServerStream[int]", stream)
    thread.run(idle)
    # The second batch waits for somebody to take the first.
    assert stream.asked == 3
    assert receiving.take() == 0
    thread.run(idle)
    assert stream.asked == 5
    assert list(each(receiving)) == [1, 2, 3, 4, 5]
    assert list(each(receiving)) == []


async def idle() -> None:
    """Let everything on the loop run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_an_error_in_a_batch_comes_after_it(thread: LoopThread[None]) -> None:
    receiving = received(thread, Ahead([[0], [1]], LookupError("gone")))
    got: list[int] = []
    with pytest.raises(LookupError, match="gone"):
        got.extend(each(receiving))
    assert got == [0, 1]


def test_cancelling_drops_what_was_fetched(thread: LoopThread[None]) -> None:
    receiving = received(thread, Ahead([[0, 1], [2]]))
    assert receiving.take() == 0
    receiving.cancel()
    thread.run(idle)
    for _ in range(2):
        with pytest.raises(RpcError, match="the call was cancelled"):
            receiving.take()


def test_cancelled_before_it_began(thread: LoopThread[None]) -> None:
    busy, go = threading.Event(), threading.Event()

    def keep_busy() -> None:
        busy.set()
        assert go.wait(SECONDS)

    thread.call_soon(keep_busy)
    assert busy.wait(SECONDS)
    receiving = received(thread, Ahead([[0]]))
    receiving.cancel()
    go.set()
    with pytest.raises(RpcError, match="the call was cancelled"):
        receiving.wait_begun()


def test_a_stream_of_a_handler_ends_with_its_call(thread: LoopThread[None]) -> None:
    context = CallContext(
        method="test.Service/method",
        caller=Identity(mechanism=Mechanism.NTLM),
        protection=Protection.SIGN,
        metadata=(),
        deadline=None,
        time=lambda: 0.0,
    )
    token = CURRENT.set(context)
    try:
        ended = received(thread, Ahead([], StopAsyncIteration()))
        assert list(each(ended)) == []
        receiving = received(thread, Ahead([[0]]))
    finally:
        CURRENT.reset(token)
    assert receiving.take() == 0
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(receiving.take)
        context.note_cancelled(CancellationCause.CALLER)
        error = waiting.exception(SECONDS)
    assert isinstance(error, RpcError)
