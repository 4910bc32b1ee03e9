"""A relayed call as the service sees it: what each side may say next, and how much.

The caller is judged as by any server.  The worker runs code as somebody who may be
anybody, so its messages are a stranger's: one that a call cannot have now costs the
worker its life.
"""

from signetrpc.transport import RemoteProtocolError

from ._flow import ITEM_OVERHEAD, STREAM_WINDOW, ReceiveWindow, SendWindow
from ._messages import Credit, End, Headers, Item, Message, Part, Reply, Status
from ._metadata import DEFAULT_MAX_METADATA_BYTES, metadata
from ._schema import CallKind
from ._status import StatusCode

__all__ = ["Crossing", "WorkerMessage", "counted"]

WorkerMessage = Item | Part | Reply | Status | Headers | Credit
"""What a worker can say of a call."""


def counted(message: Message) -> int:
    """Return what a message counts as in the windows, in bytes."""
    match message:
        case Item(body=body):
            return len(body) + ITEM_OVERHEAD
        case Part(chunk=chunk):
            return len(chunk)
        case _:
            return 0


class Crossing:
    """The state of one relayed call."""

    __slots__ = (
        "_ended",
        "_gives",
        "_headed",
        "_limit",
        "_max_metadata_bytes",
        "_more_comes",
        "_more_follows",
        "_replied",
        "_takes",
        "_to_caller",
        "_to_worker",
    )

    def __init__(
        self,
        kind: CallKind,
        limit: int,
        max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
        *,
        more: bool = False,
    ) -> None:
        """Begin a call.

        Args:
            kind: How many messages travel each way.
            limit: Bytes one message of the worker's may have.
            max_metadata_bytes: Bytes of metadata that it may have.
            more: Whether parts of the caller's arguments follow.
        """
        self._more_follows = more
        self._ended = False
        self._takes = kind.takes_items
        self._gives = kind.gives_items
        self._limit = limit
        self._max_metadata_bytes = max_metadata_bytes
        self._to_worker = ReceiveWindow(STREAM_WINDOW)
        self._to_caller = SendWindow(STREAM_WINDOW)
        self._headed = self._more_comes = False
        self._replied: int | None = None

    def of_caller(self, message: Message) -> int:
        """Judge a message of the caller's and return what it counts as.

        Raises:
            RemoteProtocolError: The call can have no such message now, or there was no
                credit for it.
        """
        match message:
            case Credit(size=credit):
                self._to_caller.grant(credit)
            case Part(more=more):
                if not self._more_follows:
                    raise RemoteProtocolError(f"a part of nothing for {message.id}")
                self._more_follows = more
            case Item(more=more):
                self._check_stream(message)
                self._more_follows = more
            case End():
                self._check_stream(message)
                self._ended = True
            case _:
                pass
        size = counted(message)
        if size:
            self._to_worker.arrived(size)
        return size

    def _check_stream(self, message: Item | End) -> None:
        if not self._takes or self._more_follows or self._ended:
            raise RemoteProtocolError(
                f"{type(message).__name__} for call {message.id} at the wrong moment"
            )

    def of_worker(self, message: WorkerMessage, size: int) -> StatusCode | None:
        """Judge a message of the worker's; return how the call has ended, if it has.

        Args:
            message: The message.
            size: What it counts as.

        Raises:
            RemoteProtocolError: The message is none that a call can have now.
        """
        if size:
            if self._to_caller.left <= 0:
                raise RemoteProtocolError(
                    f"{size} bytes of call {message.id} without credit"
                )
            self._to_caller.left -= size
        gives = self._gives
        match message:
            case Credit(size=size):
                self._to_worker.left += size
                if self._to_worker.left > STREAM_WINDOW:
                    raise RemoteProtocolError(f"credit over the window of {message.id}")
                return None
            case Headers(metadata=pairs):
                if self._headed or self._replied is not None:
                    raise RemoteProtocolError(f"headers of {message.id} come too late")
                self._headed = True
                self._check_pairs(pairs, "headers")
                return None
            case Status(code=code, trailers=trailers):
                if code == StatusCode.OK and not gives:
                    raise RemoteProtocolError("status OK without a result")
                if code == StatusCode.OK and self._more_comes:
                    raise RemoteProtocolError(f"half an item of call {message.id}")
                self._check_pairs(trailers, "trailers")
                return StatusCode(code)
            case Part(more=more, chunk=piece):
                if not self._more_comes:
                    raise RemoteProtocolError(f"a part of nothing of call {message.id}")
            case Reply(more=more, body=piece, trailers=trailers):
                if gives or self._replied is not None:
                    raise RemoteProtocolError(f"a reply to call {message.id}, of none")
                self._replied = 0
                self._check_pairs(trailers, "trailers")
            case Item(more=more, body=piece):
                if not gives or self._more_comes:
                    raise RemoteProtocolError(f"an item of call {message.id}, of none")
                self._replied = 0
        assert self._replied is not None
        self._more_comes = more
        self._replied += len(piece)
        if self._replied > self._limit:
            raise RemoteProtocolError(
                f"a body of over {self._limit} bytes of call {message.id}"
            )
        return None if more or gives else StatusCode.OK

    def _check_pairs(self, pairs: object, what: str) -> None:
        if pairs is not None:
            try:
                metadata(pairs, self._max_metadata_bytes, what)  # type: ignore[arg-type]
            except ValueError as error:
                raise RemoteProtocolError(f"malformed {what}: {error}") from error
