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
        body: All bytes after the header.  A long one is a view of what was received:
            copying it would cost as much as opening it.
    """

    kind: FrameType
    level: int
    header: bytes
    body: bytes | memoryview

    @property
    def encoded(self) -> bytes:
        """The frame's bytes as they stood on the wire."""
        return self.header + self.body


_COPIED: Final = 4096
"""Up to this length a copy of a body costs less than a view of it."""

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
        # The last chunk, read up to `_offset`; the beginning of a frame that came
        # before it waits in `_partial`.
        self._data = b""
        self._offset = 0
        self._partial = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes held that no frame has been made of."""
        return len(self._partial) + len(self._data) - self._offset

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the stream.  Parsing waits for `next_frame`."""
        if self._offset == len(self._data):
            self._data = data
        else:  # fed on while nobody parses
            self._data = self._data[self._offset :] + data
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
        available = len(data) - start - 8
        if available >= 0:
            kind, level, length = self._check(data, start)
            if available >= length:
                body_start = start + 8
                self._offset = end = body_start + length
                body: bytes | memoryview
                if length > _COPIED:
                    body = memoryview(data)[body_start:end]
                else:
                    body = data[body_start:end]
                return Frame(kind, level, data[start:body_start], body)
        self._take(len(data))
        return None

    def _take(self, size: int) -> bool:
        """Move bytes to the partial frame until it has `size`; return if it does."""
        start = self._offset
        end = min(len(self._data), start + size - len(self._partial))
        self._partial += memoryview(self._data)[start:end]
        self._offset = end
        return len(self._partial) == size

    def _next_of_partial(self) -> Frame | None:
        partial = self._partial
        if len(partial) < 8 and not self._take(8):
            return None
        kind, level, length = self._check(partial, 0)
        if not self._take(8 + length):
            return None
        self._partial = bytearray()
        view = memoryview(partial)
        body = view[8:] if length > _COPIED else bytes(view[8:])
        return Frame(kind, level, bytes(view[:8]), body)

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
