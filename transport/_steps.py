"""Steps of security contexts, in worker threads and bounded.

A step may wait for a KDC, so it must not run on the event loop; and whoever waits for
it may have to give up, so its thread can outlast the handshake.  Such a thread counts
until it ends: else peers that are given up could have any number of them.  (anyio
under asyncio counts a thread only as long as somebody waits for it.)
"""

import asyncio
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from ._loops import on_trio

__all__ = ["run_step"]

_STEP_THREADS: Final = 32
"""Steps at once, per event loop."""

_limiters: RunVar[tuple[anyio.CapacityLimiter, anyio.CapacityLimiter]] = RunVar(
    "signetrpc_step_limiters"
)


def _step_limiters() -> tuple[anyio.CapacityLimiter, anyio.CapacityLimiter]:
    try:
        return _limiters.get()
    except LookupError:
        pair = (anyio.CapacityLimiter(_STEP_THREADS), anyio.CapacityLimiter(math.inf))
        _limiters.set(pair)
        return pair


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

    def run(
        self, step: Callable[[bytes | None], bytes | None], token: bytes | None
    ) -> bytes | None:
        """Take the step, in the thread."""
        with self._lock:
            if self._dropped:
                return None  # nobody waits for it, and nobody has seen it begin
            self._begun = True
        try:
            return step(token)
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


async def run_step(
    step: Callable[[bytes | None], bytes | None], token: bytes | None
) -> bytes | None:
    """Run `step(token)` in a thread and return what it returns.

    Cancelling leaves the thread behind, which counts against the limit until it ends.
    """
    limiter, counted = _step_limiters()
    borrower = object()
    await limiter.acquire_on_behalf_of(borrower)
    turn = _Turn(partial(limiter.release_on_behalf_of, borrower))
    try:
        return await anyio.to_thread.run_sync(
            turn.run, step, token, abandon_on_cancel=True, limiter=counted
        )
    finally:
        turn.drop()
