"""What is trio's own: parked tasks, and a heap of timers that stays small."""

from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from signetrpc.transport._loops_trio import TrioLoop, TrioWaiter

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["trio"]),
]


async def test_a_waiter_needs_no_turn_of_the_loop_if_it_has_its_result() -> None:
    waiter = TrioWaiter()
    waiter.set_result("at once")
    with trio.CancelScope() as scope:
        scope.cancel()
        assert await waiter == "at once"


async def test_a_result_after_the_cancellation_wakes_nobody() -> None:
    waiter = TrioWaiter()
    with trio.move_on_after(0):
        await waiter
    assert waiter.done()
    waiter.set_result("too late")


async def test_waking_and_cancelling_in_one_turn_gives_the_result() -> None:
    waiter = TrioWaiter()
    got: list[Any] = []

    async def wait(scope: trio.CancelScope) -> None:
        with scope:
            got.append(await waiter)

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, scope)
        await trio.testing.wait_all_tasks_blocked()
        waiter.set_result(1)
        scope.cancel()
    assert got == [1]


async def test_cancelled_timers_do_not_pile_up() -> None:
    async with TrioLoop() as loop:
        far = trio.current_time() + 1e9
        for number in range(10_000):
            loop.call_at(far - number, lambda: None).cancel()
        assert len(loop._timers) < 200  # pyright: ignore[reportPrivateUsage]


async def test_live_timers_outlast_the_clearing() -> None:
    ran: list[int] = []
    done = trio.Event()
    async with TrioLoop() as loop:
        now = trio.current_time()
        for number in range(50):
            loop.call_at(now + 0.001, partial(ran.append, number))
        for _ in range(500):
            loop.call_at(now + 0.0005, lambda: ran.append(-1)).cancel()
        loop.call_at(now + 0.002, done.set)
        with trio.fail_after(5):
            await done.wait()
        for _ in range(500):
            loop.call_at(now + 1000, done.set).cancel()
        assert len(loop._timers) < 200  # pyright: ignore[reportPrivateUsage]
    assert ran == list(range(50))


async def test_cancelled_timers_that_come_up_are_no_longer_counted() -> None:
    ran: list[int] = []
    async with TrioLoop() as loop:
        for _ in range(100):
            done = trio.Event()
            now = trio.current_time()
            loop.call_at(now, lambda: ran.append(1)).cancel()
            loop.call_at(now, done.set)
            await done.wait()
        assert loop._cancelled_timers == 0  # pyright: ignore[reportPrivateUsage]
    assert ran == []


async def test_several_failures_come_out_as_a_group() -> None:
    async def fail(text: str) -> None:
        raise ValueError(text)

    with pytest.raises(ExceptionGroup) as caught:
        async with TrioLoop() as loop:
            loop.spawn(fail("one"))
            loop.spawn(fail("two"))
            await trio.sleep_forever()
    texts = sorted(str(error) for error in caught.value.exceptions)
    assert texts == ["one", "two"]


async def test_an_error_of_the_body_and_one_of_a_task_come_out_together() -> None:
    async def fail() -> None:
        raise ValueError("task")

    with pytest.raises(ExceptionGroup):
        async with TrioLoop() as loop:
            loop.spawn(fail())
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("body")
