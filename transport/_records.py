"""Records: runs of messages that share one seal.

The plaintext of a RECORD is a run of `length u32 | bytes`.  Sealing costs far more
per record than per byte, so messages of one level that wait together travel
together; this is the largest single gain in calls per second.

Wire: docs/wire.md#record.
"""

from struct import Struct
from typing import Final

from ._frames import FrameType
from ._protection import Protection, Suite
from .errors import FrameTooLarge, LocalProtocolError, RemoteProtocolError

__all__ = ["RunWriter", "split_run"]

_COPIED: Final = 4096
"""Up to this length a copy of a message costs less than a view of it."""

_LENGTH: Final = Struct(">I")
_pack_length = _LENGTH.pack
_read_length = _LENGTH.unpack_from


class RunWriter:
    """Joins waiting messages into records and seals them in order.

    Nothing is reordered: a message of another level ends the run before it.  Sealing
    happens in `data_to_send` or when a record is full; from then on the bytes must be
    written, in order, because the peer's count has moved.
    """

    def __init__(
        self,
        suite: Suite,
        *,
        minimum: Protection,
        max_message: int,
        max_record: int,
    ) -> None:
        self._suite = suite
        self._minimum = minimum
        self._max_message = max_message
        self._run_limit = max_record - suite.overhead
        self._asked = minimum  # the level that the last message was to have,
        self._level = minimum  # and the one that it has
        self._run: list[bytes] = []
        self._run_size = 0
        self._frames: list[bytes] = []

    @property
    def empty(self) -> bool:
        """True when nothing waits."""
        return not self._run and not self._frames

    def append(self, message: bytes, level: Protection) -> None:
        """Add one message.

        Raises:
            FrameTooLarge: It is over the limit agreed for a message.
            LocalProtocolError: It is empty, or its level is under the agreed minimum.
            InsufficientProtection: The suite cannot give that level.
            ConnectionClosed: What waited cannot be sealed, nor anything after it.
        """
        size = len(message)
        if level is not self._asked:
            self._change_level(level)
        if not 0 < size <= self._max_message:
            if not size:
                raise LocalProtocolError("a message has at least 1 byte")
            raise FrameTooLarge("message", size=size, limit=self._max_message)
        if self._run_size + size + 4 > self._run_limit:
            self._seal()
        run = self._run
        run.append(_pack_length(size))
        run.append(message)
        self._run_size += size + 4

    def append_frame(self, kind: FrameType, level: Protection) -> None:
        """Add a frame without plaintext, after all that waits."""
        self._seal()
        self._frames.append(self._suite.protect(kind, level, b""))

    def data_to_send(self) -> bytes:
        """Seal what waits and return it."""
        if self._run:
            self._seal()
        frames = self._frames
        if len(frames) == 1:
            return frames.pop()
        data = b"".join(frames)
        frames.clear()
        return data

    def _change_level(self, level: Protection) -> None:
        try:
            asked = Protection(level)  # an int would miss every `is`
        except ValueError:
            raise LocalProtocolError(f"{level!r} is no level of protection") from None
        level = self._suite.effective(asked)
        if level < self._minimum:
            raise LocalProtocolError(
                f"level {level.name}; this session's minimum is {self._minimum.name}"
            )
        if level is not self._level:
            self._seal()
            self._level = level
        self._asked = asked

    def _seal(self) -> None:
        if not self._run:
            return
        plaintext = b"".join(self._run)
        self._run.clear()
        self._run_size = 0
        self._frames.append(
            self._suite.protect(FrameType.RECORD, self._level, plaintext)
        )


def split_run(plaintext: bytes, limit: int) -> list[bytes | memoryview]:
    """Cut the plaintext of a record into its messages; long ones as views of it.

    Raises:
        FrameTooLarge: A message is over `limit`.
        RemoteProtocolError: The run is empty, or ends inside a message.
    """
    end = len(plaintext)
    messages: list[bytes | memoryview] = []
    position = 0
    while position + 4 <= end:
        (size,) = _read_length(plaintext, position)
        start = position + 4
        position = start + size
        if position > end:
            break
        if not 0 < size <= limit:
            if not size:
                raise RemoteProtocolError("a record holds an empty message")
            raise FrameTooLarge("message in a record", size=size, limit=limit)
        if size > _COPIED:
            messages.append(memoryview(plaintext)[start:position])
        else:
            messages.append(plaintext[start:position])
    if position != end or not messages:
        raise RemoteProtocolError(
            f"a record of {end} bytes does not end with a message"
        )
    return messages
