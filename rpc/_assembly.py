"""Bodies that arrive in parts, within bounds."""

from collections.abc import Callable
from typing import Final, TypeVar

from ._codec import Body
from ._status import StatusCode
from .errors import RpcError

__all__ = [
    "DEFAULT_MAX_BODY_BYTES",
    "Assemblies",
    "Budget",
    "Buffers",
    "check_size",
]

R = TypeVar("R")

DEFAULT_MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""The longest body, unless set otherwise.  gRPC's default."""

_MOST_KEPT: Final = 4

_MOST_AT_ONCE: Final = 16
"""So many bodies of full length may be half-received on one connection.

Their first pieces aside.  Senders finish one before the next gets the room, so an
honest one has few half sent.
"""


def check_size(size: int, limit: int, what: str) -> None:
    """Refuse a body that is too long.

    Raises:
        RpcError: RESOURCE_EXHAUSTED, naming size and limit.
    """
    if size > limit:
        raise RpcError(
            StatusCode.RESOURCE_EXHAUSTED, f"{what} of {size} bytes, limit {limit}"
        )


class Budget:
    """Bytes that all calls of a connection may have together, beyond their windows."""

    def __init__(self, limit: int) -> None:
        """Start with none used; `limit` is what one message may have, in bytes."""
        self._limit = limit * _MOST_AT_ONCE
        self.used = 0

    def take(self, size: int) -> None:
        """Use some.

        Raises:
            RpcError: RESOURCE_EXHAUSTED; none were used.
        """
        check_size(self.used + size, self._limit, "half-received items")
        self.used += size


class Buffers:
    """Memory to gather bodies in, used again and again.

    Fresh memory costs several times more than the copy: the kernel has to give each
    page anew.  One of these serves all connections of an event loop; of what has been
    given back it keeps `_MOST_KEPT` buffers.
    """

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self) -> bytearray:
        """Return a buffer, of any length and content."""
        return self._free.pop() if self._free else bytearray()

    def give_back(self, buffer: bytearray) -> None:
        """Return a buffer to use."""
        if len(self._free) < _MOST_KEPT:
            self._free.append(buffer)


class _Gathering:
    """What has arrived of one body."""

    __slots__ = ("buffer", "counted", "size")

    def __init__(self, buffer: bytearray) -> None:
        self.buffer = buffer
        self.size = 0
        self.counted = 0

    def add(self, piece: bytes | memoryview) -> None:
        start, end = self.size, self.size + len(piece)
        missing = end - len(self.buffer)
        if missing > 0:  # at least doubled, so that growing costs little
            self.buffer.extend(bytes(max(missing, len(self.buffer))))
        with memoryview(self.buffer) as memory:
            memory[start:end] = piece
        self.size = end


class Assemblies:
    """The bodies of one connection that are not whole yet.

    Attributes:
        bodies: Them, by the number of their call.
    """

    def __init__(self, limit: int, what: str, buffers: Buffers) -> None:
        """Start with none.

        Args:
            limit: Bytes one body may have.
            what: The word for a body in errors.
            buffers: Where bodies are gathered.
        """
        self._limit = limit
        self._total_limit = limit * _MOST_AT_ONCE
        self._what = what
        self._buffers = buffers
        self.bodies: dict[int, _Gathering] = {}
        self._total = 0

    def __contains__(self, call_id: int) -> bool:
        return call_id in self.bodies

    def checked(self, body: bytes) -> bytes:
        """Return a body that came whole.

        Raises:
            RpcError: RESOURCE_EXHAUSTED; it is too long.
        """
        if len(body) > self._limit:
            check_size(len(body), self._limit, self._what)
        return body

    def add(self, call_id: int, piece: bytes | memoryview) -> None:
        """Add a piece that is not the last.

        Raises:
            RpcError: RESOURCE_EXHAUSTED; the body is dropped.
        """
        body = self.bodies.get(call_id)
        size = len(piece)
        # The first piece came with the call or the reply, whose number is limited.
        counted = 0 if body is None else size
        if body is None:
            body = self.bodies[call_id] = _Gathering(self._buffers.take())
        try:
            check_size(body.size + size, self._limit, self._what)
            check_size(self._total + counted, self._total_limit, "half-received bodies")
        except RpcError:
            self.discard(call_id)
            raise
        body.add(piece)
        body.counted += counted
        self._total += counted

    def finish(
        self, call_id: int, piece: bytes | memoryview, decode: Callable[[Body], R]
    ) -> R:
        """Decode the whole body, of which `piece` is the last.

        Args:
            call_id: Whose body.
            piece: Its last piece.
            decode: Gets the body, which it must not keep.

        Returns:
            What `decode` returns.

        Raises:
            RpcError: RESOURCE_EXHAUSTED, or what `decode` raises; the body is dropped.
        """
        self.add(call_id, piece)
        body = self.bodies[call_id]
        try:
            with memoryview(body.buffer) as memory, memory[: body.size] as whole:
                return decode(whole)
        finally:
            self.discard(call_id)

    def discard(self, call_id: int) -> None:
        """Drop what has arrived of a body.  Unknown ids are ignored."""
        body = self.bodies.pop(call_id, None)
        if body is not None:
            self._total -= body.counted
            self._buffers.give_back(body.buffer)
