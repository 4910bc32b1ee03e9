"""The sending half of a stream on a connection that is the test's."""

from signetrpc.rpc import Protection, RpcError, StatusCode
from signetrpc.rpc import _outbox as module
from signetrpc.rpc._flow import ITEM_OVERHEAD, STREAM_WINDOW
from signetrpc.rpc._messages import PART_BYTES, Item, Message, Part, decode_message
from signetrpc.rpc._outbox import Outbox
from signetrpc.transport._loops import Loop
from tests.support.stepping import StepLoop, StepTask, StepWaiter, finished

__all__ = ["GONE", "PLENTY", "TURN", "WHOLE", "Held", "Outlet"]

SIGN = Protection.SIGN

TURN: int = module._TURN  # pyright: ignore[reportPrivateUsage]

WHOLE = PART_BYTES - ITEM_OVERHEAD
"""An item of this size counts as much as a part."""

PLENTY = 1 << 30
GONE = RpcError(StatusCode.UNAVAILABLE, "gone")


class Outlet:
    """A connection that notes what goes out."""

    def __init__(self, piece_bytes: int = PART_BYTES) -> None:
        self.piece_bytes = piece_bytes
        self.steps = StepLoop()
        self.loop: Loop = self.steps
        self.room = PLENTY
        self.refusal: Exception | None = None
        self.sent: list[tuple[Message, Protection, int]] = []
        self.waiters: list[StepWaiter] = []
        self.tickets: list[int | None] = []
        self.passed = 0
        self.crowded = False

    @property
    def has_room(self) -> bool:
        """Whether there is room for a piece."""
        return self.room > 0

    def waiter_for_room(self, ticket: int | None) -> tuple[int, StepWaiter]:
        """Note who waits."""
        self.waiters.append(StepWaiter())
        self.tickets.append(ticket)
        return len(self.waiters) if ticket is None else ticket, self.waiters[-1]

    def pass_room(self) -> None:
        """Note that somebody leaves what room there is."""
        self.passed += 1

    def send_piece(self, message: bytes, level: Protection, size: int) -> None:
        """Note the message, or refuse it."""
        if self.refusal is not None:
            raise self.refusal
        self.room -= 1
        self.sent.append((decode_message(message), level, size))

    def make_room(self, pieces: int = PLENTY) -> None:
        """Have room again, for so many pieces."""
        self.room = pieces
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def counted(self) -> int:
        """What all of it counts as."""
        return sum(size for _, _, size in self.sent)

    def bodies(self) -> bytes:
        """What all of it carries."""
        carried = b""
        for message, _, _ in self.sent:
            assert isinstance(message, Item | Part)
            piece = message.body if isinstance(message, Item) else message.chunk
            carried += bytes(piece)
        return carried


class Held:
    """An outbox and its connection."""

    def __init__(
        self, level: Protection = SIGN, *, piece_bytes: int = PART_BYTES
    ) -> None:
        self.outlet = Outlet(piece_bytes)
        self.outbox = Outbox(self.outlet, 7, level)

    def sending(self, size: int) -> StepTask:
        """Begin to send in a task."""
        task = self.outlet.steps.spawn(self.outbox.send(bytes(size)))
        self.outlet.steps.run()
        return task

    def fill(self) -> None:
        """Use the window up."""
        for _ in range(STREAM_WINDOW // PART_BYTES):
            finished(self.outbox.send(bytes(WHOLE)))
