"""What a handler can know of the call it serves."""

from collections.abc import Callable
from contextvars import ContextVar

from signetrpc.transport import Identity, Protection

from ._metadata import Metadata, MetadataInput, metadata

__all__ = ["CURRENT", "CallContext", "current_call", "current_caller"]


class CallContext:
    """One call, as its handler sees it.

    Attributes:
        method: Its full name, `bank.Accounts/balance`.
        caller: Who calls.  Anonymous if nothing protected the call.
        protection: The level of the call: no message of it is below.
        metadata: What the caller sent along.
        deadline: When the call ends, on the clock of `time`; None if never.
        started: When it arrived, on that clock.
        trailers: What goes back with the status; see `set_trailers`.
    """

    __slots__ = (
        "_time",
        "caller",
        "deadline",
        "metadata",
        "method",
        "protection",
        "started",
        "trailers",
    )

    def __init__(
        self,
        *,
        method: str,
        caller: Identity,
        protection: Protection,
        metadata: Metadata,
        deadline: float | None,
        time: Callable[[], float],
        started: float = 0.0,
    ) -> None:
        self.method = method
        self.caller = caller
        self.protection = protection
        self.metadata = metadata
        self.deadline = deadline
        self.trailers: Metadata = ()
        self.started = started
        self._time = time

    def time_left(self) -> float | None:
        """Return the seconds until the deadline, at least 0; None if there is none."""
        return None if self.deadline is None else max(0.0, self.deadline - self._time())

    def age(self) -> float:
        """Return the seconds since the call arrived."""
        return self._time() - self.started

    def set_trailers(self, given: MetadataInput) -> None:
        """Send metadata back with the status, instead of what was set before.

        Raises:
            ValueError: A rule of metadata is broken.
        """
        self.trailers = metadata(given)


CURRENT: ContextVar[CallContext] = ContextVar("signetrpc_call")


def current_call() -> CallContext:
    """Return the call that this code serves.

    Raises:
        LookupError: It serves none.
    """
    try:
        return CURRENT.get()
    except LookupError:
        raise LookupError("not inside a call") from None


def current_caller() -> Identity:
    """Return who called, as authenticated by the connection.

    Raises:
        LookupError: This code serves no call.
    """
    return current_call().caller
