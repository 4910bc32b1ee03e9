"""Deadlines of many calls under one timer.

A timer, or a cancel scope, for each call costs more than the call.  Here a call with
a deadline costs a push on a heap, and one that ends in time costs nothing more: its
entry is dropped when it comes up, or when most of the heap is such entries.
"""

from heapq import heapify, heappop, heappush
from typing import Final

__all__ = ["Deadlines"]

_SMALL: Final = 64


class Deadlines:
    """Which of a connection's calls end when.  Without I/O and without a clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._live: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._live)

    def add(self, call_id: int, when: float) -> None:
        """Note that a call ends at `when`, in seconds of the caller's clock."""
        self._live[call_id] = when
        heappush(self._heap, (when, call_id))

    def discard(self, call_id: int) -> None:
        """Forget a call.  Unknown ids are ignored."""
        live = self._live
        if live.pop(call_id, None) is None:
            return
        if len(self._heap) > _SMALL + 2 * len(live):
            self._heap = [(when, key) for key, when in live.items()]
            heapify(self._heap)

    def next_timeout(self) -> float | None:
        """Return when the next call ends, or None."""
        heap, live = self._heap, self._live
        while heap:
            when, call_id = heap[0]
            if live.get(call_id) == when:
                return when
            heappop(heap)
        return None

    def expired(self, now: float) -> list[int]:
        """Take out and return the calls whose time is over, the oldest first."""
        over: list[int] = []
        while (when := self.next_timeout()) is not None and when <= now:
            call_id = heappop(self._heap)[1]
            del self._live[call_id]
            over.append(call_id)
        return over
