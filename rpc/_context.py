"""What a handler can know of the call it serves."""

import logging
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from enum import IntEnum
from typing import Final, Protocol, TypeVar

from signetrpc.transport import Identity, Protection

from ._metadata import DEFAULT_MAX_METADATA_BYTES, Metadata, MetadataInput
from ._metadata_limit import limited

__all__ = [
    "CURRENT",
    "CallContext",
    "CancellationCause",
    "HeaderSender",
    "current_call",
    "current_caller",
    "time_bound",
]


S = TypeVar("S", float, float | None)

_log: Final = logging.getLogger("signetrpc.rpc")


class CancellationCause(IntEnum):
    """Why a handler is cancelled.

    Wire: docs/wire.md#calls; the numbers travel in CANCEL.
    """

    CALLER = 0
    """The caller gave the call up."""
    DEADLINE = 1
    """Its time ran out."""
    CONNECTION_LOST = 2
    """The caller's connection is gone."""
    SERVER_STOPPING = 3
    """The server stops, or the connection's lifetime is over."""
    REFUSED = 4
    """What the caller sent, or was to be sent, is over a limit."""


class HeaderSender(Protocol):
    """What a call's context needs of its connection."""

    @property
    def max_metadata_bytes(self) -> int:
        """What headers, and trailers, may have."""
        ...

    def send_headers(self, call_id: int, headers: Metadata) -> None:
        """Send metadata ahead of a call's answer."""
        ...


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
        headed: True once headers were sent.
        cancelled_because: Why the call was ended under its handler; set before the
            handler is cancelled.  None while the call goes on, and where the handler
            is cancelled by its own code.
    """

    __slots__ = (
        "_callbacks",
        "_id",
        "_sender",
        "_time",
        "caller",
        "cancelled_because",
        "deadline",
        "headed",
        "metadata",
        "method",
        "protection",
        "started",
        "trailers",
    )

    def __init__(
        self,
        method: str,
        caller: Identity,
        protection: Protection,
        metadata: Metadata,
        deadline: float | None,
        time: Callable[[], float],
        started: float = 0.0,
        sender: HeaderSender | None = None,
        call_id: int = 0,
    ) -> None:
        self.method = method
        self.caller = caller
        self.protection = protection
        self.metadata = metadata
        self.deadline = deadline
        self.trailers: Metadata = ()
        self.started = started
        self.headed = False
        self.cancelled_because: CancellationCause | None = None
        self._callbacks: list[Callable[[], object]] | None = None  # mostly none
        self._time = time
        self._sender = sender
        self._id = call_id

    @property
    def peer(self) -> Identity:
        """Who calls, by gRPC's name for it: `caller`."""
        return self.caller

    @property
    def session_id(self) -> str:
        """The session that the call came in: 32 hexadecimal digits, or empty.

        Calls of one connection have it in common, and the client knows it too.
        """
        return self.caller.session_id

    @property
    def cancelled(self) -> bool:
        """True once nobody waits for the answer.

        A `def` handler cannot be interrupted: a long one looks here.
        """
        return self.cancelled_because is not None

    def on_cancelled(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Have a function called when nobody waits for the answer any more.

        For what goes on in other threads and processes: code that awaits is cancelled.

        Args:
            callback: Called in the server's thread, so it must not block, and perhaps
                twice.  At once, if the call is cancelled already.

        Returns:
            What takes that back.
        """
        callbacks = self._callbacks
        if callbacks is None:
            callbacks = self._callbacks = []
        callbacks.append(callback)
        if self.cancelled_because is not None:
            callback()

        def take_back() -> None:
            with suppress(ValueError):
                callbacks.remove(callback)

        return take_back

    def note_cancelled(self, cause: CancellationCause) -> None:
        """Let the handler know that nobody waits any more.

        The server does this before it cancels the handler.
        """
        self.cancelled_because = cause
        for callback in list(self._callbacks or ()):
            try:
                callback()
            except Exception:
                _log.exception("what %s does when it is cancelled", self.method)

    def time_left(self) -> float | None:
        """Return the seconds until the deadline, at least 0; None if there is none."""
        return None if self.deadline is None else max(0.0, self.deadline - self._time())

    def age(self) -> float:
        """Return the seconds since the call arrived."""
        return self._time() - self.started

    def send_headers(self, given: MetadataInput) -> None:
        """Send metadata to the caller now, ahead of the first item or the reply.

        From a worker thread too.  Nothing happens if the call has ended meanwhile.

        Raises:
            RuntimeError: Headers were sent before, or the answer has begun.
            ValueError: A rule of metadata is broken.
            RpcError: RESOURCE_EXHAUSTED; they are over the server's limit, or the
                caller takes no message of that length.
        """
        headers = limited(given, self._max_metadata_bytes, "headers")
        if self._sender is None:
            raise RuntimeError("this context is of no call that could be answered")
        self._sender.send_headers(self._id, headers)

    def set_trailers(self, given: MetadataInput) -> None:
        """Send metadata back with the status, instead of what was set before.

        Raises:
            ValueError: A rule of metadata is broken.
            RpcError: RESOURCE_EXHAUSTED; they are over the server's limit.
        """
        self.trailers = limited(given, self._max_metadata_bytes, "trailers")

    @property
    def _max_metadata_bytes(self) -> int:
        if self._sender is None:
            return DEFAULT_MAX_METADATA_BYTES
        return self._sender.max_metadata_bytes


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


def time_bound(seconds: S) -> S | float:
    """Return how long a call onward may take: no longer than the one this code serves.

    Args:
        seconds: What the onward call wants; None for as long as it likes.
    """
    current = CURRENT.get(None)
    left = None if current is None else current.time_left()
    if left is None or (seconds is not None and seconds <= left):
        return seconds
    return left


def current_caller() -> Identity:
    """Return who called, as authenticated by the connection.

    Raises:
        LookupError: This code serves no call.
    """
    return current_call().caller
