"""Items as handlers see them, in tasks and in threads; items that are raised."""

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from signetrpc.rpc import Protection, RpcError, StatusCode, raised
from signetrpc.rpc._flow import STREAM_WINDOW
from signetrpc.rpc._inbox import Inbox
from signetrpc.rpc._items import (
    AsyncItems,
    FetchedItems,
    ThreadItems,
    from_thread,
    lowered,
)
from signetrpc.transport._loops import open_loop
from tests.support.stepping import StepLoop, finished
from tests.support.turns import settle

GONE = RpcError(StatusCode.UNAVAILABLE, "gone")


def refuse(body: bytes) -> int:
    if not body.isdigit():
        raise RpcError(StatusCode.INVALID_ARGUMENT, "no number")
    return int(body)


class Counted(Inbox):
    """An inbox that counts how often it is asked."""

    asked = 0

    async def take(self) -> bytes:
        """As any inbox."""
        self.asked += 1
        return await super().take()


def ignored(credit: int) -> None:
    """Be where no credit is wanted."""


# In tasks.


def test_items_are_decoded_as_they_are_taken() -> None:
    inbox = Inbox(StepLoop(), ignored, 100, "item")
    items = AsyncItems(inbox, refuse)
    inbox.add(b"1", False)
    inbox.add(b"x", False)
    inbox.add(b"3", False)
    inbox.finish()
    assert aiter(items) is items
    assert finished(anext(items)) == 1  # pyright: ignore
    with pytest.raises(RpcError, match="no number"):
        finished(anext(items))  # pyright: ignore
    assert finished(anext(items)) == 3  # pyright: ignore
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            finished(anext(items))  # pyright: ignore


# In threads.


@pytest.mark.anyio
async def test_a_thread_fetches_all_that_is_there_at_once() -> None:
    async with open_loop() as loop:
        inbox = Counted(loop, ignored, 100, "item")
        for number in range(100):
            inbox.add(str(number).encode(), False)
        inbox.finish()
        items = ThreadItems(inbox, int)
        assert await anyio.to_thread.run_sync(list, items) == list(range(100))
        assert inbox.asked <= 101
        assert await anyio.to_thread.run_sync(list, items) == []


@pytest.mark.anyio
async def test_a_thread_waits_for_items() -> None:
    async with open_loop() as loop:
        inbox = Inbox(loop, ignored, 100, "item")
        got: list[int] = []

        def take() -> None:
            for each in ThreadItems(inbox, int):
                got.append(each)

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, take)
            for number in range(3):
                inbox.add(str(number).encode(), False)
                with anyio.fail_after(10):
                    while len(got) <= number:
                        await anyio.sleep(0)
            inbox.finish()
        assert got == [0, 1, 2]


@pytest.mark.anyio
async def test_a_thread_learns_how_the_call_ended() -> None:
    async with open_loop() as loop:
        inbox = Inbox(loop, ignored, 100, "item")
        inbox.add(b"1", False)
        inbox.cut(lambda: GONE)

        def take() -> list[Any]:
            got: list[Any] = []
            for _ in range(3):
                try:
                    got.append(next(items))
                except RpcError as error:
                    got.append(error.message)
            return got

        items = ThreadItems(inbox, int)
        assert await anyio.to_thread.run_sync(take) == [1, "gone", "gone"]


@pytest.mark.anyio
async def test_what_a_thread_has_fetched_makes_room() -> None:
    async with open_loop() as loop:
        credits: list[int] = []
        inbox = Inbox(loop, credits.append, 1 << 20, "item")
        for _ in range(4):
            inbox.add(bytes(STREAM_WINDOW // 4 - 32), False)
        items = ThreadItems(inbox, len)
        await anyio.to_thread.run_sync(next, items)
        assert sum(credits) == STREAM_WINDOW


@pytest.mark.anyio
async def test_another_iterators_items_come_one_by_one() -> None:
    given: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            given.append(number)
            yield number

    def take() -> int:
        return next(items)

    items = FetchedItems(numbers())
    assert await anyio.to_thread.run_sync(take) == 0
    assert given == [0]
    assert await anyio.to_thread.run_sync(list, items) == [1, 2]


@pytest.mark.anyio
async def test_an_iterator_is_advanced_and_closed_in_threads() -> None:
    threads: set[int] = set()
    closed: list[int] = []

    def numbers() -> Iterator[int]:
        try:
            for number in range(3):
                threads.add(threading.get_ident())
                yield number
        finally:
            closed.append(threading.get_ident())

    given = from_thread(numbers(), anyio.to_thread.run_sync)
    assert [each async for each in given] == [0, 1, 2]
    assert threading.get_ident() not in {*threads, *closed} and len(closed) == 1
    plain = from_thread(iter([1, 2]), anyio.to_thread.run_sync)
    assert [each async for each in plain] == [1, 2]
    await settle()


# Raised.


def test_an_item_is_raised_and_lowered_again() -> None:
    item = object()
    wrapped = raised(item, Protection.SEAL)
    assert wrapped is not item
    assert lowered(wrapped) == (item, Protection.SEAL)
    assert lowered(item) == (item, None)


@pytest.mark.parametrize("first", Protection)
@pytest.mark.parametrize("second", Protection)
def test_what_is_raised_twice_has_the_higher_level(
    first: Protection, second: Protection
) -> None:
    assert lowered(raised(raised("a", first), second)) == ("a", max(first, second))
