"""A call of one request and one reply, in the client's table of calls."""

from collections.abc import Callable
from functools import partial

from signetrpc.transport import Protection
from signetrpc.transport._loops import Waiter

from ._codec import Body
from ._flow import ReceiveWindow
from ._outbox import Outbox
from ._status import StatusCode
from .errors import RpcError

__all__ = ["PendingCall"]


class PendingCall:
    """A call under way: the level it is pinned to, its reply's form, and who waits.

    Attributes:
        outbox: What sends its arguments, where they go in parts.
        window: What counts its reply, where that comes in parts.
    """

    __slots__ = ("decode", "level", "outbox", "waiter", "window")

    def __init__(
        self,
        level: Protection,
        decode: Callable[[Body], object],
        waiter: Waiter[object],
    ) -> None:
        self.level = level
        self.decode = decode
        self.waiter = waiter
        self.outbox: Outbox | None = None
        self.window: ReceiveWindow | None = None

    def end(self, outcome: object) -> None:
        """Wake its caller, unless that was cancelled in this very turn."""
        if not self.waiter.done():
            self.waiter.set_result(outcome)
        if self.outbox is not None:
            self.outbox.close(partial(_given, outcome))


def _given(outcome: object) -> Exception:
    if isinstance(outcome, Exception):
        return outcome
    return RpcError(StatusCode.CANCELLED, "answered before all of it was sent")
