"""A call of one request and one reply, in the client's table of calls."""

from collections.abc import Callable
from functools import partial

from signetrpc.transport import Protection, RemoteProtocolError
from signetrpc.transport._loops import Waiter

from ._call_info import Beside
from ._codec import Body
from ._declared_errors import ErrorClasses
from ._flow import STREAM_WINDOW, ReceiveWindow
from ._messages import Headers, Part, Reply, Status
from ._metadata import DEFAULT_MAX_METADATA_BYTES
from ._outbox import Outbox
from ._status import StatusCode
from ._stream_call import checked_pairs, error_of
from .errors import RpcError

__all__ = ["PendingCall"]


class PendingCall:
    """A call under way: the level it is pinned to, its reply's form, and who waits.

    Attributes:
        beside: Where what comes beside the reply goes, if anybody wants it.
        outbox: What sends its arguments, where they go in parts.
    """

    __slots__ = (
        "_errors",
        "_headed",
        "_window",
        "beside",
        "decode",
        "level",
        "outbox",
        "waiter",
    )

    def __init__(
        self,
        level: Protection,
        decode: Callable[[Body], object],
        waiter: Waiter[object],
        errors: ErrorClasses,
        beside: Beside | None,
    ) -> None:
        self.level = level
        self.decode = decode
        self.waiter = waiter
        self.outbox: Outbox | None = None
        self.beside = beside
        self._errors = errors
        self._headed = False
        self._window: ReceiveWindow | None = None

    def take_headers(
        self, message: Headers, limit: int = DEFAULT_MAX_METADATA_BYTES
    ) -> None:
        """Take what comes ahead of the reply.

        Args:
            message: What it came in.
            limit: Bytes that it may have.

        Raises:
            RpcError: RESOURCE_EXHAUSTED: it is over the limit.
            RemoteProtocolError: It came before, or is no metadata.
        """
        headers = checked_pairs(message.metadata, "headers", limit)
        if self._headed:
            raise RemoteProtocolError(f"second headers of call {message.id}")
        self._headed = True
        if self.beside is not None:
            self.beside.headers = headers

    def take_trailers(
        self, message: Reply, limit: int = DEFAULT_MAX_METADATA_BYTES
    ) -> None:
        """Take what comes with the reply; see `take_headers`.

        Raises:
            RpcError: RESOURCE_EXHAUSTED: it is over the limit.
            RemoteProtocolError: It is no metadata.
        """
        trailers = checked_pairs(message.trailers, "trailers", limit)
        if self.beside is not None:
            self.beside.trailers = trailers

    def take_piece(
        self, message: Reply | Part, begun: bool
    ) -> tuple[bytes | memoryview, int]:
        """Take a piece of a reply that comes in parts.

        Args:
            message: What it came in.
            begun: Whether one has come before.

        Returns:
            The piece, and how much credit the server gets back.

        Raises:
            RemoteProtocolError: It comes at the wrong moment, or without credit.
        """
        match message:
            case Reply(body=piece):
                if begun:
                    raise RemoteProtocolError(f"a second reply to call {message.id}")
                return piece, 0
            case Part(chunk=piece):
                if not begun:
                    raise RemoteProtocolError(
                        f"a part of no reply to call {message.id}"
                    )
                if self._window is None:
                    self._window = ReceiveWindow(STREAM_WINDOW)
                self._window.arrived(len(piece))
                return piece, self._window.released(len(piece))

    def error_of(
        self, message: Status, limit: int = DEFAULT_MAX_METADATA_BYTES
    ) -> RpcError:
        """Return the error that the call has ended with; see `take_headers`.

        Raises:
            RemoteProtocolError: It is none, or its trailers are no metadata.
        """
        error = error_of(message, self._errors, limit)
        if self.beside is not None:
            self.beside.trailers = error.trailers
        return error

    def end(self, outcome: object) -> None:
        """Wake its caller, unless that was cancelled in this very turn."""
        if not self.waiter.done():
            self.waiter.set_result(outcome)
        if self.outbox is not None:
            self.outbox.close(partial(_given, outcome))


def _given(outcome: object) -> Exception:
    if isinstance(outcome, Exception):
        return outcome
    return RpcError(StatusCode.CANCELLED, "answered before all of it was sent")
