"""What comes beside the answer to a call, for callers who want to see it."""

from typing import Protocol

from signetrpc.transport import Identity, Protection
from signetrpc.transport._events import Established

from ._metadata import Metadata

__all__ = ["Beside", "CallInfo"]


class Beside(Protocol):
    """What a connection fills in, of a call with one reply."""

    headers: Metadata
    trailers: Metadata


class CallInfo:
    """What came beside the answer to a call.  Give an empty one along:

        info = CallInfo()
        await client.balance("42", call_info=info)
        print(info.trailers)

    It is filled in however the call ends.  Streams have the same of their own.

    Attributes:
        headers: What the server sent ahead of its answer.
        trailers: What it sent with the status.
        peer: Who the server is; None if the call reached none.
        protection: The level of the call: no message of it was below.
    """

    __slots__ = ("headers", "peer", "protection", "trailers")

    def __init__(self) -> None:
        """Make an empty one, for one call."""
        self.headers: Metadata = ()
        self.trailers: Metadata = ()
        self.peer: Identity | None = None
        self.protection: Protection | None = None

    def reached(self, established: Established, level: Protection) -> None:
        """Take note of the connection that the call goes over.

        Args:
            established: The session.
            level: The level that the call asks for.
        """
        self.peer = established.peer
        self.protection = max(level, established.minimum)
