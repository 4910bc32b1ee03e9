"""The channel: a client's way to one server, over connections that come and go."""

import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
import msgspec

from signetrpc.transport import (
    ConnectionClosed,
    Connector,
    FrameTooLarge,
    Identity,
    InsufficientProtection,
    Protection,
    TransportError,
)
from signetrpc.transport._loops import Loop

from ._assembly import DEFAULT_MAX_BODY_BYTES, Buffers, check_size
from ._attempt import Attempt, connect_error
from ._backoff import Backoff
from ._call_info import CallInfo
from ._client_connection import ClientConnection
from ._context import time_bound
from ._keepalive import DEFAULT_KEEPALIVE, KeepalivePolicy
from ._messages import encode_given
from ._metadata import MetadataInput, MetadataTooLarge
from ._methods import (
    BidirectionalMethod,
    ClientStreamMethod,
    Method,
    ServerStreamMethod,
    UnaryMethod,
)
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


class Channel:
    """A client's way to one server.  Made by `connect`; used by generated stubs.

    It reconnects by itself: the call that finds the connection gone opens another,
    unless the last attempt failed so recently that the server is left alone.
    """

    def __init__(
        self,
        connector: Connector,
        loop: Loop,
        *,
        default_timeout: float = DEFAULT_TIMEOUT,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        keepalive: KeepalivePolicy = DEFAULT_KEEPALIVE,
        propagate_deadline: bool = True,
    ) -> None:
        self._connector = connector
        self._loop = loop
        self._default_timeout = default_timeout
        self._max_body_bytes = max_body_bytes
        self._keepalive = keepalive
        self._propagate_deadline = propagate_deadline
        self._buffers = Buffers()
        self._connection: ClientConnection | None = None
        self._attempt: Attempt | None = None
        self._backoff = Backoff(random.random)
        self._failure: tuple[StatusCode, str] | None = None
        self._closed = False

    @property
    def peer(self) -> Identity:
        """Who the server is, as far as it proved it; see `Identity.mutual`."""
        assert self._connection is not None
        return self._connection.established.peer

    @property
    def minimum_protection(self) -> Protection:
        """The lowest level of anything on the last connection."""
        assert self._connection is not None
        return self._connection.established.minimum

    async def unary(
        self,
        method: UnaryMethod[A, R],
        arguments: A,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
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
        pairs = _encoded(metadata)
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
                connection = await self._reconnect(seconds)
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
            call_info: Gets what comes beside the reply.

        Returns:
            The result, of the method's type.

        Raises:
            RpcError: The call ended with another status than OK.
            ValueError: The metadata breaks a rule.
            Exception: What `items` raised; the call is cancelled.
        """
        begin = self._beginning(method, arguments, timeout, metadata, protection)
        call = await begin()
        try:
            return await one_reply(
                self._loop,
                call,
                items,
                method.encode_item,
                method.decode_result,
                self._max_body_bytes,
            )
        finally:
            if call_info is not None:
                call.tell(call_info)

    def server_stream(
        self,
        method: ServerStreamMethod[A, R],
        arguments: A,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
    ) -> ServerStream[R]:
        """Call a method: one request, a stream of replies.

        The arguments are those of `client_stream`; what comes beside the items, the
        stream has.

        Raises:
            ValueError: The metadata breaks a rule.
            RpcError: The arguments cannot be sent.  Everything else comes when the
                stream is read.
        """
        begin = self._beginning(method, arguments, timeout, metadata, protection)
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
    ) -> BidirectionalStream[I, R]:
        """Call a method: a stream each way.

        The arguments are those of `client_stream`; without `items`, send by the
        stream's own `send` and `end`.

        Raises:
            ValueError: The metadata breaks a rule.
            RpcError: The arguments cannot be sent.
        """
        begin = self._beginning(method, arguments, timeout, metadata, protection)
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
    ) -> Callable[[], Awaitable[StreamCall]]:
        body = method.encode_arguments(arguments)
        check_size(len(body), self._max_body_bytes, "arguments")
        pairs = _encoded(metadata)
        level = max(method.protection, protection or method.protection)
        if self._propagate_deadline:
            timeout = time_bound(timeout)
        ends = None if timeout is None else self._loop.time() + timeout

        async def begin() -> StreamCall:
            connection = self._connection
            if connection is None or not connection.usable:
                left = None if ends is None else ends - self._loop.time()
                connection = await self._reconnect(left or self._default_timeout)
            left = None if ends is None else ends - self._loop.time()
            if left is not None and not left > 0:
                raise DeadlineExceeded
            try:
                return await connection.stream(
                    method.wire_name,
                    level,
                    body,
                    left,
                    pairs,
                    method.kind,
                    self._max_body_bytes,
                    method.errors,
                )
            except (InsufficientProtection, FrameTooLarge) as error:
                raise RpcError(StatusCode.FAILED_PRECONDITION, str(error)) from error

        return begin

    async def _reconnect(self, seconds: float) -> ClientConnection:
        with anyio.move_on_after(seconds):
            attempt = self._attempt or self._begin_attempt()
            await attempt.over.wait()
            if attempt.connection is not None:
                return attempt.connection
            if isinstance(attempt.error, TransportError):
                raise connect_error(attempt.error) from attempt.error
            raise attempt.error or _closed()
        raise DeadlineExceeded(f"no connection within {seconds:g} seconds")

    def _begin_attempt(self) -> Attempt:
        if self._closed:
            raise _closed()
        wait = self._backoff.wait(self._loop.time())
        if wait > 0 and self._failure is not None:
            status, message = self._failure
            raise RpcError(status, f"{message}; next attempt in {wait:.1f} seconds")
        attempt = self._attempt = Attempt()
        self._loop.spawn(self._connect_again(attempt))
        return attempt

    async def _connect_again(self, attempt: Attempt) -> None:
        try:
            attempt.connection = await self.open()
        except TransportError as error:
            attempt.error = error
            failure = connect_error(error)
            self._failure = failure.status, failure.message
        except Exception as error:
            attempt.error = error
        finally:
            self._attempt = None
            attempt.over.set()

    async def open(self) -> ClientConnection:
        """Open a connection now.

        Raises:
            TransportError: As `Connector.connect`.
        """
        try:
            link = await self._connector.connect()
        except TransportError:
            self._backoff.failed(self._loop.time())
            raise
        self._backoff.succeeded()
        if self._closed:
            link.pipe.abort()
            await link.pipe.aclose()
            raise ConnectionClosed("the channel is closed", clean=True)
        former = self._connection
        if former is not None and former.sent_away:
            self._keepalive = self._keepalive.calmer()
        connection = ClientConnection(
            self._loop,
            link,
            max_body_bytes=self._max_body_bytes,
            buffers=self._buffers,
            keepalive=self._keepalive,
        )
        connection.start()
        self._connection = connection
        if former is not None:
            former.retire()
        return connection

    async def aclose(self) -> None:
        """Close the connection.  Calls under way end with UNAVAILABLE."""
        self._closed = True
        if self._connection is not None:
            await self._connection.aclose()


def _closed() -> RpcError:
    return RpcError(StatusCode.CANCELLED, "the channel is closed")


def _encoded(given: MetadataInput | None) -> bytes:
    try:
        return encode_given(given)
    except MetadataTooLarge as error:
        raise RpcError(StatusCode.RESOURCE_EXHAUSTED, str(error)) from None
