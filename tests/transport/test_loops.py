"""The loop of the running backend: what the hot path asks of it, on both."""

import asyncio
import threading
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from signetrpc.transport._loops import AsyncioLoop, Loop, open_loop
from tests.support.turns import settle

NAME: ContextVar[str] = ContextVar("name", default="nobody")


@pytest.mark.anyio
async def test_callbacks_run_in_the_next_turn_in_order() -> None:
    ran: list[int] = []
    async with open_loop() as loop:
        for number in range(3):
            loop.call_soon(partial(ran.append, number))
        assert ran == []
        await settle()
        assert ran == [0, 1, 2]
        loop.call_soon(lambda: ran.append(3))
        await settle()
        assert ran == [0, 1, 2, 3]


@pytest.mark.anyio
async def test_a_callback_may_ask_for_another() -> None:
    ran: list[str] = []
    async with open_loop() as loop:

        def first() -> None:
            ran.append("first")
            loop.call_soon(lambda: ran.append("second"))

        loop.call_soon(first)
        await settle()
    assert ran == ["first", "second"]


@pytest.mark.anyio
async def test_timers_run_in_the_order_of_their_times() -> None:
    ran: list[str] = []
    done = anyio.Event()
    async with open_loop() as loop:
        now = loop.time()
        loop.call_at(now + 0.002, lambda: ran.append("late"))
        loop.call_at(now + 0.003, done.set)
        loop.call_at(now - 1, lambda: ran.append("past"))
        loop.call_at(now + 0.001, lambda: ran.append("soon"))
        loop.call_at(now + 0.001, lambda: ran.append("soon too"))
        loop.call_at(now + 0.0015, lambda: ran.append("never")).cancel()
        with anyio.fail_after(5):
            await done.wait()
    assert ran == ["past", "soon", "soon too", "late"]


@pytest.mark.anyio
async def test_a_timer_set_by_another_is_kept() -> None:
    done = anyio.Event()
    async with open_loop() as loop:
        far = loop.call_at(loop.time() + 1000, done.set)
        await settle()

        def again() -> None:
            loop.call_at(loop.time(), done.set)

        loop.call_at(loop.time(), again)
        with anyio.fail_after(5):
            await done.wait()
        far.cancel()
        far.cancel()


@pytest.mark.anyio
async def test_a_timer_that_has_run_can_be_cancelled() -> None:
    done = anyio.Event()
    async with open_loop() as loop:
        timer = loop.call_at(loop.time(), done.set)
        with anyio.fail_after(5):
            await done.wait()
        timer.cancel()


@pytest.mark.anyio
async def test_a_waiter_gives_its_result_before_and_after() -> None:
    async with open_loop() as loop:
        early = loop.waiter()
        early.set_result(1)
        assert early.done()
        assert await early == 1

        late = loop.waiter()
        loop.call_soon(lambda: late.set_result(2))
        assert not late.done()
        assert await late == 2
        assert late.done()


@pytest.mark.anyio
async def test_a_waiter_raises_its_error_before_and_after() -> None:
    async with open_loop() as loop:
        early = loop.waiter()
        early.set_exception(KeyError("early"))
        with pytest.raises(KeyError, match="early"):
            await early

        late = loop.waiter()
        loop.call_soon(lambda: late.set_exception(KeyError("late")))
        with pytest.raises(KeyError, match="late"):
            await late


@pytest.mark.anyio
async def test_a_waiter_of_a_cancelled_task_is_done() -> None:
    async with open_loop() as loop:
        waiter = loop.waiter()
        with anyio.CancelScope() as scope:
            loop.call_soon(scope.cancel)
            await waiter
        assert scope.cancelled_caught
        assert waiter.done()


@pytest.mark.anyio
async def test_tasks_run_in_the_context_given() -> None:
    seen: list[str] = []

    async def note() -> None:
        seen.append(NAME.get())
        NAME.set("changed")

    async with open_loop() as loop:
        NAME.set("owner")
        context = copy_context()
        context.run(NAME.set, "guest")
        loop.spawn(note(), context)
        loop.spawn(note())
        await settle()
    assert sorted(seen) == ["guest", "owner"]
    assert NAME.get() == "owner"


@pytest.mark.anyio
async def test_a_task_that_its_owner_sees_to_runs_and_can_be_handed_over() -> None:
    seen: list[str] = []

    async def note() -> None:
        seen.append(NAME.get())

    async def linger() -> None:
        try:
            try:
                await anyio.sleep_forever()
            finally:
                await anyio.sleep_forever()
        finally:
            seen.append("ended")

    async with open_loop() as loop:
        context = copy_context()
        context.run(NAME.set, "guest")
        loop.start(note(), context)
        task = loop.start(linger(), copy_context())
        await settle()
        assert seen == ["guest"]
        task.cancel()
        loop.keep(task)
        loop.keep(task)
        await settle()
    assert seen == ["guest", "ended"]


@pytest.mark.anyio
async def test_a_task_can_be_cancelled_alone() -> None:
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(name)

    async with open_loop() as loop:
        one = loop.spawn(wait("one"))
        loop.spawn(wait("two"))
        await settle()
        one.cancel()
        await settle()
        assert ended == ["one"]
        one.cancel()
    assert ended == ["one", "two"]


