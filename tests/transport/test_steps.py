"""Steps in threads: bounded, and counted until they end, whoever has given up."""

import threading
from collections.abc import Generator

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import RunVar

from signetrpc.transport import _steps
from signetrpc.transport._steps import run_step
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


class Steps:
    """Steps that wait for the test."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = 0
        self.ended = 0

    def step(self, token: bytes | None) -> bytes | None:
        self.begun += 1
        assert self.go.wait(60)
        self.ended += 1
        return token


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Generator[Steps]:
    monkeypatch.setattr(_steps, "_STEP_THREADS", 2)
    fresh: RunVar[_steps.StepThreads] = RunVar("fresh")
    monkeypatch.setattr(_steps, "_threads", fresh)
    held = Steps()
    yield held
    held.go.set()


async def until(steps: Steps, *, begun: int = 0, ended: int = 0) -> None:
    with anyio.fail_after(10):
        while steps.begun < begun or steps.ended < ended:
            await anyio.sleep(0)


async def test_a_step_returns_what_it_returns(steps: Steps) -> None:
    steps.go.set()
    for _ in range(5):
        assert await run_step(steps.step, b"token") == b"token"
        assert await run_step(steps.step, None) is None


async def test_a_step_raises_what_it_raises(steps: Steps) -> None:
    def fail(token: bytes | None) -> bytes | None:
        raise KeyError("of a library")

    for _ in range(5):  # more than there are places
        with pytest.raises(KeyError):
            await run_step(fail, None)


async def test_no_more_run_at_once_than_allowed(steps: Steps) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(run_step, steps.step, None)
        await until(steps, begun=2)
        await settle()
        assert steps.begun == 2
        steps.go.set()
    assert steps.begun == steps.ended == 5


async def test_a_step_left_behind_counts_until_it_ends(steps: Steps) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(run_step, steps.step, None)
        await until(steps, begun=2)
        group.cancel_scope.cancel()
    async with anyio.create_task_group() as group:
        group.start_soon(run_step, steps.step, None)
        await settle()
        assert steps.begun == 2
        steps.go.set()
    await until(steps, ended=3)  # the place of one of them was enough for the third
    assert steps.begun == steps.ended == 3


async def test_who_gives_up_waiting_for_a_place_takes_none(steps: Steps) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(run_step, steps.step, None)
        await until(steps, begun=2)
        async with anyio.create_task_group() as late:
            for _ in range(10):
                late.start_soon(run_step, steps.step, None)
            await settle()
            late.cancel_scope.cancel()
        steps.go.set()
    assert steps.begun == 2
    assert await run_step(steps.step, b"x") == b"x"


async def test_a_step_cancelled_before_its_thread_began_takes_no_place(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = None

    async def never(begins: object, *args: object, **_: object) -> None:
        nonlocal begin
        begin = begins
        await anyio.sleep_forever()

    with monkeypatch.context() as patch:
        patch.setattr(anyio.to_thread, "run_sync", never)
        for _ in range(3):
            async with anyio.create_task_group() as group:
                group.start_soon(run_step, steps.step, None)
                await settle()
                group.cancel_scope.cancel()
    assert callable(begin)
    assert begin(steps.step, b"late") is None  # the thread comes to it after all
    assert steps.begun == 0
    steps.go.set()
    assert await run_step(steps.step, b"x") == b"x"


async def test_a_step_may_outlast_its_event_loop(steps: Steps) -> None:
    given_back: list[bool] = []

    def no_loop(_: object) -> None:
        raise RuntimeError("Event loop is closed")

    turn = _steps._Turn(lambda: given_back.append(True))  # pyright: ignore[reportPrivateUsage]
    turn._soon = no_loop  # pyright: ignore[reportPrivateUsage]
    steps.go.set()
    assert turn.run(steps.step, b"x") == b"x"
    turn.drop()
    assert given_back == []
