"""The receiving half of a stream: messages wait here until somebody takes them.

What waits counts against the call's window, so its sender stops when nobody takes any.
A message can be longer than the window: when nothing else waits, its pieces are given
back as they come, and its own limit bounds it.
"""

from collections import deque
from collections.abc import Callable

from signetrpc.transport import BusyError, RemoteProtocolError
from signetrpc.transport._loops import Loop, Waiter

from ._assembly import Budget, check_size
from ._flow import ITEM_OVERHEAD, STREAM_WINDOW, ReceiveWindow

__all__ = ["Inbox"]


class Inbox:
    """Where one direction of a call has its messages."""

    __slots__ = (
        "_budget",
        "_early",
        "_end",
        "_gathered",
        "_give",
        "_items",
        "_limit",
        "_loop",
        "_owed",
        "_waiter",
        "_what",
        "_window",
    )

    def __init__(
        self,
        loop: Loop,
        give: Callable[[int], None],
        limit: int,
        what: str,
        budget: Budget | None = None,
    ) -> None:
        """Start empty.

        Args:
            loop: Where the consumer runs.
            give: Tells the peer of so many bytes of room.
            limit: Bytes one message may have.
            what: The word for a message in errors.
            budget: Of all calls together, for what is held beyond the window; None
                where the number of calls is this end's to choose.
        """
        self._loop = loop
        self._give = give
        self._limit = limit
        self._what = what
        self._window = ReceiveWindow(STREAM_WINDOW)
        # With each, the room that it gives back when it is taken.
        self._items: deque[tuple[bytes, int]] = deque()
        self._owed = 0
        self._budget = budget
        self._early = 0  # paid for the message that is gathered, or is the next
        self._gathered: bytearray | None = None
        self._end: Callable[[], Exception] | None = None
        self._waiter: Waiter[None] | None = None

    # The connection calls these.

    def add(self, body: bytes, more: bool, *, counted: bool = True) -> None:
        """Take an ITEM, or the REPLY that is a stream's one message.

        Args:
            body: All of it, or the beginning.
            more: True if parts follow.
            counted: Whether it needs credit.

        Raises:
            RemoteProtocolError: There was no credit for it, or it comes in the middle
                of another or after the end.
            RpcError: RESOURCE_EXHAUSTED: the message is too long.
        """
        if self._gathered is not None or self._end is not None:
            raise RemoteProtocolError("an item at the wrong moment")
        size = len(body) + ITEM_OVERHEAD if counted else 0
        if counted:
            self._window.arrived(size)
        check_size(len(body), self._limit, self._what)
        if more:
            self._gathered = bytearray(body)
            self._pay_early(size)
        else:
            self._items.append((body, size))
            self._wake()

    def put(self, body: bytes) -> bool:
        """Take an ITEM whole; False, and nothing done, if it is not to be taken.

        Raises:
            RemoteProtocolError: There was no credit for it.
        """
        size = len(body)
        if self._gathered is not None or self._end is not None or size > self._limit:
            return False
        size += ITEM_OVERHEAD
        self._window.arrived(size)
        self._items.append((body, size))
        if self._waiter is not None:
            self._wake()
        return True

    def add_part(self, chunk: bytes | memoryview, more: bool) -> None:
        """Take a PART of an item.

        Raises:
            RemoteProtocolError: There was no credit for it, or no item before it.
            RpcError: RESOURCE_EXHAUSTED: the message is too long.
        """
        gathered = self._gathered
        if gathered is None:
            raise RemoteProtocolError("a part of no item")
        self._window.arrived(len(chunk))
        gathered += chunk
        check_size(len(gathered), self._limit, self._what)
        self._pay_early(len(chunk))
        if not more:
            self._gathered = None
            self._items.append((bytes(gathered), self._owed))
            self._owed = 0
            self._wake()

    def _pay_early(self, size: int) -> None:
        self._owed += size
        if not self._items:
            if self._budget is not None:
                self._budget.take(self._owed)
                self._early += self._owed
            self._release(self._owed)
            self._owed = 0

    def _give_back(self) -> None:
        if self._budget is not None:
            self._budget.used -= self._early
            self._early = 0

    def finish(self, end: Callable[[], Exception] = StopAsyncIteration) -> None:
        """Let nothing more come; who takes gets what is here, and then `end`.

        Raises:
            RemoteProtocolError: The end comes in the middle of a message, or twice.
        """
        if self._gathered is not None or self._end is not None:
            raise RemoteProtocolError("the end of a stream at the wrong moment")
        self._end = end
        self._wake()

    def cut(self, error: Callable[[], Exception]) -> None:
        """Let it end where it is, in the middle of a message if need be."""
        if self._gathered is not None:
            self._give_back()
        self._gathered = None
        self._end = error
        self._wake()

    def fail(self, error: Callable[[], Exception]) -> None:
        """Drop what is here: who takes gets the error."""
        self._give_back()
        self._gathered = None
        self._items.clear()
        self._end = error
        self._wake()

    # The consumer calls these.

    async def take(self) -> bytes:
        """Return the next message.

        Raises:
            StopAsyncIteration: The stream has ended.
            Exception: What the call ended with.
        """
        items = self._items
        while not items:
            if self._end is not None:
                raise self._end()
            if self._waiter is not None:
                raise BusyError("another task reads this stream")
            self._waiter = self._loop.waiter()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.pop()

    def pop(self) -> bytes:
        """Return the next message, where one is `waiting`."""
        items = self._items
        body, size = items.popleft()
        if self._early:
            self._give_back()
        if not items and self._owed:
            size += self._owed
            if self._budget is not None:
                self._early = self._owed
                self._budget.used += self._owed
            self._owed = 0
        credit = self._window.released(size)
        if credit:
            self._give(credit)
        return body

    @property
    def waiting(self) -> bool:
        """True while there is a message to take."""
        return bool(self._items)

    def count(self, size: int) -> None:
        """Count bytes of the call's arguments, and give their room back at once.

        Their own limit bounds them.

        Raises:
            RemoteProtocolError: There was no credit for them.
        """
        self._window.arrived(size)
        self._release(size)

    def _release(self, size: int) -> None:
        credit = self._window.released(size)
        if credit:
            self._give(credit)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
