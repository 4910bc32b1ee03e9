"""What the hot path needs of an event loop, for asyncio; trio's is `_loops_trio`.

The public API is anyio.  A call's way through the library is not: an anyio Event,
Lock or fail_after per call costs more than everything else the call does.  So the
few primitives it needs (a future, a timer, "once in the next turn", a task with its
own contextvars) are taken from the running backend directly, behind one interface.

A `Loop` owns the tasks spawned on it: they end when its `async with` block does.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import Context
from types import TracebackType
from typing import Any, Protocol, TypeVar, cast

import anyio

__all__ = [
    "Loop",
    "Task",
    "Timer",
    "Waiter",
    "cancellation",
    "on_trio",
    "open_loop",
    "thread_id",
]

T = TypeVar("T")


class Timer(Protocol):
    """A callback that will run at a time, unless it is cancelled."""

    def cancel(self) -> None:
        """Do not run it.  Harmless when it has run."""
        ...


class Waiter(Protocol[T]):
    """A result that one task waits for.  Await it once."""

    def __await__(self) -> Generator[Any, Any, T]: ...

    def set_result(self, result: T, /) -> None:
        """Wake the task with a result."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """Wake the task with an error."""
        ...

    def done(self) -> bool:
        """True once it has a result or an error, or its task was cancelled."""
        ...


class Task(Protocol):
    """A spawned task."""

    def cancel(self) -> object:
        """Cancel it: its next await raises the backend's cancellation."""
        ...


class Loop(Protocol):
    """An event loop as the hot path sees it."""

    def time(self) -> float:
        """The monotonic clock of `call_at`, in seconds."""
        ...

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Run `callback` once in the loop's next turn."""
        ...

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> object:
        """Run `callback` soon; from another thread too, or from a finaliser.

        Raises:
            RuntimeError: The loop is closed.
        """
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` at `when`."""
        ...

    def waiter(self) -> Waiter[Any]:
        """Make a waiter."""
        ...

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], context: Context | None = None
    ) -> Task:
        """Run a coroutine as a task, in a context of its own.

        The coroutine handles its own exceptions: one that escapes is a bug and takes
        the loop's owner down.
        """
        ...

    def start(self, coroutine: Coroutine[Any, Any, None], context: Context) -> Task:
        """Run a coroutine as a task that its owner sees to: for one task per call.

        The owner keeps the task until it has ended, or hands it over to `keep`.
        """
        ...

    def keep(self, task: Task) -> None:
        """See to a task that its owner has cancelled and forgets."""
        ...

    def in_thread(self) -> AbstractContextManager[None]:
        """Give a context in which the running task waits for what cannot be cancelled.

        The end of the loop's block waits for it too, and cancels the task afterwards.
        """
        ...


class AsyncioLoop:
    """`Loop` over asyncio, uvloop included."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_thread: set[asyncio.Task[Any]] = set()
        self._leaving = False
        self._failure: BaseException | None = None
        self._owner = asyncio.current_task()
        self.time = loop.time
        self.call_soon = loop.call_soon
        self.call_soon_threadsafe = loop.call_soon_threadsafe
        self.call_at = loop.call_at
        self.waiter: Callable[[], asyncio.Future[Any]] = loop.create_future

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], context: Context | None = None
    ) -> asyncio.Task[None]:
        """Run a coroutine as a task."""
        task = self._loop.create_task(coroutine, context=context)
        self.keep(task)
        return task

    def start(
        self, coroutine: Coroutine[Any, Any, None], context: Context
    ) -> asyncio.Task[None]:
        """Run a coroutine as a task that its owner sees to."""
        # No callback for its end, which would cost the loop a turn; and a name that
        # nobody has to make up.
        return self._loop.create_task(coroutine, name="call", context=context)

    def keep(self, task: Task) -> None:
        """See to a task that its owner has cancelled and forgets."""
        made = cast("asyncio.Task[None]", task)
        if made not in self._tasks:
            self._tasks.add(made)
            made.add_done_callback(self._ended)

    @contextmanager
    def in_thread(self) -> Generator[None]:
        """Have the running task be cancelled only afterwards."""
        task = asyncio.current_task()
        assert task is not None
        self._in_thread.add(task)
        try:
            yield
        finally:
            self._in_thread.discard(task)
            if self._leaving:
                task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self._failure is None:
            self._failure = error
            if self._owner is not None:
                self._owner.cancel()

    async def __aenter__(self) -> "AsyncioLoop":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        owner, self._owner = self._owner, None  # not to be cancelled any more
        if self._failure is not None and owner is not None:
            owner.uncancel()
        with anyio.CancelScope(shield=True):
            # A task that is cancelled before it has begun cannot clean up.
            await asyncio.sleep(0)
            self._leaving = True
            while tasks := list(self._tasks):
                for task in tasks:
                    # Its thread cannot be cancelled, and nobody would wait for it.
                    if task not in self._in_thread:
                        task.cancel()
                await asyncio.wait(tasks)
        if self._failure is not None:
            raise self._failure


def on_trio() -> bool:
    """Return whether the running event loop is trio's."""
    # Not imported yet means not running; importing it here would demand it.
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_run()


def cancellation() -> type[BaseException]:
    """Return what the running event loop cancels its tasks with."""
    return sys.modules["trio"].Cancelled if on_trio() else asyncio.CancelledError


def thread_id() -> int:
    """Return which thread this is: a loop's own, or one of its worker threads."""
    return threading.get_ident()


@asynccontextmanager
async def open_loop() -> AsyncGenerator[Loop]:
    """Give the running backend's `Loop`; at the end its tasks are cancelled."""
    if on_trio():
        from ._loops_trio import TrioLoop

        async with TrioLoop() as trio_loop:
            yield trio_loop
    else:
        async with AsyncioLoop() as asyncio_loop:
            yield asyncio_loop
