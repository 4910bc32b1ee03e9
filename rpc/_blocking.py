"""The blocking client: the same channel on an event loop in a thread of its own."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec

from signetrpc.transport import (
    ClientCredentials,
    ClientTls,
    Identity,
    ImpersonationLevel,
    Protection,
    SecurityPolicy,
)

from ._assembly import DEFAULT_MAX_BODY_BYTES, check_size
from ._blocking_loop import LoopThread, channel_closed
from ._blocking_sending import Sending, feed
from ._blocking_streams import BlockingBidirectionalStream, BlockingServerStream
from ._call_info import CallInfo
from ._channel import DEFAULT_TIMEOUT, Channel
from ._client import connect
from ._connectivity import ConnectivityState
from ._delegated import default_credentials
from ._interceptors import Interceptor
from ._items import lowered
from ._keepalive import DEFAULT_KEEPALIVE, KeepalivePolicy
from ._metadata import DEFAULT_MAX_METADATA_BYTES, MetadataInput
from ._methods import (
    BidirectionalMethod,
    ClientStreamMethod,
    ServerStreamMethod,
    UnaryMethod,
)

__all__ = ["BlockingChannel", "connect_blocking"]

A = TypeVar("A", bound=msgspec.Struct)
I = TypeVar("I")  # noqa: E741 - an item, beside arguments and results
R = TypeVar("R")

_DEFAULT_POLICY: Final = SecurityPolicy()


class BlockingChannel:
    """`Channel` for code without an event loop.  Several threads may use one.

    It belongs to the process that made it.  In one that is forked from that, its calls
    fail at once with RuntimeError, and the connection goes on to serve the parent;
    connect again in the child.
    """

    def __init__(
        self, channel: Channel, thread: LoopThread[Channel], max_body_bytes: int
    ) -> None:
        self._channel = channel
        self._thread = thread
        self._max_body_bytes = max_body_bytes

    @property
    def peer(self) -> Identity:
        """Who the server is, as the last connection proved it."""
        return self._channel.peer

    @property
    def minimum_protection(self) -> Protection:
        """The lowest level of anything on the last connection."""
        return self._channel.minimum_protection

    def get_state(self) -> ConnectivityState:
        """Return how the channel stands to its server; see `Channel.get_state`.

        Raises:
            RuntimeError: This is a process that was forked from the channel's.
        """
        self._thread.check()
        return self._channel.get_state()

    def channel_ready(self, *, timeout: float | None = None) -> None:
        """Wait until the channel is connected; see `Channel.channel_ready`.

        Raises:
            RpcError: It cannot be, or the time is over.
            RuntimeError: This is a process that was forked from the channel's.
        """
        self._thread.run(self._channel.channel_ready, timeout=timeout)

    def unary(
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
        """Call a method and wait for the result; see `Channel.unary`.

        An interrupt (KeyboardInterrupt) cancels the call.

        Raises:
            RuntimeError: This is a process that was forked from the channel's.
        """
        return self._thread.run(
            self._channel.unary,
            method,
            arguments,
            timeout=timeout,
            metadata=metadata,
            protection=protection,
            wait_for_ready=wait_for_ready,
            call_info=call_info,
        )

    def client_stream(
        self,
        method: ClientStreamMethod[A, I, R],
        arguments: A,
        items: Iterable[I],
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
        call_info: CallInfo | None = None,
    ) -> R:
        """Send a stream and wait for the result; see `Channel.client_stream`.

        The items are iterated in a thread of their own, which stops when the call has
        ended: that may be one item later.

        Raises:
            RuntimeError: This is a process that was forked from the channel's.
        """
        self._thread.check()
        sending = Sending[I](self._thread, self._measure(method))
        feed(sending, items)
        try:
            return self._thread.run(
                self._channel.client_stream,
                method,
                arguments,
                sending,
                timeout=timeout,
                metadata=metadata,
                protection=protection,
                wait_for_ready=wait_for_ready,
                call_info=call_info,
            )
        finally:
            sending.close(channel_closed())

    def server_stream(
        self,
        method: ServerStreamMethod[A, R],
        arguments: A,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
    ) -> BlockingServerStream[R]:
        """Begin to receive a stream; see `Channel.server_stream`.

        Raises:
            RpcError: The channel is closed.  Everything else comes when the stream is
                entered or read.
            RuntimeError: This is a process that was forked from the channel's.
        """
        return BlockingServerStream(
            self._thread,
            lambda: self._channel.server_stream(
                method,
                arguments,
                timeout=timeout,
                metadata=metadata,
                protection=protection,
                wait_for_ready=wait_for_ready,
            ),
        )

    def bidirectional(
        self,
        method: BidirectionalMethod[A, I, R],
        arguments: A,
        items: Iterable[I] | None = None,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
    ) -> BlockingBidirectionalStream[I, R]:
        """Begin a stream each way; see `Channel.bidirectional`.

        Items that are given are iterated in a thread of their own.

        Raises:
            RpcError: The channel is closed.  Everything else comes when the stream is
                entered, read or sent to.
            RuntimeError: This is a process that was forked from the channel's.
        """
        return BlockingBidirectionalStream(
            self._thread,
            lambda: self._channel.bidirectional(
                method,
                arguments,
                timeout=timeout,
                metadata=metadata,
                protection=protection,
                wait_for_ready=wait_for_ready,
            ),
            self._measure(method),
            items,
        )

    def _measure(
        self, method: ClientStreamMethod[A, I, R] | BidirectionalMethod[A, I, R]
    ) -> Callable[[I], int]:
        limit = self._max_body_bytes

        def measure(item: I) -> int:
            # What cannot be sent is said to the thread that wants to send it; the loop
            # encodes again, behind whatever an interceptor makes of the item.
            size = len(method.encode_item(lowered(item)[0]))
            check_size(size, limit, "item")
            return size

        return measure


@contextmanager
def connect_blocking(
    target: str,
    *,
    credentials: ClientCredentials | None = None,
    policy: SecurityPolicy = _DEFAULT_POLICY,
    service_principal: str | None = None,
    impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
    tls: ClientTls | None = None,
    default_timeout: float = DEFAULT_TIMEOUT,
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
    keepalive: KeepalivePolicy = DEFAULT_KEEPALIVE,
    propagate_deadline: bool = True,
    wait_for_ready: bool = False,
    interceptors: Sequence[Interceptor] = (),
) -> Generator[BlockingChannel]:
    """Connect to a server and give a channel that blocks; see `connect`.

    Its event loop runs in a daemon thread, which keeps no program from ending: a
    channel that is still open then is closed.  Interceptors run in that thread.
    """
    options: dict[str, Any] = {
        # Here, where the call is known that this may be part of.
        "credentials": default_credentials() if credentials is None else credentials,
        "policy": policy,
        "service_principal": service_principal,
        "impersonation": impersonation,
        "tls": tls,
        "default_timeout": default_timeout,
        "max_body_bytes": max_body_bytes,
        "max_metadata_bytes": max_metadata_bytes,
        "keepalive": keepalive,
        "propagate_deadline": propagate_deadline,
        "wait_for_ready": wait_for_ready,
        "interceptors": interceptors,
    }
    thread = LoopThread(lambda: connect(target, **options))
    channel = thread.start()
    try:
        yield BlockingChannel(channel, thread, max_body_bytes)
    finally:
        thread.close()
