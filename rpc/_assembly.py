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
        self._pieces: dict[int, list[bytes]] = {}
        self._sizes: dict[int, int] = {}
        self._total = 0

    def __contains__(self, call_id: int) -> bool:
        return call_id in self._pieces

    def add(self, call_id: int, piece: bytes) -> None:
        """Add a piece that is not the last.

        Raises:
            RpcError: RESOURCE_EXHAUSTED; the body is dropped.
        """
        size = self._sizes.get(call_id, 0) + len(piece)
        self._total += len(piece)
        self._sizes[call_id] = size
        self._pieces.setdefault(call_id, []).append(piece)
        try:
            check_size(size, self._limit, self._what)
            check_size(self._total, self._total_limit, "half-received bodies")
        except RpcError:
            self.discard(call_id)
            raise

    def finish(self, call_id: int, piece: bytes) -> bytes:
        """Return the whole body, of which `piece` is the last.

        Raises:
            RpcError: RESOURCE_EXHAUSTED; the body is dropped.
        """
        self.add(call_id, piece)
        body = b"".join(self._pieces[call_id])
        self.discard(call_id)
        return body

    def discard(self, call_id: int) -> None:
        """Drop what has arrived of a body.  Unknown ids are ignored."""
        if self._pieces.pop(call_id, None) is not None:
            self._total -= self._sizes.pop(call_id)
