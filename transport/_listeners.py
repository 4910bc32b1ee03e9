"""Listeners: accept, shake hands, hand over; and keep the door.

Nothing is believed about a peer before its handshake is over.  Until then it costs
one task, one session and what it has sent: at most about 512 KiB, 320 of it in the
pipe, the rest a HELLO, a token and one frame ahead.  `_door` bounds how many there
are; each has a deadline.
"""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final

import anyio

from ._acceptors import Acceptor, NegotiateAcceptor
from ._addresses import Address, TcpAddress, UnixAddress, parse_address
from ._config import Limits
from ._credentials import ServerCredentials
from ._door import Door, DoorLimits, door_key
from ._driver import Link, on_failure
from ._frames import FrameType, encode_frame
from ._hello import RejectCode
from ._loops import Loop, open_loop
from ._protection import Protection
from ._security import SecurityPolicy
from ._sockets import accept_forever, bind, pipe_over
from ._stream import SecureStream
from ._tls import ServerTls
from .errors import (
    ConnectionClosed,
    HandshakeError,
    LocalProtocolError,
    TransportError,
)

__all__ = ["Listener", "listen", "listen_with"]

_log: Final = logging.getLogger("signetrpc.transport")

_DEFAULT_POLICY: Final = SecurityPolicy()
_MOST_TURNED_AWAY: Final = 64
"""So many at once are told why they are refused.  More are just closed."""

_BUSY: Final = encode_frame(FrameType.REJECT, 0, bytes((RejectCode.BUSY,)))


