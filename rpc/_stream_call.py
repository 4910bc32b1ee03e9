"""A call in which a stream travels, in the client's table of calls."""

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from signetrpc.transport import Protection, RemoteProtocolError

from ._call_info import CallInfo
from ._declared_errors import NO_ERRORS, ErrorClasses, typed_error
from ._details import read_details
from ._inbox import Inbox
from ._messages import (
    Credit,
    Headers,
    Item,
    Part,
    Reply,
    Status,
    encode_cancel,
    encode_credit,
    encode_end,
)
from ._metadata import (
    DEFAULT_MAX_METADATA_BYTES,
    Metadata,
    MetadataTooLarge,
    metadata,
)
from ._metadata_limit import metadata_too_large
from ._outbox import Outbox
from ._schema import CallKind
from ._status import StatusCode
from .errors import NotCarriedOut, RpcError, rpc_error

if TYPE_CHECKING:
    from ._client_connection import ClientConnection

__all__ = ["StreamCall", "checked_pairs", "error_of"]


def error_of(
    message: Status,
    errors: ErrorClasses = NO_ERRORS,
    limit: int = DEFAULT_MAX_METADATA_BYTES,
) -> RpcError:
    """Return the error that a STATUS other than OK stands for.

    Args:
        message: The STATUS.
        errors: What the method declares.
        limit: Bytes that its trailers may have.

    Raises:
        RemoteProtocolError: It is OK, or its trailers are no metadata.
    """
    if message.code == StatusCode.OK:
        raise RemoteProtocolError("status OK without a result")
    code = StatusCode(message.code)
    try:
        trailers = checked_pairs(message.trailers, "trailers", limit, code.name)
    except RpcError as too_large:
        return too_large
    details = read_details(message.details or ())
    error = rpc_error(code, message.message, trailers, details)
    return typed_error(error, errors) if errors and details else error


def checked_pairs(
    pairs: object,
    what: str,
    limit: int = DEFAULT_MAX_METADATA_BYTES,
    status: str = "",
) -> Metadata:
    """Return metadata that has come.

    Args:
        pairs: The metadata.
        what: The word for it.
        limit: Bytes that it may have.
        status: What the call has ended with, if it has.

    Raises:
        RpcError: RESOURCE_EXHAUSTED: it is over the limit, which is this end's own.
        RemoteProtocolError: It is none.
    """
    try:
        return metadata(pairs, limit, what)  # type: ignore[arg-type]
    except MetadataTooLarge as error:
        raise metadata_too_large(error, status) from None
    except ValueError as error:
        raise RemoteProtocolError(f"malformed {what}: {error}") from error


