"""Acceptors: the server's side of each connector.

An acceptor knows how to secure a connection that has come in; a `Listener` has one.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence

import anyio

from ._addresses import Address
from ._agreement import BINDING
from ._config import NO_BINDING, Channel, Limits, SessionConfig
from ._credentials import ServerCredentials
from ._driver import (
    Link,
    close_on_failure,
    lifetime_end,
    open_channel,
    shake_hands,
)
from ._hello import ClientHello
from ._identity import ImpersonationLevel
from ._negotiate import AcceptorFactory
from ._pipes import Pipe
from ._plain import PLAIN_POLICY, check_plain
from ._protection import Protection
from ._security import NegotiationProtocol, SecurityContext, SecurityPolicy
from ._session import Session
from ._tls import (
    ServerTls,
    TlsPipe,
    certificate_hash,
    check_tls,
    end_point_binding,
    wrap_server,
)
from .errors import HandshakeError, HandshakeTimeout

__all__ = ["Acceptor", "NegotiateAcceptor", "PlainAcceptor", "TlsAcceptor"]

_DEFAULT_POLICY = SecurityPolicy()


class Acceptor(ABC):
    """Secures connections that come in, in one way."""

    def __init__(
        self, policy: SecurityPolicy, limits: Limits | None, tls: ServerTls | None
    ) -> None:
        self._policy = policy
        self._limits = limits or Limits()
        self._context = None if tls is None else tls.context()
        self._certificate = b"" if tls is None else tls.own_certificate()

    @property
    def policy(self) -> SecurityPolicy:
        """What it demands of those who come."""
        return self._policy

    def check(self, address: Address) -> None:
        """Refuse an address that must not be served so.

        Raises:
            LocalProtocolError: It must not.
        """
        del address  # any will do, unless a subclass says otherwise

    @abstractmethod
    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Shake hands over a connection that has come in.

        Args:
            pipe: Closed if the handshake fails.
            start: When the deadline began to run, by anyio's clock.

        Raises:
            HandshakeError: No session came about.
            ConnectionClosed: The peer went away.
            RemoteProtocolError: The peer speaks something else.
        """

    async def _wrap(self, pipe: Pipe, *, start: float) -> TlsPipe:
        assert self._context is not None
        seconds = self._policy.handshake_seconds
        async with close_on_failure(pipe):
            with anyio.move_on_after(start + seconds - anyio.current_time()):
                return await wrap_server(pipe, self._context, self._certificate)
            raise HandshakeTimeout(f"the handshake took over {seconds:g} seconds")


class PlainAcceptor(Acceptor):
    """No protection at all: tests and loopback only; another address is refused."""

    def __init__(
        self, *, policy: SecurityPolicy = PLAIN_POLICY, limits: Limits | None = None
    ) -> None:
        super().__init__(policy, limits, None)

    def check(self, address: Address) -> None:
        """Refuse an address that others can reach; say that it is plain."""
        check_plain(address, self._policy)

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Exchange HELLOs."""
        return await open_channel(
            pipe,
            Channel(provides=Protection.NONE),
            initiator=False,
            policy=self._policy,
            limits=self._limits,
            start=start,
        )


class TlsAcceptor(Acceptor):
    """TLS by itself; clients are named by their certificates, if they have any."""

    def __init__(
        self,
        tls: ServerTls,
        *,
        policy: SecurityPolicy = _DEFAULT_POLICY,
        limits: Limits | None = None,
    ) -> None:
        """Read the certificates.

        Raises:
            LocalProtocolError: The policy does not allow TLS to authenticate.
            OSError: A file cannot be read.
        """
        check_tls(policy)
        super().__init__(policy, limits, tls)

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Do TLS, then exchange HELLOs."""
        secured = await self._wrap(pipe, start=start)
        return await open_channel(
            secured.pipe,
            Channel(provides=Protection.SEAL, peer=secured.peer),
            initiator=False,
            policy=self._policy,
            limits=self._limits,
            start=start,
        )


class NegotiateAcceptor(Acceptor):
    """Kerberos and NTLM, with or without TLS below."""

    def __init__(
        self,
        accept: Sequence[ServerCredentials],
        *,
        policy: SecurityPolicy = _DEFAULT_POLICY,
        tls: ServerTls | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Check what callers are to be authenticated against.

        Args:
            accept: Keytabs, account files, winbind.
            policy: What to demand of them.
            tls: Serve over TLS; proofs are bound to it as the policy says.
            limits: What to accept from them.

        Raises:
            AuthenticationFailed: A keytab or account file cannot be used.
            OSError: A certificate cannot be read.
        """
        super().__init__(policy, limits, tls)
        self._factory = AcceptorFactory(accept, policy)
        self._binding = NO_BINDING
        self._application_data = b""
        if self._certificate:
            self._binding = certificate_hash(self._certificate)
            self._application_data = end_point_binding(self._certificate)

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Do TLS if it is served, then authenticate."""
        if self._context is not None:
            pipe = (await self._wrap(pipe, start=start)).pipe
        factory = self._factory
        config = SessionConfig(
            policy=self._policy,
            nonce=os.urandom(32),
            secret=os.urandom(32),
            limits=self._limits,
            allowed=factory.mechanisms,
            binding=self._binding,
            served=factory.served,
        )

        def context(hello: ClientHello) -> SecurityContext:
            try:
                protocol = NegotiationProtocol(hello.protocol)
            except ValueError:
                raise HandshakeError("the client names an unknown protocol") from None
            bound = config.bindable and BINDING in hello.features
            return factory.context(
                protocol,
                self._application_data if bound else None,
                delegate=hello.impersonation == ImpersonationLevel.DELEGATE,
            )

        session = Session(config, initiator=False, context=context, now=start)
        await shake_hands(pipe, session)
        return Link(pipe, session, lifetime_end(session, self._policy))