class Listener:
    """Accepts connections at one address and authenticates them.

    Made by `listen` and `listen_with`.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        address: Address,
        acceptor: Acceptor,
        door: DoorLimits,
    ) -> None:
        self._sockets = sockets
        if isinstance(address, TcpAddress):
            address = TcpAddress(address.host, sockets[0].getsockname()[1])
        self._address = address
        self._acceptor = acceptor
        self._door = Door(door)
        self._turning_away = 0
        self._closed = False
        self._accepting: anyio.CancelScope | None = None
        self._fresh: set[socket.socket] = set()
        self._tasks = 0
        self._idle = anyio.Event()

    @property
    def address(self) -> Address:
        """Where it listens; with the port that the system chose."""
        return self._address

    async def serve(
        self,
        handler: Callable[[SecureStream], Awaitable[None]],
        *,
        protection: Protection = Protection.SEAL,
    ) -> None:
        """Run `handler` for each authenticated connection.

        Until it is cancelled; or, after `close`, until the last handler has returned.
        An exception of a handler is logged and ends its connection alone.

        Args:
            handler: Gets the stream, which is closed when it returns.
            protection: The level of messages that name none.
        """

        async def handle(link: Link) -> None:
            stream = SecureStream(
                link.pipe, link.session, protection, ends_at=link.ends_at
            )
            async with stream:
                await handler(stream)

        async with open_loop() as loop:
            await self.serve_links(loop, handle)

    async def serve_links(
        self, loop: Loop, handler: Callable[[Link], Awaitable[None]]
    ) -> None:
        """Like `serve`, for a layer that drives sessions itself.

        Args:
            loop: Runs a task for each connection.
            handler: Gets the open session; its pipe is aborted when it returns.
        """

        async def accepted(sock: socket.socket) -> None:
            try:
                peer = _peer_host(sock)
            except OSError:
                sock.close()  # gone already
                return
            refusal = self._door.refusal(peer, anyio.current_time())
            if refusal is not None:
                _log.warning("refused a connection of %s: %s", peer or "unix", refusal)
                if self._turning_away < _MOST_TURNED_AWAY:
                    self._turning_away += 1
                    self._spawn(loop, sock, self._turn_away)
                else:
                    sock.close()
                return
            self._door.enter(peer)
            task = partial(self._connection, peer, handler)
            self._spawn(loop, sock, task)

        if self._closed:
            raise LocalProtocolError("the listener is closed")
        try:
            async with anyio.create_task_group() as group:
                self._accepting = group.cancel_scope
                for sock in self._sockets:
                    group.start_soon(accept_forever, sock, accepted)
            self._stop_listening()
            while self._tasks:
                self._idle = anyio.Event()
                await self._idle.wait()
        finally:
            self._accepting = None
            self.close()
            self._stop_listening()
            for sock in self._fresh:
                sock.close()

    def _spawn(
        self,
        loop: Loop,
        sock: socket.socket,
        task: Callable[[socket.socket], Awaitable[None]],
    ) -> None:
        # Until its task has begun the socket is in nobody's hands: a task that is
        # cancelled before it begins never does.
        self._fresh.add(sock)
        self._tasks += 1
        loop.spawn(self._begun(sock, task))

    async def _begun(
        self, sock: socket.socket, task: Callable[[socket.socket], Awaitable[None]]
    ) -> None:
        self._fresh.discard(sock)
        try:
            await task(sock)
        finally:
            self._tasks -= 1
            self._idle.set()

    async def _connection(
        self, peer: str, handler: Callable[[Link], Awaitable[None]], sock: socket.socket
    ) -> None:
        start = anyio.current_time()
        counted = False

        def count(error: BaseException) -> None:
            nonlocal counted
            # Who just goes away, as health checks do, has not tried anything.
            if not counted and not isinstance(error, ConnectionClosed):
                counted = True
                self._door.failed(peer, anyio.current_time())

        on_failure.set(count)
        try:
            pipe = await pipe_over(sock)
            link = await self._acceptor.secure(pipe, start=start)
        except BaseException as error:
            count(error)
            self._door.gave_up(peer)
            if not isinstance(error, Exception):
                raise
            if isinstance(error, TransportError | OSError):
                # The details stay here; the peer got a fixed text.
                level = logging.WARNING if _suspicious(error) else logging.DEBUG
                _log.log(level, "handshake on %s failed: %s", self.address, error)
            else:
                # A bug of ours must not take other connections with it.
                _log.exception("a handshake on %s", self.address)
            return
        self._door.succeeded(peer)
        try:
            await handler(link)
        except TransportError as error:
            _log.info("connection of %s ended: %s", link.session.peer, error)
        except Exception:
            _log.exception("the handler of a connection of %s", link.session.peer)
        finally:
            link.pipe.abort()
            self._door.leave(peer)

    async def _turn_away(self, sock: socket.socket) -> None:
        """Say why and close, once the peer has had a moment to read it."""
        try:
            pipe = await pipe_over(sock)
            pipe.write(_BUSY)
            await pipe.aclose()
        except OSError:
            pass  # it is gone already
        finally:
            self._turning_away -= 1

    def close(self) -> None:
        """Stop listening.  Connections that exist go on.  Harmless when closed."""
        if self._closed:
            return  # by now another listener may have the path
        self._closed = True
        if self._accepting is not None:
            self._accepting.cancel()  # `serve_links` closes what it waits for
        else:
            self._stop_listening()
        if isinstance(self._address, UnixAddress):
            try:
                os.unlink(self._address.path)
            except FileNotFoundError:
                pass

    def _stop_listening(self) -> None:
        for sock in self._sockets:
            sock.close()

    async def __aenter__(self) -> "Listener":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _suspicious(error: Exception) -> bool:
    return isinstance(error, HandshakeError)


def _peer_host(sock: socket.socket) -> str:
    if sock.family == socket.AF_UNIX:
        return ""
    return door_key(sock.getpeername()[0])


async def listen(
    target: str,
    *,
    accept: Sequence[ServerCredentials],
    policy: SecurityPolicy = _DEFAULT_POLICY,
    tls: ServerTls | None = None,
    limits: Limits | None = None,
    door: DoorLimits | None = None,
) -> Listener:
    """Listen at an address for callers who authenticate by Kerberos or NTLM.

    Args:
        target: `tcp://host:port` (port 0: any free one) or `unix:///path`.
        accept: What callers are authenticated against.
        policy: What to demand of them.
        tls: Serve over TLS, with proofs bound to it as the policy says.
        limits: What to accept from them.
        door: How many to let in.

    Raises:
        OSError: The address cannot be listened on, or a certificate cannot be read.
        AuthenticationFailed: A keytab or account file cannot be used.
        ValueError: The target is no address.
    """
    acceptor = NegotiateAcceptor(accept, policy=policy, tls=tls, limits=limits)
    return await listen_with(target, acceptor, door=door)


async def listen_with(
    target: str, acceptor: Acceptor, *, door: DoorLimits | None = None
) -> Listener:
    """Listen at an address with any acceptor; see `listen`.

    Raises:
        LocalProtocolError: The acceptor must not serve at such an address.
    """
    address = parse_address(target)
    acceptor.check(address)
    return Listener(await bind(address), address, acceptor, door or DoorLimits())
