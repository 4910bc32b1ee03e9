"""The client's end of a connection: the table of calls under way.

Each call is an entry with the level it is pinned to and a waiter; no task, scope or
event of its own.  Whatever ends a call (an answer, its deadline, its caller's
cancellation, the connection's end) takes the entry out, once.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar, cast

from signetrpc.transport import (
    Protection,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop

from ._assembly import Assemblies, Buffers
from ._call_info import Beside
from ._codec import Body
from ._connection import EACH_CALL
from ._context import CancellationCause
from ._declared_errors import NO_ERRORS, ErrorClasses
from ._flow import ITEM_OVERHEAD
from ._keepalive import KeepalivePolicy
from ._messages import (
    Credit,
    GoAway,
    Headers,
    Item,
    Message,
    Part,
    Reply,
    Status,
    encode_call,
    encode_cancel,
    encode_credit,
)
from ._metadata import DEFAULT_MAX_METADATA_BYTES
from ._outbox import Outbox
from ._pending_call import PendingCall
from ._retiring import RetiringConnection
from ._schema import CallKind
from ._status import StatusCode
from ._stream_call import StreamCall
from .errors import DeadlineExceeded, NotCarriedOut, RpcError

__all__ = ["ClientConnection"]

R = TypeVar("R")

_ROOM_SECONDS: Final = 60.0
"""A call without a deadline begins within this time, or the server reads nothing."""


class ClientConnection(RetiringConnection):
    """A connection with calls under way.

    Attributes:
        max_metadata_bytes: What headers and trailers may have.
    """

    _peer_role = "server"

    def __init__(
        self,
        loop: Loop,
        link: Link,
        *,
        max_body_bytes: int,
        max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
        buffers: Buffers,
        keepalive: KeepalivePolicy | None = None,
    ) -> None:
        self._calls: dict[int, PendingCall | StreamCall] = {}
        super().__init__(loop, link, self._calls, keepalive=keepalive)
        self._assemblies = Assemblies(max_body_bytes, "reply", buffers)
        self.max_metadata_bytes = max_metadata_bytes

    async def call(
        self,
        method: bytes,
        level: Protection,
        body: bytes,
        timeout: float,
        metadata: bytes,
        decode: Callable[[Body], R],
        errors: ErrorClasses = NO_ERRORS,
        beside: Beside | None = None,
    ) -> R:
        """Make a call and return its decoded reply.

        Args:
            method: The full name in msgpack.
            level: The least level of every message of the call.
            body: The arguments.
            timeout: Seconds.
            metadata: From `encode_metadata`.
            decode: Gets the body of the reply, which it must not keep.
            errors: What the method declares.
            beside: Gets headers and trailers, if anybody wants them.

        Raises:
            RpcError: It ended otherwise, or what `decode` raised.
            InsufficientProtection: The connection cannot give the level.
            FrameTooLarge: The server takes no message of that length.
        """
        if self._pipe.congested:
            timeout = await self._wait_for_room(timeout)
        if level < self.established.minimum:
            level = self.established.minimum
        call = PendingCall(level, decode, self._loop.waiter(), errors, beside)
        call_id = self._begin(call, method, level, timeout, metadata, body)
        try:
            if call.outbox is not None:
                # Answered before all was sent, the call has its outcome already.
                with suppress(RpcError):
                    await call.outbox.send_rest(body)
            outcome = await call.waiter
        finally:
            if call_id in self._calls:  # cancelled
                self._abandon(call_id)
        if isinstance(outcome, Exception):
            raise outcome
        return cast("R", outcome)

    async def stream(
        self,
        method: bytes,
        level: Protection,
        body: bytes,
        timeout: float | None,
        metadata: bytes,
        kind: CallKind,
        limit: int,
        errors: ErrorClasses = NO_ERRORS,
    ) -> StreamCall:
        """Begin a call in which a stream travels, and return it.

        The arguments are those of `call`, and how many messages travel each way;
        `limit` is what one message may have, in bytes.

        Raises:
            RpcError: It ended while its arguments were sent.
            InsufficientProtection: The connection cannot give the level.
            FrameTooLarge: The server takes no message of that length.
        """
        if self._pipe.congested:
            left = await self._wait_for_room(
                _ROOM_SECONDS if timeout is None else timeout
            )
            timeout = None if timeout is None else left
        if level < self.established.minimum:
            level = self.established.minimum
        call = StreamCall(self, self._next_id, level, kind, limit, errors)
        call_id = self._begin(call, method, level, timeout, metadata, body)
        try:
            if len(body) > self.piece_bytes:
                await call.outbox.send_rest(body)
        except BaseException:
            self.give_up(call_id)
            raise
        return call

    def _begin(
        self,
        call: PendingCall | StreamCall,
        method: bytes,
        level: Protection,
        timeout: float | None,
        metadata: bytes,
        body: bytes,
    ) -> int:
        if self._ended is not None:
            raise self._no_connection()
        call_id = self._next_id
        more = len(body) > self.piece_bytes
        head = body[: self.piece_bytes] if more else body
        self._send(encode_call(call_id, method, timeout, metadata, head, more), level)
        if self._ended is not None:
            raise self._no_connection()
        self._unsent += EACH_CALL
        self._next_id = call_id + 1
        self._calls[call_id] = call
        if more and isinstance(call, PendingCall):
            call.outbox = Outbox(self, call_id, level)
        if timeout is not None:
            self._set_deadline(call_id, self._loop.time() + timeout)
        if self._alone and len(self._calls) == 1:
            self._flush()
        else:
            self._flush_soon()
        return call_id

    def give_up(self, call_id: int) -> None:
        """Cancel a call, unless it has ended."""
        if call_id in self._calls:
            self._abandon(call_id)

    def send(self, message: bytes, level: Protection) -> None:
        """Send a message of a call that is under way."""
        self._send(message, level)
        self._flush_soon()

    def _no_connection(self) -> RpcError:
        return RpcError(StatusCode.UNAVAILABLE, f"no connection: {self._ended}")

    def _abandon(
        self, call_id: int, cause: CancellationCause = CancellationCause.CALLER
    ) -> None:
        if self._ended is None:
            self._send(encode_cancel(call_id, cause), self._calls[call_id].level)
            self._flush_soon()
        if call_id in self._calls:
            self._take(call_id)

    def _take(self, call_id: int) -> PendingCall | StreamCall:
        call = self._calls.pop(call_id)
        if self._assemblies.bodies:
            self._assemblies.discard(call_id)
        if self._retired:
            self._close_if_idle()
        return call

    def _receive(
        self, message: Message, level: Protection, raw: bytes | memoryview
    ) -> None:
        if type(message) is Item:
            # The short way of the commonest messages, with the checks of the long one.
            call = self._calls.get(message.id)
            if (
                type(call) is StreamCall
                and level >= call.level
                and call.take_item(message)
            ):
                self._arrived(len(message.body) + ITEM_OVERHEAD)
                return
        elif type(message) is Reply:
            call = self._calls.get(message.id)
            if (
                type(call) is PendingCall
                and level >= call.level
                and message.trailers is None
                and not message.more
                and not self._assemblies.bodies
            ):
                try:
                    outcome: object = call.decode(
                        self._assemblies.checked(message.body)
                    )
                except Exception as error:
                    outcome = error
                self._take(message.id)
                call.end(outcome)
                return
        match message:
            case Reply() | Status() | Headers():
                pass
            case Item(body=body):
                self._arrived(len(body) + ITEM_OVERHEAD)
            case Part(chunk=chunk):
                self._arrived(len(chunk))
            case Credit() if message.id:
                pass
            case GoAway(last_id=last_id):
                self._note_going(message)
                for call_id, call in list(self._calls.items()):
                    if call_id > last_id and (level or not call.level):  # or unproven
                        self._take(call_id).end(NotCarriedOut())
                self.retire()
                return
            case _:
                self._receive_control(message)
                return
        call_id = message.id
        call = self._calls.get(call_id)
        if call is None:
            if call_id >= self._next_id:
                raise RemoteProtocolError(f"an answer to call {call_id}, never made")
            return  # cancelled or expired here meanwhile
        if level < call.level:
            raise RemoteProtocolError(
                f"an answer at level {level.name} to a call at {call.level.name}"
            )
        if isinstance(call, StreamCall):
            if call.receive(message):
                self._take(call_id)
            return
        try:
            if isinstance(message, Reply) and message.trailers is not None:
                call.take_trailers(message, self.max_metadata_bytes)
            match message:
                case Reply(more=False, body=body) if call_id not in self._assemblies:
                    outcome = call.decode(self._assemblies.checked(body))
                case Reply(more=more) | Part(more=more):
                    begun = call_id in self._assemblies
                    piece, credit = call.take_piece(message, begun)
                    if credit:
                        self.send(encode_credit(call_id, credit), call.level)
                    if more:
                        self._assemblies.add(call_id, piece)
                        return
                    outcome = self._assemblies.finish(call_id, piece, call.decode)
                case Status():
                    outcome = call.error_of(message, self.max_metadata_bytes)
                case Credit(size=size):
                    if call.outbox is not None:
                        call.outbox.grant(size)
                    return
                case Headers():
                    if call_id in self._assemblies:
                        raise RemoteProtocolError(f"headers of {call_id} come too late")
                    call.take_headers(message, self.max_metadata_bytes)
                    return
                case Item():
                    raise RemoteProtocolError(f"an item for call {call_id}, of none")
        except TransportError:
            raise
        except Exception as error:
            # Too long, or not what the method returns: the call's failure alone.
            outcome = error
            if isinstance(message, Headers) or (
                isinstance(message, Reply | Part) and message.more
            ):
                self.send(encode_cancel(call_id), call.level)
        self._take(call_id)
        call.end(outcome)

    def _expire(self, call_id: int) -> None:
        call = self._calls.get(call_id)
        if call is None:
            return  # the connection ended in this very turn
        call.end(DeadlineExceeded())
        self._abandon(call_id, CancellationCause.DEADLINE)

    def _lost(self, error: TransportError) -> None:
        calls = list(self._calls.values())
        self._calls.clear()
        text = f"the connection ended: {error}"
        if self.sent_away:
            text += f"; the server says: {self.sent_away!r}"
        for call in calls:
            failure = RpcError(StatusCode.UNAVAILABLE, text)
            if isinstance(call, StreamCall):
                call.lost(failure)
            else:
                call.end(failure)
