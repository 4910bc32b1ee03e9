"""The client's end of a connection: the table of calls under way.

Each call is an entry with the level it is pinned to and a waiter; no task, scope or
event of its own.  Whatever ends a call (an answer, its deadline, its caller's
cancellation, the connection's end) takes the entry out, once.
"""

from collections.abc import Callable
from typing import Final, TypeVar, cast

import anyio

from signetrpc.transport import (
    ConnectionClosed,
    Protection,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop, Waiter

from ._assembly import Assemblies, Buffers
from ._codec import Body
from ._connection import Connection
from ._messages import (
    PART_BYTES,
    GoAway,
    Message,
    Part,
    Reply,
    Status,
    encode_call,
    encode_cancel,
    parts_of,
)
from ._metadata import metadata
from ._status import StatusCode
from .errors import DeadlineExceeded, RpcError, rpc_error

__all__ = ["ClientConnection"]

R = TypeVar("R")

_LAST_CALL_ID: Final = 0xFFFFFFFF


class _PendingCall:
    """A call under way: the level it is pinned to, its reply's form, and who waits."""

    __slots__ = ("decode", "level", "waiter")

    def __init__(
        self,
        level: Protection,
        decode: Callable[[Body], object],
        waiter: Waiter[object],
    ) -> None:
        self.level = level
        self.decode = decode
        self.waiter = waiter


class ClientConnection(Connection):
    """A connection with calls under way."""

    def __init__(
        self, loop: Loop, link: Link, *, max_body_bytes: int, buffers: Buffers
    ) -> None:
        super().__init__(loop, link)
        self._calls: dict[int, _PendingCall] = {}
        self._next_id = 1
        self._assemblies = Assemblies(max_body_bytes, "reply", buffers)
        self._retired = False
        self._waiting_for_room = 0

    def start(self) -> None:
        """Begin to receive, and see to the end."""
        super().start()
        self._loop.spawn(self._close_when_ended())

    async def _close_when_ended(self) -> None:
        try:
            await self.wait_ended()
        finally:
            await self.aclose()

    def retire(self) -> None:
        """Close as soon as no call is under way: another connection takes over."""
        self._retired = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._retired and not self._calls and not self._waiting_for_room:
            self._end(ConnectionClosed("closed by this end", clean=True))

    @property
    def usable(self) -> bool:
        """True if a call can be started here."""
        return (
            self._ended is None
            and not self._retired
            and self._next_id <= _LAST_CALL_ID
            and not self._session.exhausted
        )

    async def call(
        self,
        method: bytes,
        level: Protection,
        body: bytes,
        timeout: float,
        metadata: bytes,
        decode: Callable[[Body], R],
    ) -> R:
        """Make a call and return its decoded reply.

        Args:
            method: The full name in msgpack.
            level: The least level of every message of the call.
            body: The arguments.
            timeout: Seconds.
            metadata: From `encode_metadata`.
            decode: Gets the body of the reply, which it must not keep.

        Raises:
            RpcError: It ended otherwise, or what `decode` raised.
            InsufficientProtection: The connection cannot give the level.
            FrameTooLarge: The server takes no message of that length.
        """
        if self._pipe.congested:
            timeout = await self._wait_for_room(timeout)
        if level < self.established.minimum:
            level = self.established.minimum
        call_id = self._next_id
        waiter = self._loop.waiter()
        self._write_call(call_id, level, method, timeout, metadata, body)
        self._check_not_ended()
        self._next_id = call_id + 1
        self._calls[call_id] = _PendingCall(level, decode, waiter)
        self._set_deadline(call_id, self._loop.time() + timeout)
        if len(self._calls) == 1:
            self._flush()
        else:
            self._flush_soon()
        try:
            outcome = await waiter
        finally:
            if call_id in self._calls:  # cancelled
                self._abandon(call_id)
        if isinstance(outcome, Exception):
            raise outcome
        return cast("R", outcome)

    async def _wait_for_room(self, timeout: float) -> float:
        """Wait until the server takes data again; return what is left of the time."""
        end = self._loop.time() + timeout
        self._waiting_for_room += 1
        try:
            with anyio.move_on_after(timeout):
                await self._pipe.drain()
                return end - self._loop.time()
        except ConnectionClosed as error:
            raise RpcError(StatusCode.UNAVAILABLE, str(error)) from error
        finally:
            self._waiting_for_room -= 1
        self._close_if_idle()
        raise DeadlineExceeded(f"the server took no data for {timeout:g} seconds")

    def _check_not_ended(self) -> None:
        if self._ended is not None:
            raise RpcError(StatusCode.UNAVAILABLE, f"no connection: {self._ended}")

    def _write_call(
        self,
        call_id: int,
        level: Protection,
        method: bytes,
        timeout: float,
        metadata: bytes,
        body: bytes,
    ) -> None:
        self._check_not_ended()
        if len(body) <= PART_BYTES:
            self._send(encode_call(call_id, method, timeout, metadata, body), level)
            return
        head = body[:PART_BYTES]
        self._send(encode_call(call_id, method, timeout, metadata, head, True), level)
        for part in parts_of(call_id, body):
            # Each on its way at once: the server opens one while the next is sealed.
            self._flush()
            self._send(part, level)

    def _abandon(self, call_id: int) -> None:
        if self._ended is None:
            self._send(encode_cancel(call_id), self._calls[call_id].level)
            self._flush_soon()
        if call_id in self._calls:
            self._take(call_id)

    def _take(self, call_id: int) -> _PendingCall:
        self._deadlines.discard(call_id)
        self._assemblies.discard(call_id)
        call = self._calls.pop(call_id)
        if self._retired:
            self._close_if_idle()
        return call

    def _receive(
        self, message: Message, level: Protection, raw: bytes | memoryview
    ) -> None:
        if isinstance(message, GoAway):
            self.retire()
            return
        if not isinstance(message, Reply | Part | Status):
            raise RemoteProtocolError(f"{type(message).__name__} from a server")
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
        try:
            match message:
                case Reply(more=False, body=body) if call_id not in self._assemblies:
                    outcome = call.decode(body)
                case Reply() | Part():
                    piece = self._piece_of(message)
                    if message.more:
                        self._assemblies.add(call_id, piece)
                        return
                    outcome = self._assemblies.finish(call_id, piece, call.decode)
                case Status():
                    outcome = _error_of(message)
        except TransportError:
            raise
        except Exception as error:
            # Too long, or not what the method returns: the call's failure alone.
            outcome = error
            if not isinstance(message, Status) and message.more:
                self._send(encode_cancel(call_id), call.level)
                self._flush_soon()
        waiter = self._take(call_id).waiter
        if not waiter.done():  # else its caller was cancelled in this very turn
            waiter.set_result(outcome)

    def _piece_of(self, message: Reply | Part) -> bytes | memoryview:
        begun = message.id in self._assemblies
        match message:
            case Reply(body=piece):
                if begun:
                    raise RemoteProtocolError(f"a second reply to call {message.id}")
            case Part(chunk=piece):
                if not begun:
                    raise RemoteProtocolError(
                        f"a part of no reply to call {message.id}"
                    )
        return piece

    def _expire(self, call_id: int) -> None:
        call = self._calls.get(call_id)
        if call is None:
            return  # the connection ended in this very turn
        if not call.waiter.done():
            call.waiter.set_result(DeadlineExceeded())
        self._abandon(call_id)

    def _lost(self, error: TransportError) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if not call.waiter.done():
                call.waiter.set_result(
                    RpcError(StatusCode.UNAVAILABLE, f"the connection ended: {error}")
                )


def _error_of(message: Status) -> RpcError:
    try:
        trailers = metadata(message.trailers)
    except ValueError as error:
        raise RemoteProtocolError(f"malformed trailers: {error}") from error
    return rpc_error(StatusCode(message.code), message.message, trailers)
