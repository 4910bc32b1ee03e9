"""What threads put into a stream comes out on the loop."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from signetrpc.rpc._blocking_loop import LoopThread
from signetrpc.rpc._blocking_sending import Sending

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


def sized(size: int) -> Callable[[Any], int]:
    return lambda item: size


async def taken(sending: Sending[int]) -> list[int]:
    return [item async for item in sending]


def test_what_is_put_in_comes_out(thread: LoopThread[None]) -> None:
    sending = Sending[int](thread, sized(1))
    with ThreadPoolExecutor(1) as pool:
        iterating = pool.submit(thread.run, taken, sending)
        for number in range(1000):
            sending.put(number)
        sending.end()
        assert iterating.result(SECONDS) == list(range(1000))


@pytest.mark.parametrize(("size", "held"), [(1, 256), (1 << 12, 16), (1 << 20, 1)])
def test_senders_wait_where_much_waits(
    thread: LoopThread[None], size: int, held: int
) -> None:
    sending = Sending[int](thread, sized(size))
    for number in range(held):
        sending.put(number)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sending.put, held)
        # Its turn comes when the loop has taken what there is.
        first = thread.run(take_many, sending, held)
        assert waiting.result(SECONDS) is None
        sending.end()
        assert first + thread.run(taken, sending) == list(range(held + 1))


async def take_many(sending: Sending[int], count: int) -> list[int]:
    return [await anext(sending) for _ in range(count)]


def test_who_waits_to_send_is_woken_by_the_end(thread: LoopThread[None]) -> None:
    sending = Sending[int](thread, sized(1 << 20))
    sending.put(0)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(sending.put, number) for number in range(2)]
        sending.close(LookupError("over"))
        for each in waiting:
            assert isinstance(each.exception(SECONDS), LookupError)
    with pytest.raises(LookupError, match="over"):
        sending.put(1)
    sending.end()
    assert thread.run(taken, sending) == []


def test_a_source_that_fails_fails_the_iteration(thread: LoopThread[None]) -> None:
    sending = Sending[int](thread, sized(1))

    def source() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    sending.put_all(source())
    assert thread.run(anext_of, sending) == 1
    with pytest.raises(LookupError, match="no more"):
        thread.run(anext_of, sending)


async def anext_of(sending: Sending[int]) -> int:
    return await anext(sending)


def test_a_source_that_exits_does_not_look_like_the_end(
    thread: LoopThread[None],
) -> None:
    sending = Sending[int](thread, sized(1))

    def source() -> Iterator[int]:
        yield 1
        raise SystemExit

    with pytest.raises(SystemExit):
        sending.put_all(source())
    assert thread.run(anext_of, sending) == 1
    with pytest.raises(RuntimeError, match="the items ended with SystemExit"):
        thread.run(anext_of, sending)


def test_a_source_is_left_alone_when_the_call_is_over(
    thread: LoopThread[None],
) -> None:
    sending = Sending[int](thread, sized(1))
    asked: list[int] = []

    def source() -> Iterator[int]:
        for number in range(5):
            asked.append(number)
            yield number

    sending.close(LookupError("over"))
    sending.put_all(source())
    assert asked == [0]
