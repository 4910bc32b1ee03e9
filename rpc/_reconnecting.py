"""The way to one server, over connections that come and go.

Attempts are made one at a time, and only for calls that want them.  After one that
failed the server is left alone for a while: a call that does not wait for it learns
that at once, and those that wait share one timer.
"""

import math
import random
from typing import Final

import anyio

from signetrpc.transport import (
    ConnectionClosed,
    Connector,
    Identity,
    Protection,
    TransportError,
)
from signetrpc.transport._loops import Loop, Timer

from ._assembly import Buffers
from ._attempt import Attempt, Failure, connect_error
from ._backoff import Backoff
from ._client_connection import ClientConnection
from ._connectivity import ConnectivityState, News
from ._keepalive import KeepalivePolicy
from ._status import StatusCode
from .errors import DeadlineExceeded, RpcError

__all__ = ["Reconnecting"]

_AT_ONCE: Final = "the server ended the connection at once"


class Reconnecting:
    """What a channel does about its connection.

    A call whose connection is usable has nothing to do with any of this.
    """

    def __init__(
        self,
        connector: Connector,
        loop: Loop,
        *,
        max_body_bytes: int,
        max_metadata_bytes: int,
        keepalive: KeepalivePolicy,
        wait_for_ready: bool,
    ) -> None:
        self._connector = connector
        self._loop = loop
        self._max_body_bytes = max_body_bytes
        self._max_metadata_bytes = max_metadata_bytes
        self._keepalive = keepalive
        self._wait_for_ready = wait_for_ready
        self._buffers = Buffers()
        self._connection: ClientConnection | None = None
        self._attempt: Attempt | None = None
        self._backoff = Backoff(random.random)
        self._failure: Failure | None = None
        self._rest: anyio.Event | None = None
        self._timer: Timer | None = None
        self._opening = 0
        self._closed = False
        self._news = News()

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

    def get_state(self) -> ConnectivityState:
        """Return how the channel stands to its server, now."""
        if self._closed:
            return ConnectivityState.SHUTDOWN
        if self._usable is not None:
            return ConnectivityState.READY
        if self._attempt is not None or self._opening:
            return ConnectivityState.CONNECTING
        if self._failure is not None:
            return ConnectivityState.TRANSIENT_FAILURE
        return ConnectivityState.IDLE

    async def wait_for_state_change(self, last_observed: ConnectivityState) -> None:
        """Wait until the state is another than the one seen last.

        Returns at once if it is another now.  Afterwards it may be another again, or
        the same: ask `get_state`.

        Raises:
            RpcError: CANCELLED: the channel is closed, and nothing changes any more.
        """
        if self.get_state() is last_observed:
            if self._closed:
                raise _closed()
            await self._news.wait()

    async def channel_ready(self, *, timeout: float | None = None) -> None:
        """Wait until the channel is connected; connect, if no call has.

        It waits through attempts that fail, as a call with `wait_for_ready` does.

        Args:
            timeout: Seconds; None for as long as it takes.

        Raises:
            RpcError: The server cannot be used, and waiting would not help:
                UNAUTHENTICATED or FAILED_PRECONDITION; CANCELLED, the channel is
                closed.
            DeadlineExceeded: The time is over.
        """
        if self._usable is None:
            seconds = math.inf if timeout is None else timeout
            await self._reconnect(seconds, wait_for_ready=True)

    def _tell(self) -> None:
        self._news.tell(self.get_state())

    async def _reconnect(
        self, seconds: float, wait_for_ready: bool | None = None
    ) -> ClientConnection:
        """Return a connection: an attempt's that is under way, or of a new one.

        Args:
            seconds: How long to wait for it.
            wait_for_ready: Whether to wait through failures, but for those that more
                attempts would make worse; None for the channel's habit.

        Raises:
            RpcError: There is none to be had; the channel is closed.
            DeadlineExceeded: The time is over.
        """
        waits = self._wait_for_ready if wait_for_ready is None else wait_for_ready
        with anyio.move_on_after(seconds):
            while True:
                attempt = self._attempt
                if attempt is None:
                    if self._closed:
                        raise _closed()
                    wait = self._backoff.wait(self._loop.time())
                    if wait > 0 and self._failure is not None:
                        if not (waits and self._failure.passes):
                            raise self._failure.error(wait)
                        await self._leave_alone(wait)
                        continue
                    if waits and self._usable is not None:
                        return self._usable  # another's attempt, or `open`, made it
                    attempt = self._begin_attempt()
                await attempt.over.wait()
                connection = attempt.connection
                if connection is not None:
                    if not waits or connection.usable:
                        return connection
                    self._wasted(attempt)
                error = attempt.error
                if not isinstance(error, TransportError):
                    raise error or _closed()
                if not (waits and Failure.of(error).passes):
                    raise connect_error(error) from error
        text = f"no connection within {seconds:g} seconds"
        if waits and self._failure is not None:
            text += f"; the last attempt: {self._failure.message}"
        raise DeadlineExceeded(text)

    @property
    def _usable(self) -> ClientConnection | None:
        connection = self._connection
        return connection if connection is not None and connection.usable else None

    async def _leave_alone(self, seconds: float) -> None:
        """Wait until the next attempt may be made, or need not be."""
        if self._rest is None:
            self._rest = anyio.Event()
            self._timer = self._loop.call_at(self._loop.time() + seconds, self._rested)
        await self._rest.wait()

    def _rested(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rest, self._rest = self._rest, None
        if rest is not None:
            rest.set()

    def _begin_attempt(self) -> Attempt:
        attempt = self._attempt = Attempt()
        self._tell()
        self._loop.spawn(self._connect_again(attempt))
        return attempt

    async def _connect_again(self, attempt: Attempt) -> None:
        try:
            attempt.connection = await self.open()
        except Exception as error:
            attempt.error = error
        finally:
            self._attempt = None
            attempt.over.set()
            self._tell()

    def _wasted(self, attempt: Attempt) -> None:
        """Count a connection as none that had ended when calls came to it."""
        attempt.connection = None
        attempt.error = error = ConnectionClosed(_AT_ONCE, clean=False)
        self._failed(error)

    def _failed(self, error: TransportError) -> None:
        self._failure = Failure.of(error)
        self._backoff.failed(self._loop.time())
        self._tell()

    async def open(self) -> ClientConnection:
        """Open a connection now.

        Raises:
            TransportError: As `Connector.connect`.
        """
        self._opening += 1
        self._tell()
        try:
            return await self._open()
        finally:
            self._opening -= 1
            self._tell()

    async def _open(self) -> ClientConnection:
        try:
            link = await self._connector.connect()
        except TransportError as error:
            self._failed(error)
            raise
        self._backoff.succeeded()
        self._failure = None
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
            max_metadata_bytes=self._max_metadata_bytes,
            buffers=self._buffers,
            keepalive=self._keepalive,
        )
        connection.on_unusable = self._tell
        connection.start()
        self._connection = connection
        if former is not None:
            former.retire()
        self._rested()
        return connection

    async def aclose(self) -> None:
        """Close the connection.  Calls under way end with UNAVAILABLE."""
        self._closed = True
        self._tell()
        self._rested()
        if self._connection is not None:
            await self._connection.aclose()


def _closed() -> RpcError:
    return RpcError(StatusCode.CANCELLED, "the channel is closed")