@pytest.mark.anyio
async def test_the_end_waits_for_what_tasks_do_when_cancelled() -> None:
    ended: list[str] = []

    async def cleaning() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            ended.append("cleaned")

    async with open_loop() as loop:
        loop.spawn(cleaning())
        await settle()
    assert ended == ["cleaned"]


@pytest.mark.anyio
async def test_the_end_waits_for_threads_and_cancels_their_tasks_then() -> None:
    begun, go = threading.Event(), threading.Event()
    ended: list[str] = []

    def work() -> None:
        begun.set()
        go.wait(10)
        ended.append("thread")

    async def waiting(loop: Loop) -> None:
        with loop.in_thread():
            await anyio.to_thread.run_sync(work)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("task")

    async def let_go() -> None:
        await settle()
        assert not ended
        go.set()

    async with anyio.create_task_group() as group:
        async with open_loop() as loop:
            loop.spawn(waiting(loop))
            await anyio.to_thread.run_sync(begun.wait)
            group.start_soon(let_go)
        assert ended == ["thread", "task"]


@pytest.mark.anyio
async def test_tasks_that_ending_tasks_spawn_are_ended_too() -> None:
    ended: list[str] = []

    async def heir() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("heir")

    async def parent(loop: Loop) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            loop.spawn(heir())
            with anyio.CancelScope(shield=True):
                await settle()

    async with open_loop() as loop:
        loop.spawn(parent(loop))
        await settle()
    assert ended == ["heir"]


async def fail(error: BaseException) -> None:
    await anyio.lowlevel.checkpoint()
    raise error


@pytest.mark.anyio
async def test_an_error_of_the_body_comes_out_as_itself_with_its_cause() -> None:
    cause = KeyError("cause")
    try:
        raise ValueError("body") from cause
    except ValueError as error:
        body = error
    with pytest.raises(ValueError) as caught:
        async with open_loop() as loop:
            loop.spawn(anyio.sleep_forever())
            raise body
    assert caught.value is body
    assert body.__cause__ is cause


@pytest.mark.anyio
async def test_an_error_of_the_body_comes_out_of_a_cancelled_scope_too() -> None:
    with pytest.raises(ValueError, match="body"):
        with anyio.CancelScope() as scope:
            async with open_loop():
                scope.cancel()
                raise ValueError("body")


@pytest.mark.anyio
async def test_a_group_raised_by_the_body_is_left_whole() -> None:
    group = ExceptionGroup("body", [ValueError("one")])
    with pytest.raises(ExceptionGroup) as caught:
        async with open_loop():
            raise group
    # trio rebuilds groups that pass a cancel scope.
    assert caught.value.message == group.message
    assert caught.value.exceptions == group.exceptions


@pytest.mark.anyio
async def test_cancelling_the_body_ends_it() -> None:
    with anyio.CancelScope() as scope:
        async with open_loop() as loop:
            loop.spawn(anyio.sleep_forever())
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


@pytest.mark.anyio
async def test_an_error_of_a_task_takes_the_body_down() -> None:
    error = ValueError("task")
    with pytest.raises(ValueError) as caught:
        async with open_loop() as loop:
            loop.spawn(fail(error))
            await anyio.sleep_forever()
    assert caught.value is error
    await anyio.lowlevel.checkpoint()  # and nothing of the cancellation is left


@pytest.mark.anyio
async def test_an_error_of_a_task_keeps_its_cause() -> None:
    cause = KeyError("cause")

    async def fail() -> None:
        raise ValueError("task") from cause

    with pytest.raises(ValueError) as caught:
        async with open_loop() as loop:
            loop.spawn(fail())
            await anyio.sleep_forever()
    assert caught.value.__cause__ is cause


@pytest.mark.anyio
async def test_an_error_of_a_task_comes_out_of_a_body_that_hides_its_end() -> None:
    with pytest.raises(ValueError, match="task"):
        async with open_loop() as loop:
            loop.spawn(fail(ValueError("task")))
            with suppress(BaseException):
                await anyio.sleep_forever()


@pytest.mark.anyio
async def test_an_error_of_a_task_that_is_ending_comes_out() -> None:
    async def ending() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("ending")

    with pytest.raises(ValueError, match="ending"):
        async with open_loop() as loop:
            loop.spawn(ending())
            await settle()
    await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_two_errors_of_tasks_leave_the_owner_as_it_was(
    anyio_backend_name: str,
) -> None:
    with pytest.raises((ValueError, ExceptionGroup)):
        async with open_loop() as loop:
            loop.spawn(fail(ValueError("one")))
            loop.spawn(fail(ValueError("two")))
            await anyio.sleep_forever()
    await anyio.lowlevel.checkpoint()
    if anyio_backend_name == "asyncio":
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None and not task.cancelling()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_asyncio_loop_is_its_own_context_manager() -> None:
    async with AsyncioLoop() as loop:
        assert isinstance(loop.waiter(), asyncio.Future)


@pytest.mark.anyio
async def test_what_cancels_the_owner_reaches_tasks_when_the_block_ends() -> None:
    seen: list[str] = []

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            seen.append("task")

    with anyio.CancelScope() as scope:
        async with open_loop() as loop:
            try:
                loop.spawn(wait())
                await settle()
                scope.cancel()
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await settle()
                seen.append("owner")
    assert seen == ["owner", "task"]
