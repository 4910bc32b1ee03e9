"""Bodies that arrive in parts, within bounds."""

from typing import Final

from ._status import StatusCode
from .errors import RpcError

__all__ = ["DEFAULT_MAX_BODY_BYTES", "Assemblies", "check_size"]

DEFAULT_MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""The longest body, unless set otherwise.  gRPC's default."""

_MOST_AT_ONCE: Final = 16
"""So many bodies of full length may be half-received on one connection."""


def check_size(size: int, limit: int, what: str) -> None:
    """Refuse a body that is too long.

    Raises:
        RpcError: RESOURCE_EXHAUSTED, naming size and limit.
    """
    if size > limit:
        raise RpcError(
            StatusCode.RESOURCE_EXHAUSTED, f"{what} of {size} bytes, limit {limit}"
        )


class Assemblies:
    """The bodies of one connection that are not whole yet."""

    def __init__(self, limit: int, what: str) -> None:
        """Start with none.

        Args:
            limit: Bytes one body may have.
            what: The word for a body in errors.
        """
        self._limit = limit
        self._total_limit = limit * _MOST_AT_ONCE
        self._what = what
        # One buffer for each body: a list would grow by its entries, however short
        # (or empty) the pieces are that a peer sends.
        self._bodies: dict[int, bytearray] = {}
        self._total = 0

    def __contains__(self, call_id: int) -> bool:
        return call_id in self._bodies

    def add(self, call_id: int, piece: bytes) -> None:
        """Add a piece that is not the last.

        Raises:
            RpcError: RESOURCE_EXHAUSTED; the body is dropped.
        """
        body = self._bodies.setdefault(call_id, bytearray())
        size = len(body) + len(piece)
        try:
            check_size(size, self._limit, self._what)
            check_size(
                self._total + len(piece), self._total_limit, "half-received bodies"
            )
        except RpcError:
            self.discard(call_id)
            raise
        body += piece
        self._total += len(piece)

    def finish(self, call_id: int, piece: bytes) -> bytes:
        """Return the whole body, of which `piece` is the last.

        Raises:
            RpcError: RESOURCE_EXHAUSTED; the body is dropped.
        """
        self.add(call_id, piece)
        body = bytes(self._bodies[call_id])
        self.discard(call_id)
        return body

    def discard(self, call_id: int) -> None:
        """Drop what has arrived of a body.  Unknown ids are ignored."""
        body = self._bodies.pop(call_id, None)
        if body is not None:
            self._total -= len(body)
