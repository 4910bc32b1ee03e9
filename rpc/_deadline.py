"""Deadlines of many calls under one timer.

A timer, or a cancel scope, for each call costs more than the call.  Here a call with
a deadline costs a push on a heap, and one that ends in time costs nothing more: its
entry is dropped when it comes up, or when most of the heap is such entries.
"""

from collections.abc import Collection
from heapq import heapify, heappop, heappush
from typing import Final

__all__ = ["Deadlines"]

_SMALL: Final = 64


class Deadlines:
    """Which of a connection's calls end when.  Without I/O and without a clock."""

    __slots__ = ("_calls", "_heap")

    def __init__(self, calls: Collection[int]) -> None:
        """Start with none.

        Args:
            calls: The numbers of the calls under way, as they come and go.  A number
                is used once.
        """
        self._calls = calls
        self._heap: list[tuple[float, int]] = []

    def add(self, call_id: int, when: float) -> None:
        """Note that a call ends at `when`, in seconds of the caller's clock."""
        heap = self._heap
        if len(heap) > _SMALL + 2 * len(self._calls):
            heap[:] = [entry for entry in heap if entry[1] in self._calls]
            heapify(heap)
        heappush(heap, (when, call_id))

    def next_timeout(self) -> float | None:
        """Return when the next call ends, or None."""
        heap, calls = self._heap, self._calls
        while heap:
            when, call_id = heap[0]
            if call_id in calls:
                return when
            heappop(heap)
        return None

    def expired(self, now: float) -> list[int]:
        """Take out and return the calls whose time is over, the oldest first."""
        over: list[int] = []
        while (when := self.next_timeout()) is not None and when <= now:
            over.append(heappop(self._heap)[1])
        return over
