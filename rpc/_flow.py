"""Flow control: how many bytes of bodies may be on their way, per call and in all.

Each direction of a call has a window, and so has each direction of the connection.  A
message that carries part of a body uses both up by the bytes that it carries, and is
sent only while both are above zero; the last one may go below, by less than a message.
CREDIT gives back what the receiver has room for again.

The CALL and the REPLY of a call are not counted: without them nothing could begin, and
the number of calls is limited anyhow.  What is small so never waits for credit.

Wire: docs/wire.md#flow-control.  Model: RFC 9113 section 5.2.
"""

from typing import Final

from signetrpc.transport import RemoteProtocolError

__all__ = [
    "CONNECTION_WINDOW",
    "ITEM_OVERHEAD",
    "LINK_WINDOW",
    "MOST_CREDIT",
    "SLOW_PIECE_BYTES",
    "STREAM_WINDOW",
    "ReceiveWindow",
    "SendWindow",
]

STREAM_WINDOW: Final = 256 * 1024
"""What each direction of a call begins with, in bytes."""

CONNECTION_WINDOW: Final = 1024 * 1024
"""What each direction of a connection begins with, in bytes."""

LINK_WINDOW: Final = 64 * 1024 * 1024
"""The same between a service and an identity worker, which has each call's bound."""

SLOW_PIECE_BYTES: Final = 12 * 1024
"""A message's share of a long body where sealing takes long.

Kerberos seals 64 KiB in 0.65 ms and unseals it in as much (suite gss; with aes256gcm it
is 0.03): whoever else has something to send waits for that at both ends.
"""

ITEM_OVERHEAD: Final = 32
"""An ITEM counts as so many bytes more than it carries: empty ones need room too."""

MOST_CREDIT: Final = (1 << 31) - 1
"""No window is ever larger."""


class SendWindow:
    """What may still be sent.

    Attributes:
        left: Bytes; at or below 0 nothing may be.
    """

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = size

    def grant(self, size: int) -> None:
        """Add credit that the peer gave.

        Raises:
            RemoteProtocolError: It is more than a window can have.
        """
        self.left += size
        if self.left > MOST_CREDIT:
            raise RemoteProtocolError(
                f"credit for {self.left} bytes, limit {MOST_CREDIT}"
            )


class ReceiveWindow:
    """What the peer may still send, and what it has to be told of room.

    Credit is given when half of the window is free again: the fewer messages the
    better, and the peer must not run dry meanwhile.
    """

    __slots__ = ("_free", "_size", "left")

    def __init__(self, size: int) -> None:
        self.left = size
        self._size = size
        self._free = 0

    def arrived(self, size: int) -> None:
        """Count bytes that have come.

        Raises:
            RemoteProtocolError: The peer had no credit for them.
        """
        if self.left <= 0:
            raise RemoteProtocolError(f"{size} bytes of a body without credit")
        self.left -= size

    def released(self, size: int) -> int:
        """Count bytes that need no room any more; return the credit to give, or 0."""
        self._free += size
        if self._free < self._size >> 1:
            return 0
        credit, self._free = self._free, 0
        self.left += credit
        return credit
