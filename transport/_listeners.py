"""Listeners: accept, shake hands, hand over; and keep the door.

Nothing is believed about a peer before its handshake is over.  Until then it costs
one task, one session and at most the frame it is sending; how many may be in that
state at once is bounded, and each has a deadline.
"""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final

import anyio

from ._addresses import Address, TcpAddress, UnixAddress, parse_address
from ._config import Limits, SessionConfig
from ._connectors import Link
from ._credentials import ServerCredentials
from ._driver import shake_hands
from ._hello import ClientHello
from ._loops import Loop, open_loop
from ._negotiate import AcceptorFactory
from ._protection import Protection
from ._security import NegotiationProtocol, SecurityContext, SecurityPolicy
from ._session import Session
from ._sockets import accept_forever, bind, pipe_over
from ._stream import SecureStream
from .errors import HandshakeError, TransportError

__all__ = ["Listener", "listen"]

_log = logging.getLogger("signetrpc.transport")

MAX_HANDSHAKES: Final = 512
"""Handshakes under way at once, per listener.  More are closed at once."""


class Listener:
    """Accepts connections at one address and authenticates them.  Made by `listen`."""

    def __init__(
        self,
        sockets: list[socket.socket],
        address: Address,
        acceptor: AcceptorFactory,
        *,
        policy: SecurityPolicy,
        limits: Limits,
    ) -> None:
        self._sockets = sockets
        self._address = address
        self._acceptor = acceptor
        self._policy = policy
        self._limits = limits
        self._handshakes = 0

    @property
    def address(self) -> Address:
        """Where it listens; with the port that the system chose."""
        if isinstance(self._address, TcpAddress):
            return TcpAddress(self._address.host, self._sockets[0].getsockname()[1])
        return self._address

    async def serve(
        self,
        handler: Callable[[SecureStream], Awaitable[None]],
        *,
        protection: Protection = Protection.SEAL,
    ) -> None:
        """Run `handler` for each authenticated connection, until cancelled.

        An exception of a handler is logged and ends its connection alone.

        Args:
            handler: Gets the stream, which is closed when it returns.
            protection: The level of messages that name none.
        """

        async def handle(link: Link) -> None:
            async with SecureStream(link.pipe, link.session, protection) as stream:
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
            if self._handshakes >= MAX_HANDSHAKES:
                _log.warning("%d handshakes under way: refused one", MAX_HANDSHAKES)
                sock.close()
                return
            self._handshakes += 1
            loop.spawn(self._connection(sock, handler))

        try:
            async with anyio.create_task_group() as group:
                for sock in self._sockets:
                    group.start_soon(accept_forever, sock, accepted)
        finally:
            self.close()

    async def _connection(
        self, sock: socket.socket, handler: Callable[[Link], Awaitable[None]]
    ) -> None:
        try:
            link = await self._shake_hands(sock)
        except (TransportError, OSError) as error:
            # The details stay here; the peer got a fixed text.
            level = logging.WARNING if _suspicious(error) else logging.DEBUG
            _log.log(level, "handshake on %s failed: %s", self.address, error)
            return
        finally:
            self._handshakes -= 1
        try:
            await handler(link)
        except TransportError as error:
            _log.info("connection of %s ended: %s", link.session.peer, error)
        except Exception:
            _log.exception("the handler of a connection of %s", link.session.peer)
        finally:
            link.pipe.abort()

    async def _shake_hands(self, sock: socket.socket) -> Link:
        pipe = await pipe_over(sock)
        acceptor = self._acceptor
        config = SessionConfig(
            policy=self._policy,
            nonce=os.urandom(32),
            secret=os.urandom(32),
            limits=self._limits,
            allowed=acceptor.mechanisms,
            served=acceptor.served,
        )
        session = Session(
            config, initiator=False, context=self._context, now=anyio.current_time()
        )
        await shake_hands(pipe, session)
        return Link(pipe, session)

    def _context(self, hello: ClientHello) -> SecurityContext:
        try:
            protocol = NegotiationProtocol(hello.protocol)
        except ValueError:
            raise HandshakeError("the client names an unknown protocol") from None
        return self._acceptor.context(protocol)

    def close(self) -> None:
        """Stop listening.  Connections that exist go on."""
        for sock in self._sockets:
            sock.close()
        if isinstance(self._address, UnixAddress):
            try:
                os.unlink(self._address.path)
            except FileNotFoundError:
                pass

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


async def listen(
    target: str,
    *,
    accept: Sequence[ServerCredentials],
    policy: SecurityPolicy | None = None,
    limits: Limits | None = None,
) -> Listener:
    """Listen at an address.

    Args:
        target: `tcp://host:port` (port 0: any free one) or `unix:///path`.
        accept: What callers are authenticated against.
        policy: What to demand of them.
        limits: What to accept from them.

    Raises:
        OSError: The address cannot be listened on.
        AuthenticationFailed: A keytab or account file cannot be used.
    """
    policy = policy or SecurityPolicy()
    address = parse_address(target)
    acceptor = AcceptorFactory(accept, policy)
    sockets = await bind(address)
    return Listener(
        sockets, address, acceptor, policy=policy, limits=limits or Limits()
    )
