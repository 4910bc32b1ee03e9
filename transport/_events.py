"""What a session reports to its shell."""

from dataclasses import dataclass
from typing import NamedTuple

from ._identity import Identity
from ._protection import Protection

__all__ = ["Established", "Event", "MessagesReceived", "PeerClosed", "StepRequired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequired:
    """The security context must take a step, off the event loop.

    Call the session's `step_finished` or `step_failed` with the outcome.  Until then
    the session parses nothing more.

    Attributes:
        token: The peer's token, or None for the initiator's first step.
    """

    token: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Established:
    """The handshake is over: both ends have proved that they saw the same one.

    Attributes:
        peer: Who the other end is.
        suite: Name of the suite in use.
        minimum: Lowest level of protection in this session.
        max_message_bytes: Bytes a message to the peer may have.
    """

    peer: Identity
    suite: str
    minimum: Protection
    max_message_bytes: int


class MessagesReceived(NamedTuple):
    """The messages of one record, in order.

    Attributes:
        protection: The level that all of them had on the wire, verified.
        messages: Each message whole, 1 or more bytes; a long one is a view of the
            record it came in.
    """

    protection: Protection
    messages: list[bytes | memoryview]


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """The peer closed the session with an authenticated CLOSE."""


Event = StepRequired | Established | MessagesReceived | PeerClosed