class StreamCall:
    """One call's two halves, and what came beside them.

    A reply that is no stream counts as a stream of one message.

    Attributes:
        id: Its number on the connection.
        level: The level that every message of it has at least.
        inbox: What the server sends.
        outbox: What the client sends.
        headers: What the server sent ahead; None until it comes.
        trailers: What it sent at the end.
        ended: True once nothing more comes.
        half_closed: True once no further items go.
        not_taken: True if the server went before it took the call, and none of the
            caller's items had been sent: it can be made again.
    """

    def __init__(
        self,
        connection: "ClientConnection",
        call_id: int,
        level: Protection,
        kind: CallKind,
        limit: int,
        errors: ErrorClasses = NO_ERRORS,
    ) -> None:
        self.id = call_id
        self.level = level
        what = "item" if kind.gives_items else "reply"
        self.inbox = Inbox(connection.loop, self._give_credit, limit, what)
        self.outbox = Outbox(connection, call_id, level)
        self.headers: Metadata | None = None
        self.trailers: Metadata = ()
        self.ended = False
        self.half_closed = False
        self.not_taken = False
        self._connection = connection
        self._gives = kind.gives_items
        self._errors = errors
        self._replied = False  # with an item, or with all there is
        self._heading: anyio.Event | None = None

    def end_sending(self) -> None:
        """Tell the server that no further items come.

        Raises:
            BusyError: A task is sending one.
        """
        if not self.half_closed and not self.ended:
            self.outbox.check_idle()
            self.half_closed = True
            self._connection.send(encode_end(self.id), self.level)
            closed = RpcError(StatusCode.FAILED_PRECONDITION, "sending has ended")
            self.outbox.close(lambda: closed)

    def cancel(self) -> None:
        """Give the call up."""
        self._connection.give_up(self.id)
        error = RpcError(StatusCode.CANCELLED, "the call was cancelled")
        self.end(error)

    def tell(self, info: CallInfo) -> None:
        """Say what came beside the items."""
        info.reached(self._connection.established, self.level)
        info.headers = self.headers or ()
        info.trailers = self.trailers

    def abandon(self) -> None:
        """Give the call up, from anywhere: from a finaliser, or in another thread."""
        if not self.ended:
            with suppress(RuntimeError):  # the loop is closed, and the connection too
                self._connection.loop.call_soon_threadsafe(self.cancel)

    async def wait_headers(self) -> Metadata:
        """Wait for what the server sends ahead.

        Nothing, if it answers without.
        """
        while self.headers is None and not self.ended and not self._replied:
            if self._heading is None:
                self._heading = anyio.Event()
            await self._heading.wait()  # several tasks may
        return self.headers or ()

    # The connection calls these.

    def take_item(self, message: Item) -> bool:
        """Take an item whole, if nothing is in its way.

        Returns:
            False if it has to be judged by `receive`.

        Raises:
            RemoteProtocolError: There was no credit for it.
        """
        if message.more or not self._gives or self._heading is not None:
            return False
        if not self.inbox.put(message.body):
            return False
        self._replied = True
        return True

    def receive(self, message: Item | Part | Reply | Status | Headers | Credit) -> bool:
        """Take a message; return True if it was the last.

        Raises:
            RemoteProtocolError: It is none that the call can have now.
        """
        try:
            ended = self._receive(message)
        except RpcError as error:  # too long: the call's failure alone
            failure = error
            if isinstance(message, Status):
                self.inbox.cut(lambda: failure)
                return self._over(failure)
            self._connection.send(encode_cancel(self.id), self.level)
            self.end(error)
            return True
        self._wake()
        return ended

    def _wake(self) -> None:
        heading, self._heading = self._heading, None
        if heading is not None:
            heading.set()

    def _receive(
        self, message: Item | Part | Reply | Status | Headers | Credit
    ) -> bool:
        match message:
            case Item(body=body, more=more):
                if not self._gives:
                    raise RemoteProtocolError(f"an item for call {self.id}, of none")
                self._replied = True
                self.inbox.add(body, more)
                return False
            case Part(chunk=chunk, more=more):
                self.inbox.add_part(chunk, more)
                return not self._gives and not more and self._finish()
            case Reply(body=body, more=more, trailers=trailers):
                if self._gives or self._replied:
                    raise RemoteProtocolError(f"a reply to call {self.id}, of none")
                self._replied = True
                self.trailers = self._checked(trailers, "trailers")
                self.inbox.add(body, more, counted=False)
                return not more and self._finish()
            case Status(code=StatusCode.OK, trailers=trailers):
                if not self._gives:
                    raise RemoteProtocolError("status OK without a result")
                self.trailers = self._checked(trailers, "trailers")
                return self._finish()
            case Status():
                limit = self._connection.max_metadata_bytes
                error = error_of(message, self._errors, limit)
                self.trailers = error.trailers
                # What came before the error is still to be had.
                self.inbox.cut(lambda: error)
                return self._over(error)
            case Headers(metadata=pairs):
                if self.headers is not None or self._replied:
                    raise RemoteProtocolError(f"headers of {self.id} come too late")
                self.headers = self._checked(pairs, "headers")
                return False
            case Credit(size=size):
                self.outbox.grant(size)
                return False

    def _checked(self, pairs: object, what: str) -> Metadata:
        return checked_pairs(pairs, what, self._connection.max_metadata_bytes)

    def _finish(self) -> bool:
        self.inbox.finish()
        text = "answered before all of it was sent"
        return self._over(RpcError(StatusCode.CANCELLED, text))

    def _over(self, error: RpcError) -> bool:
        self.ended = True
        self.outbox.close(lambda: error)
        return True

    def end(self, error: RpcError) -> None:
        """Let both halves end with an error, unless they have ended."""
        if self.ended:
            return
        answered = self._replied or self.headers is not None
        if isinstance(error, NotCarriedOut) and not answered:
            self.not_taken = not self.outbox.begun
        self.inbox.fail(lambda: error)
        self._over(error)
        self._wake()

    def lost(self, error: RpcError) -> None:
        """Let both halves end with the connection; what came is still to be had."""
        self.inbox.cut(lambda: error)
        self._over(error)
        self._wake()

    def _give_credit(self, size: int) -> None:
        if not self.ended:
            self._connection.send(encode_credit(self.id, size), self.level)
