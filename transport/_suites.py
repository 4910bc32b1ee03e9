"""The suites: `gss` seals with the mechanism's own tokens, `channel` trusts the pipe.

Suite `gss`, one frame:

    P    = type u8 | level u8 | 0 u16 | plaintext_length u32 | sequence u64
    none = plaintext
    sign = mic_length u16 | MIC(P || plaintext) | plaintext
    seal = wrap(P || plaintext), confidential

The sequence counts every frame of a direction after the handshake, unprotected ones
included, so a frame that is dropped, repeated, moved or made up breaks the count of
the next protected one.  P stands inside the protection: type and level are thereby
authenticated although the header is not.

Wire: docs/wire.md#suite-gss.  Sources: RFC 4121 section 4.2, MS-NLMP section 3.4.
"""

from struct import Struct
from typing import Final

from ._frames import HEADER, Frame, FrameType
from ._protection import Protection, SuiteName
from ._security import SecurityContext
from .errors import (
    ConnectionClosed,
    InsufficientProtection,
    IntegrityError,
    RemoteProtocolError,
)

__all__ = ["ChannelSuite", "GssSuite"]

_PREFIX: Final = Struct(">BBHIQ")
_MIC_LENGTH: Final = Struct(">H")

# The longest wrap overhead measured is 72 bytes (aes256-cts-hmac-sha384-192); the
# prefix adds 16.  Generous, because a body over the record limit ends the session.
_OVERHEAD: Final = 512

# As many frames as NTLM's 32-bit sequence numbers allow with room to spare, and as
# many bytes as one key may seal.  From then on a session says that it is exhausted,
# and there is room left for its orderly end; at the end of that nothing goes out.
_MOST_FRAMES: Final = 1 << 31
_MOST_BYTES: Final = 64 << 30
_LAST_FRAME: Final = _MOST_FRAMES + (1 << 30)

_NONE, _SIGN, _SEAL = Protection.NONE, Protection.SIGN, Protection.SEAL


class GssSuite:
    """Protects frames with the wrap and MIC tokens of a GSS-API mechanism."""

    name = SuiteName.GSS
    guards = True
    control_level = Protection.SIGN
    overhead = _OVERHEAD

    def __init__(self, context: SecurityContext) -> None:
        self._wrap = context.wrap
        self._unwrap = context.unwrap
        self._sign = context.sign
        self._verify = context.verify
        self._sent = 0
        self._received = 0
        self._bytes_sent = 0

    @property
    def exhausted(self) -> bool:
        """True when this end must close the session and start a new one."""
        return self._sent >= _MOST_FRAMES or self._bytes_sent >= _MOST_BYTES

    def effective(self, level: Protection) -> Protection:
        """Every level is to be had, and counts as itself."""
        return level

    def protect(self, kind: FrameType, level: Protection, plaintext: bytes) -> bytes:
        """Return the whole frame.  The order of calls is the order on the wire.

        Raises:
            ConnectionClosed: The mechanism cannot protect it, or its keys are used up.
        """
        size = len(plaintext)
        if self._sent >= _LAST_FRAME or self._bytes_sent >= 2 * _MOST_BYTES:
            raise ConnectionClosed("the session's keys are used up", clean=False)
        prefix = _PREFIX.pack(kind, level, 0, size, self._sent)
        self._sent += 1
        self._bytes_sent += size
        try:
            # Compared by value: an int that is no Protection must not pass for NONE.
            if level == _SEAL:
                body = self._wrap(prefix + plaintext)
            elif level == _SIGN:
                mic = self._sign(prefix + plaintext)
                body = b"".join((_MIC_LENGTH.pack(len(mic)), mic, plaintext))
            else:
                body = plaintext
        except Exception as error:
            raise ConnectionClosed(
                "the security mechanism could not protect a frame", clean=False
            ) from error
        return HEADER.pack(kind, level, 0, len(body)) + body

    def rekey(self, frame: Frame) -> None:
        """Refuse: the mechanism's keys are what they are."""
        raise IntegrityError("REKEY frame in suite gss")

    def unprotect(self, frame: Frame) -> bytes:
        """Return the plaintext of the next frame."""
        level, body = frame.level, bytes(frame.body)
        sequence = self._received
        self._received += 1
        if level == _SEAL:
            return self._open(frame, sequence)
        if level == _NONE:
            return body
        if len(body) < 2:
            raise IntegrityError(f"a signed body of {len(body)} bytes, at least 2")
        start = 2 + _MIC_LENGTH.unpack_from(body)[0]
        if start > len(body):
            raise IntegrityError(
                f"a signature of {start - 2} bytes in a body of {len(body)} bytes"
            )
        plaintext = body[start:]
        prefix = _PREFIX.pack(frame.kind, level, 0, len(plaintext), sequence)
        try:
            self._verify(prefix + plaintext, body[2:start])
        except Exception as error:
            # Mechanisms raise what they like on hostile bytes; all of it means this.
            raise IntegrityError(f"{_describe(frame)}: bad signature") from error
        return plaintext

    def _open(self, frame: Frame, sequence: int) -> bytes:
        try:
            data, encrypted = self._unwrap(bytes(frame.body))
        except Exception as error:
            raise IntegrityError(f"{_describe(frame)}: bad seal") from error
        if not encrypted:
            # GSS-API opens integrity-only wrap tokens without complaint.
            raise IntegrityError(f"{_describe(frame)}: the token is not encrypted")
        prefix = _PREFIX.pack(
            frame.kind, frame.level, 0, (len(data) - 16) & 0xFFFFFFFF, sequence
        )
        if data[:16] != prefix:
            raise IntegrityError(f"{_describe(frame)}: not the next frame of its kind")
        return data[16:]


class ChannelSuite:
    """Leaves protection to the channel below: TLS, memory, or nothing at all."""

    name = SuiteName.CHANNEL
    guards = False
    overhead = 0
    exhausted = False

    def __init__(self, provides: Protection, *, keeps_levels: bool = False) -> None:
        self.control_level = provides
        self._keeps_levels = keeps_levels

    def effective(self, level: Protection) -> Protection:
        """What the channel provides, for every message, unless it keeps levels.

        Raises:
            InsufficientProtection: The channel provides less than `level`.
        """
        if level > self.control_level:
            raise InsufficientProtection(
                f"level {level.name} asked for; "
                f"this connection gives {self.control_level.name}"
            )
        return level if self._keeps_levels else self.control_level

    def protect(self, kind: FrameType, level: Protection, plaintext: bytes) -> bytes:
        """Return the frame around the plaintext."""
        return HEADER.pack(kind, level, 0, len(plaintext)) + plaintext

    def rekey(self, frame: Frame) -> None:
        """Refuse: there are no keys."""
        raise RemoteProtocolError("REKEY frame in suite channel")

    def unprotect(self, frame: Frame) -> bytes:
        """Return the body, if its level can be the channel's."""
        if frame.level != self.control_level and not (
            self._keeps_levels and frame.level < self.control_level
        ):
            raise RemoteProtocolError(
                f"{_describe(frame)}; this connection gives {self.control_level.name}"
            )
        return bytes(frame.body)


def _describe(frame: Frame) -> str:
    return f"{frame.kind.name} frame of level {Protection(frame.level).name}"
