"""Frames: the eight-byte header and the incremental decoder.

    type u8 | level u8 | reserved u16 = 0 | body_length u32        big-endian

The decoder is fed bytes as they come and gives whole frames.  It looks at a length
before it buffers for it, and never allocates by a peer's word: what it holds is at
most what it was fed, and it is fed no more once a frame is refused.

Wire: docs/wire.md#frames.
"""

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from .errors import FrameTooLarge, RemoteProtocolError

__all__ = ["HEADER", "Frame", "FrameDecoder", "FrameType", "encode_frame"]

HEADER: Final = Struct(">BBHI")


class FrameType(IntEnum):
    """What a frame is for."""

    HELLO = 1
    TOKEN = 2
    FINISHED = 3
    REJECT = 4
    RECORD = 16
    REKEY = 17
    CLOSE = 18


class Frame(NamedTuple):
    """One frame as it stood on the wire.

    Attributes:
        kind: What it is for.
        level: 0, 1 or 2: the level its body claims to be protected with.
        header: The eight header bytes.
        body: All bytes after the header.
    """

    kind: FrameType
    level: int
    header: bytes
    body: bytes

    @property
    def encoded(self) -> bytes:
        """The frame's bytes as they stood on the wire."""
        return self.header + self.body


_TYPES: Final = {int(kind): kind for kind in FrameType}


def encode_frame(kind: FrameType, level: int, body: bytes) -> bytes:
    """Return the bytes of one frame."""
    return HEADER.pack(kind, level, 0, len(body)) + body


class FrameDecoder:
    """Cuts a byte stream into frames.

    Attributes:
        limit: Bytes a frame body may have now.  The session lowers or raises it as
            its state changes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # Either `_data` is an immutable chunk read up to `_offset`, or what is left of
        # earlier chunks waits in `_partial` for the rest of a frame.
        self._data = b""
        self._offset = 0
        self._partial = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes held that no frame has been made of."""
        return len(self._partial) + len(self._data) - self._offset

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the stream.  Parsing waits for `next_frame`."""
        if self._partial:
            self._partial += data
        elif self._offset == len(self._data):
            self._data = data
            self._offset = 0
        else:
            self._partial += self._data[self._offset :]
            self._partial += data
            self._data = b""
            self._offset = 0

    def next_frame(self) -> Frame | None:
        """Return the next whole frame, or None if more bytes are needed.

        Raises:
            FrameTooLarge: The header announces more than `limit`.
            RemoteProtocolError: The header has no valid form.
        """
        if self._partial:
            return self._next_of_partial()
        data, start = self._data, self._offset
        if len(data) - start < 8:
            self._keep_rest()
            return None
        kind, level, length = self._check(data, start)
        end = start + 8 + length
        if len(data) < end:
            self._keep_rest()
            return None
        self._offset = end
        return Frame(kind, level, data[start : start + 8], data[start + 8 : end])

    def _keep_rest(self) -> None:
        if self._offset < len(self._data):
            self._partial += self._data[self._offset :]
        self._data = b""
        self._offset = 0

    def _next_of_partial(self) -> Frame | None:
        partial = self._partial
        if len(partial) < 8:
            return None
        kind, level, length = self._check(partial, 0)
        end = 8 + length
        if len(partial) < end:
            return None
        view = memoryview(partial)
        frame = Frame(kind, level, bytes(view[:8]), bytes(view[8:end]))
        rest = bytes(view[end:])
        view.release()
        partial.clear()
        self._data = rest
        self._offset = 0
        return frame

    def _check(self, data: bytes | bytearray, start: int) -> tuple[FrameType, int, int]:
        number, level, reserved, length = HEADER.unpack_from(data, start)
        kind = _TYPES.get(number)
        if kind is None:
            raise RemoteProtocolError(f"unknown frame type {number}")
        if level > 2:
            raise RemoteProtocolError(f"unknown protection level {level}")
        if reserved:
            raise RemoteProtocolError(f"reserved header bits {reserved:#06x}, not zero")
        if length > self.limit:
            raise FrameTooLarge(f"{kind.name} frame", size=length, limit=self.limit)
        return kind, level, length
