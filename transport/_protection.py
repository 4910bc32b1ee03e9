"""The levels of protection a message can have, and what a suite must do.

A *suite* turns plaintext into protected frame bodies and back.  One suite is
agreed for a session; the level is chosen message by message.
"""

from enum import IntEnum
from typing import Protocol

from ._frames import Frame, FrameType

__all__ = ["Protection", "Suite", "SuiteName"]


class Protection(IntEnum):
    """How a message is protected on the wire.  A higher level includes the lower.

    The numbers are the wire's (docs/wire.md#frames).
    """

    NONE = 0
    """Nothing: anybody on the path can read and change it."""
    SIGN = 1
    """Integrity: readable, but any change is found."""
    SEAL = 2
    """Integrity and confidentiality."""


class SuiteName:
    """The names by which HELLO offers suites."""

    GSS = "gss"
    AES256GCM = "aes256gcm"
    CHANNEL = "channel"


class Suite(Protocol):
    """Protects the frames of one open session, both directions.

    Both methods count: the first failed check, gap or replay ends the session, so a
    suite that has raised must not be used again.
    """

    @property
    def name(self) -> str:
        """The name by which HELLO offers it."""
        ...

    @property
    def guards(self) -> bool:
        """True if it finds changes itself; False if that is the channel's work."""
        ...

    @property
    def control_level(self) -> Protection:
        """The level of CLOSE frames: SIGN, or what a bare channel provides."""
        ...

    @property
    def overhead(self) -> int:
        """Bytes by which a frame body can be longer than its plaintext, at most."""
        ...

    @property
    def exhausted(self) -> bool:
        """True when no more may be sent under these keys: close, and connect anew."""
        ...

    def effective(self, level: Protection) -> Protection:
        """Return the level that a message asked to have at `level` will count as.

        Raises:
            InsufficientProtection: This suite cannot give that level.
        """
        ...

    def protect(self, kind: FrameType, level: Protection, plaintext: bytes) -> bytes:
        """Return the whole frame, header included.

        Raises:
            ConnectionClosed: The frame cannot be protected, nor any after it.
        """
        ...

    def unprotect(self, frame: Frame) -> bytes:
        """Return the plaintext of a frame.

        Raises:
            IntegrityError: The frame is not what the peer sent, or not the next one.
            RemoteProtocolError: Its body has no valid form.
        """
        ...

    def rekey(self, frame: Frame) -> None:
        """Take the peer's next keys, as its REKEY frame says.

        Raises:
            IntegrityError: The frame is not the peer's, or this suite has none.
            RemoteProtocolError: It comes at the wrong moment.
        """
        ...
