"""An event loop that is the test's: tasks run when it says, and it sees who waits."""

from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from typing import Any, TypeVar

from signetrpc.transport._loops import Task, Timer

__all__ = ["StepLoop", "StepTask", "StepWaiter", "Stopped", "finished"]

T = TypeVar("T")


class Stopped(CancelledError):
    """What a task is cancelled with."""


class StepWaiter:
    """A result that one task waits for."""

    def __init__(self) -> None:
        self._done = False
        self._result: Any = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        """True once there is an outcome."""
        return self._done

    def set_result(self, result: Any, /) -> None:
        """Note a result."""
        assert not self._done
        self._done, self._result = True, result

    def set_exception(self, error: BaseException, /) -> None:
        """Note an error."""
        assert not self._done
        self._done, self._error = True, error

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            while not self._done:
                yield self
        except BaseException:
            self._done = True  # its task was cancelled
            raise
        if self._error is not None:
            raise self._error
        return self._result


class StepTask:
    """A coroutine that is run step by step."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], context: Context | None = None
    ) -> None:
        self._coroutine = coroutine
        self._context = Context() if context is None else context
        self._waits: StepWaiter | None = None
        self._cancelled = False
        self.over = False

    @property
    def ready(self) -> bool:
        """True if a step would get it on."""
        return not self.over and (
            self._cancelled or self._waits is None or self._waits.done()
        )

    def cancel(self) -> None:
        """Let its next step be the last."""
        self._cancelled = True

    def step(self) -> None:
        """Run it until it waits."""
        cancelled, self._cancelled = self._cancelled, False
        resume = self._coroutine.throw if cancelled else self._coroutine.send
        try:
            self._waits = self._context.run(resume, Stopped() if cancelled else None)  # type: ignore[arg-type]  # pyright: ignore
        except (StopIteration, Stopped):
            self.over = True


class _Never:
    """A timer that does not come up."""

    def cancel(self) -> None:
        """Do nothing, once more."""


class StepLoop:
    """Runs nothing by itself; its clock stands still."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.tasks: list[StepTask] = []

    def time(self) -> float:
        """Always the same."""
        return 1000.0

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Note it for the next turn."""
        self.soon.append(callback)

    call_soon_threadsafe = call_soon

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Never comes: time stands still."""
        return _Never()

    def waiter(self) -> StepWaiter:
        """Make a waiter."""
        return StepWaiter()

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], context: Context | None = None
    ) -> StepTask:
        """Note a task."""
        task = StepTask(coroutine, context)
        self.tasks.append(task)
        return task

    start = spawn

    def keep(self, task: Task) -> None:
        """Nothing is to be done: it is noted."""

    def in_thread(self) -> AbstractContextManager[None]:
        """Nothing is to be done: there is no end to wait."""
        return nullcontext()

    def run(self) -> None:
        """Run all that can run, until everybody waits."""
        turns = 0
        while self.soon or any(task.ready for task in self.tasks):
            turns += 1
            assert turns < 100_000, "this never ends"
            self.turn()

    def turn(self) -> None:
        """Run what can run now, each once."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()
        for task in [task for task in self.tasks if task.ready]:
            task.step()
        self.tasks = [task for task in self.tasks if not task.over]


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")
