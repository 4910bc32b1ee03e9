"""What may wait for a KDC or a name service, in worker threads and bounded.

Such a step must not run on the event loop; and whoever waits for it may have to give
up, so its thread can outlast the handshake.  Such a thread counts until it ends: else
peers that are given up could have any number of them.  (anyio under asyncio counts a
thread only as long as somebody waits for it.)
"""

import asyncio
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar, cast

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from ._loops import on_trio

__all__ = ["StepThreads", "run_step"]

_STEP_THREADS: Final = 32
"""Steps at once, per event loop."""

A = TypeVar("A")
R = TypeVar("R")


def _soon_from_thread() -> Callable[[Callable[[], object]], object]:
    """Return what runs a callback on this event loop, for threads to call."""
    if on_trio():
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon
    return asyncio.get_running_loop().call_soon_threadsafe


class _Turn:
    """A place among the threads, given back exactly once."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._soon = _soon_from_thread()
        self._lock = threading.Lock()
        self._begun = False
        self._dropped = False

    def run(self, step: Callable[[A], R], argument: A) -> R:
        """Take the step, in the thread."""
        with self._lock:
            if self._dropped:
                # Nobody waits for it, and nobody has seen it begin.
                return cast("R", None)
            self._begun = True
        try:
            return step(argument)
        finally:
            with suppress(RuntimeError):  # there is no event loop any more
                self._soon(self._give_back)

    def drop(self) -> None:
        """Give the place back, unless the thread has begun and will."""
        with self._lock:
            if self._begun or self._dropped:
                return
            self._dropped = True
        self._give_back()


class StepThreads:
    """So many threads at once for steps, on one event loop."""

    def __init__(self, limit: int) -> None:
        self._limiter = anyio.CapacityLimiter(limit)
        self._counted = anyio.CapacityLimiter(math.inf)

    async def run(self, step: Callable[[A], R], argument: A) -> R:
        """Run `step(argument)` in a thread and return what it returns.

        Cancelling leaves the thread behind, which counts against the limit until it
        ends.
        """
        borrower = object()
        await self._limiter.acquire_on_behalf_of(borrower)
        turn = _Turn(partial(self._limiter.release_on_behalf_of, borrower))
        try:
            return await anyio.to_thread.run_sync(
                turn.run, step, argument, abandon_on_cancel=True, limiter=self._counted
            )
        finally:
            turn.drop()


_threads: RunVar[StepThreads] = RunVar("signetrpc_step_threads")


async def run_step(
    step: Callable[[bytes | None], bytes | None], token: bytes | None
) -> bytes | None:
    """Take a step of a security context in one of the event loop's step threads."""
    try:
        threads = _threads.get()
    except LookupError:
        threads = StepThreads(_STEP_THREADS)
        _threads.set(threads)
    return await threads.run(step, token)
