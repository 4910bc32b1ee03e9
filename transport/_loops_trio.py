"""`Loop` over trio: parked tasks instead of futures, two service tasks per loop.

Imported only where trio runs.  `trio.lowlevel.wait_task_rescheduled` is trio's own
building block for this: a waiter costs a park and a reschedule, nothing more.
"""

import heapq
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from itertools import count
from math import inf
from types import TracebackType
from typing import Any, Final

import trio
from outcome import Error, Outcome, Value

from ._loops import Task

__all__ = ["TrioLoop", "TrioWaiter"]

_FEW_TIMERS: Final = 64
"""So many cancelled timers may wait for their time whatever else does."""


class TrioWaiter:
    """A result that one trio task waits for."""

    __slots__ = ("_cancelled", "_outcome", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._outcome: Outcome[Any] | None = None
        self._cancelled = False

    def done(self) -> bool:
        """True once there is an outcome or the waiting task was cancelled."""
        return self._outcome is not None or self._cancelled

    def set_result(self, result: Any, /) -> None:
        """Wake the task with a result."""
        self._set(Value(result))

    def set_exception(self, error: BaseException, /) -> None:
        """Wake the task with an error."""
        self._set(Error(error))

    def _set(self, outcome: Outcome[Any]) -> None:
        self._outcome = outcome
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def _abort(self, raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        self._task = None
        self._cancelled = True
        return trio.lowlevel.Abort.SUCCEEDED

    def __await__(self) -> Generator[Any, Any, Any]:
        if self._outcome is None:
            self._task = trio.lowlevel.current_task()
            yield from trio.lowlevel.wait_task_rescheduled(self._abort).__await__()
        assert self._outcome is not None
        return self._outcome.unwrap()


class _TrioTimer:
    __slots__ = ("_loop", "callback")

    def __init__(self, loop: "TrioLoop", callback: Callable[[], None]) -> None:
        self._loop = loop
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = None
            self._loop.timer_cancelled()


class _TrioTask:
    __slots__ = ("_scope",)

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope

    def cancel(self) -> None:
        self._scope.cancel()


class TrioLoop:
    """`Loop` over trio.  Use as an async context manager."""

    def __init__(self) -> None:
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None
        self._soon: list[Callable[[], None]] = []
        self._soon_task: trio.lowlevel.Task | None = None
        self._timers: list[tuple[float, int, _TrioTimer]] = []
        self._timer_ids = count()
        self._cancelled_timers = 0
        self._timer_scope: trio.CancelScope | None = None
        self._scopes: set[trio.CancelScope] = set()
        self._leaving = False
        # The clock's own: handlers ask for the time in threads too.
        self.time = trio.lowlevel.current_clock().current_time
        self.waiter = TrioWaiter
        self._token = trio.lowlevel.current_trio_token()

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """Run `callback` soon; from another thread too, or from a finaliser.

        Raises:
            RuntimeError: The loop is closed.
        """
        self._token.run_sync_soon(callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` once in the loop's next turn."""
        self._soon.append(callback)
        if self._soon_task is not None:
            trio.lowlevel.reschedule(self._soon_task)
            self._soon_task = None

    def call_at(self, when: float, callback: Callable[[], None]) -> _TrioTimer:
        """Run `callback` at `when`."""
        timer = _TrioTimer(self, callback)
        heapq.heappush(self._timers, (when, next(self._timer_ids), timer))
        if self._timer_scope is not None and when < self._timer_scope.deadline:
            self._timer_scope.deadline = when
        return timer

    def timer_cancelled(self) -> None:
        """Drop cancelled timers once they are most of all: their time may be far."""
        self._cancelled_timers += 1
        if self._cancelled_timers > _FEW_TIMERS + len(self._timers) // 2:
            self._timers[:] = [
                entry for entry in self._timers if entry[2].callback is not None
            ]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], context: Context | None = None
    ) -> _TrioTask:
        """Run a coroutine as a task."""
        assert self._nursery is not None
        # As under asyncio, what cancels the loop's owner reaches its tasks only when
        # the owner leaves the loop's block: until then it can see to them.
        scope = trio.CancelScope(shield=True)
        if self._leaving:
            scope.cancel()
        self._scopes.add(scope)
        start = self._nursery.start_soon
        if context is None:
            start(self._run_in, scope, coroutine)
        else:  # trio gives a task a copy of the context it is spawned in
            context.run(start, self._run_in, scope, coroutine)
        return _TrioTask(scope)

    start = spawn

    def keep(self, task: Task) -> None:
        """See to a task: its nursery does."""

    def in_thread(self) -> AbstractContextManager[None]:
        """Give nothing: trio waits for threads by itself."""
        return nullcontext()

    async def _run_in(
        self, scope: trio.CancelScope, coroutine: Coroutine[Any, Any, None]
    ) -> None:
        try:
            with scope:
                await coroutine
        finally:
            self._scopes.discard(scope)

    async def _serve_soon(self) -> None:
        def abort(raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            self._soon_task = None
            return trio.lowlevel.Abort.SUCCEEDED

        while True:
            if self._soon:
                await trio.lowlevel.checkpoint()
            else:
                self._soon_task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(abort)
            callbacks, self._soon = self._soon, []
            for callback in callbacks:
                callback()

    async def _serve_timers(self) -> None:
        timers = self._timers
        while True:
            deadline = timers[0][0] if timers else inf
            with trio.CancelScope(deadline=deadline) as scope:
                self._timer_scope = scope
                await trio.sleep_forever()
            self._timer_scope = None
            now = trio.current_time()
            while timers and timers[0][0] <= now:
                timer = heapq.heappop(timers)[2]
                callback, timer.callback = timer.callback, None
                if callback is None:
                    self._cancelled_timers -= 1
                else:
                    callback()

    async def __aenter__(self) -> "TrioLoop":
        self._nursery = await self._manager.__aenter__()
        self.spawn(self._serve_soon())
        self.spawn(self._serve_timers())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._nursery is not None
        self._leaving = True
        self._nursery.cancel_scope.cancel()
        for scope in list(self._scopes):
            scope.cancel()
        try:
            return await self._manager.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            # What is cancelled from outside as well is cancelled in each task.
            failures = [
                failure
                for failure in group.exceptions
                if not isinstance(failure, trio.Cancelled)
            ]
            if len(failures) != 1:
                raise
            (failure,) = failures
        # One failure leaves the block as itself, as it does under asyncio.
        if failure is error:
            return False
        raise failure
