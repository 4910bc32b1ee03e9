"""The channel: what a client makes calls on, to one server."""

import math
from typing import Final, TypeVar

import msgspec

from signetrpc.transport import (
    Connector,
    FrameTooLarge,
    InsufficientProtection,
    Protection,
)
from signetrpc.transport._loops import Loop

from ._assembly import DEFAULT_MAX_BODY_BYTES, check_size
from ._call_info import CallInfo
from ._context import time_bound
from ._keepalive import DEFAULT_KEEPALIVE, KeepalivePolicy
from ._messages import encode_metadata
from ._metadata import DEFAULT_MAX_METADATA_BYTES, MetadataInput
from ._metadata_limit import checked_limit, limited
from ._methods import (
    BidirectionalMethod,
    ClientStreamMethod,
    Method,
    ServerStreamMethod,
    UnaryMethod,
)
from ._opening import Begin, Opening
from ._reconnecting import Reconnecting
from ._settings import checked_positive
from ._status import StatusCode
from ._stream_call import StreamCall
from ._streams import BidirectionalStream, ItemSource, ServerStream, one_reply
from .errors import DeadlineExceeded, NotCarriedOut, RpcError

__all__ = ["DEFAULT_TIMEOUT", "Channel"]

A = TypeVar("A", bound=msgspec.Struct)
I = TypeVar("I")  # noqa: E741 - an item, beside arguments and results
R = TypeVar("R")

DEFAULT_TIMEOUT: Final = 60.0
"""Seconds a unary call may take that names no timeout."""

_NO_METADATA: Final = encode_metadata(())


class Channel(Reconnecting):
    """A client's way to one server.  Made by `connect`; used by generated stubs.

    It reconnects by itself: the call that finds the connection gone opens another,
    unless the last attempt failed so recently that the server is left alone.  A call
    with `wait_for_ready` waits for that, and through attempts that fail.
    """

    def __init__(
        self,
        connector: Connector,
        loop: Loop,
        *,
        default_timeout: float = DEFAULT_TIMEOUT,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        keepalive: KeepalivePolicy = DEFAULT_KEEPALIVE,
        max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
        propagate_deadline: bool = True,
        wait_for_ready: bool = False,
    ) -> None:
        checked_positive(default_timeout=default_timeout, max_body_bytes=max_body_bytes)
        super().__init__(
            connector,
            loop,
            max_body_bytes=max_body_bytes,
            max_metadata_bytes=checked_limit(max_metadata_bytes),
            keepalive=keepalive,
            wait_for_ready=wait_for_ready,
        )
        self._default_timeout = default_timeout
        self._propagate_deadline = propagate_deadline

    async def unary(
        self,
        method: UnaryMethod[A, R],
        arguments: A,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
        call_info: CallInfo | None = None,
    ) -> R:
        """Call a method: one request, one reply.

        Inside a handler the call takes no longer than what is left of the handler's
        own.  Cancelling the caller's scope cancels the call.

        Args:
            method: What to call.
            arguments: Its arguments.
            timeout: Seconds the call may take; None for the channel's default.
            metadata: Pairs to send along.
            protection: A level to raise the call to.  A method's own level is never
                lowered.
            wait_for_ready: Whether to wait for a server that cannot be reached, as long
                as the call may take, or to fail; None for the channel's habit.
            call_info: Gets what comes beside the reply.

        Returns:
            The result, of the method's type.

        Raises:
            RpcError: The call ended with another status than OK.
            DeadlineExceeded: Its time ran out.
            ValueError: The metadata breaks a rule.
        """
        seconds = self._default_timeout if timeout is None else timeout
        if self._propagate_deadline:
            seconds = time_bound(seconds)
        body = method.encode_arguments(arguments)
        check_size(len(body), self._max_body_bytes, "arguments")
        pairs = _NO_METADATA if metadata is None else self._encoded(metadata)
        level = method.protection
        if protection is not None and protection > level:
            level = protection
        if not seconds > 0:
            raise DeadlineExceeded
        ends = self._loop.time() + seconds
        again = False
        while True:
            connection = self._connection
            if connection is None or not connection.usable:
                connection = await self._reconnect(seconds, wait_for_ready)
                seconds = ends - self._loop.time()
            if call_info is not None:
                call_info.reached(connection.established, level)
            try:
                return await connection.call(
                    method.wire_name,
                    level,
                    body,
                    seconds,
                    pairs,
                    method.decode_result,
                    method.errors,
                    call_info,
                )
            except (InsufficientProtection, FrameTooLarge) as error:
                raise RpcError(StatusCode.FAILED_PRECONDITION, str(error)) from error
            except NotCarriedOut:
                # Nothing of it has run, so it is made again where there is a server;
                # once, as in gRFC A6: a server may send everybody away.
                if again:
                    raise
                again = True
                seconds = ends - self._loop.time()
                if not seconds > 0:
                    raise DeadlineExceeded from None

    async def client_stream(
        self,
        method: ClientStreamMethod[A, I, R],
        arguments: A,
        items: ItemSource[I],
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
        call_info: CallInfo | None = None,
    ) -> R:
        """Call a method: a stream of requests, one reply.

        Args:
            method: What to call.
            arguments: Its arguments.
            items: What to send, asynchronously iterable or plainly; iterated in a task
                of its own.
            timeout: Seconds the call may take; None for as long as it likes, or inside
                a handler as long as that may.
            metadata: Pairs to send along.
            protection: A level to raise the call to; see `raised` for one item.
            wait_for_ready: As for `unary`; without a timeout, for as long as it takes.
            call_info: Gets what comes beside the reply.

        Returns:
            The result, of the method's type.

        Raises:
            RpcError: The call ended with another status than OK.
            ValueError: The metadata breaks a rule.
            Exception: What `items` raised; the call is cancelled.
        """
        begin = self._beginning(
            method, arguments, timeout, metadata, protection, wait_for_ready
        )
        opening = Opening(begin)
        try:
            return await one_reply(
                self._loop,
                opening,
                items,
                method.encode_item,
                method.decode_result,
                self._max_body_bytes,
            )
        finally:
            if call_info is not None and opening.call is not None:
                opening.call.tell(call_info)

    def server_stream(
        self,
        method: ServerStreamMethod[A, R],
        arguments: A,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
    ) -> ServerStream[R]:
        """Call a method: one request, a stream of replies.

        The arguments are those of `client_stream`; what comes beside the items, the
        stream has.

        Raises:
            ValueError: The metadata breaks a rule.
            RpcError: The arguments cannot be sent.  Everything else comes when the
                stream is read.
        """
        begin = self._beginning(
            method, arguments, timeout, metadata, protection, wait_for_ready
        )
        return ServerStream(begin, method.decode_result)

    def bidirectional(
        self,
        method: BidirectionalMethod[A, I, R],
        arguments: A,
        items: ItemSource[I] | None = None,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
    ) -> BidirectionalStream[I, R]:
        """Call a method: a stream each way.

        The arguments are those of `client_stream`; without `items`, send by the
        stream's own `send` and `end`.

        Raises:
            ValueError: The metadata breaks a rule.
            RpcError: The arguments cannot be sent.
        """
        begin = self._beginning(
            method, arguments, timeout, metadata, protection, wait_for_ready
        )
        return BidirectionalStream(
            self._loop,
            begin,
            method.encode_item,
            method.decode_result,
            self._max_body_bytes,
            items,
        )

    def _beginning(
        self,
        method: Method[A, R],
        arguments: A,
        timeout: float | None,
        metadata: MetadataInput | None,
        protection: Protection | None,
        wait_for_ready: bool | None,
    ) -> Begin:
        body = method.encode_arguments(arguments)
        check_size(len(body), self._max_body_bytes, "arguments")
        pairs = self._encoded(metadata)
        level = max(method.protection, protection or method.protection)
        if self._propagate_deadline:
            timeout = time_bound(timeout)
        ends = None if timeout is None else self._loop.time() + timeout
        waits = self._wait_for_ready if wait_for_ready is None else wait_for_ready
        longest = math.inf if waits else self._default_timeout

        def left() -> float | None:
            if ends is None:
                return None
            seconds = ends - self._loop.time()
            if not seconds > 0:
                raise DeadlineExceeded
            return seconds

        async def begin(opening: Opening) -> StreamCall:
            seconds = left()
            connection = self._connection
            if connection is None or not connection.usable:
                wait = longest if seconds is None else seconds
                reconnecting = self._reconnect(wait, waits)
                connection = await opening.interruptible(reconnecting)
                seconds = left()
            try:
                return await connection.stream(
                    method.wire_name,
                    level,
                    body,
                    seconds,
                    pairs,
                    method.kind,
                    self._max_body_bytes,
                    method.errors,
                )
            except (InsufficientProtection, FrameTooLarge) as error:
                raise RpcError(StatusCode.FAILED_PRECONDITION, str(error)) from error

        return begin

    def _encoded(self, given: MetadataInput | None) -> bytes:
        return encode_metadata(limited(given, self._max_metadata_bytes))
