"""Connectors: one interface, whatever protects the connection.

    PlainConnector       nothing does: tests and loopback only
    TlsConnector         TLS: the server by its certificate, the client perhaps too
    NegotiateConnector   Kerberos and NTLM; over TLS as well, with channel binding

A connector knows an address and how to secure a connection to it; `connect` gives an
open session over a pipe.  The RPC layer and `connect_stream` work over any of them,
and `signetrpc.transport.testing.check_connector` says what each must do.
"""

import os
from abc import ABC, abstractmethod

import anyio
import anyio.to_thread

from ._addresses import Address, parse_address
from ._config import NO_BINDING, Channel, Limits, SessionConfig
from ._credentials import ClientCredentials, TicketCache
from ._driver import Link, close_on_failure, open_channel, shake_hands
from ._identity import ImpersonationLevel, Mechanism
from ._negotiate import InitiatorContext
from ._pipes import Pipe
from ._plain import PLAIN_POLICY, check_plain
from ._protection import Protection
from ._security import ChannelBinding, NegotiationProtocol, SecurityPolicy
from ._session import Session
from ._sockets import connect_pipe
from ._stream import SecureStream
from ._tls import (
    ClientTls,
    TlsPipe,
    certificate_hash,
    check_tls,
    end_point_binding,
    wrap_client,
)
from .errors import ConnectFailed, HandshakeTimeout, LocalProtocolError

__all__ = [
    "Connector",
    "NegotiateConnector",
    "PlainConnector",
    "TlsConnector",
    "connect_stream",
    "connect_stream_with",
]

_DEFAULT_POLICY = SecurityPolicy()
_NEGOTIABLE = frozenset({Mechanism.KERBEROS, Mechanism.NTLM})


class Connector(ABC):
    """Makes connections to one place, secured in one way."""

    def __init__(
        self, address: Address, policy: SecurityPolicy, limits: Limits | None
    ) -> None:
        self._address = address
        self._policy = policy
        self._limits = limits or Limits()

    @property
    def address(self) -> Address:
        """Where it connects to."""
        return self._address

    async def connect(self) -> Link:
        """Connect and shake hands, within the policy's `handshake_seconds`.

        Raises:
            ConnectFailed: Nobody answered.
            HandshakeError: No session came about.
            ConnectionClosed: The peer went away.
            RemoteProtocolError: The peer speaks something else.
        """
        seconds = self._policy.handshake_seconds
        start = anyio.current_time()
        pipe: Pipe | None = None
        with anyio.move_on_after(seconds):
            pipe = await connect_pipe(self._address)
        if pipe is None:
            raise ConnectFailed(
                f"cannot connect to {self._address}: no answer in {seconds:g} seconds"
            )
        return await self.secure(pipe, start=start)

    @abstractmethod
    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Shake hands over a pipe that is connected already.

        Args:
            pipe: Closed if the handshake fails.
            start: When the deadline began to run, by anyio's clock.

        Raises:
            HandshakeError: No session came about.
            ConnectionClosed: The peer went away.
            RemoteProtocolError: The peer speaks something else.
        """

    async def _wrap(self, pipe: Pipe, tls: ClientTls, *, start: float) -> TlsPipe:
        try:
            # Reads files; the system's certificates take some 20 ms.
            context = await anyio.to_thread.run_sync(tls.context)
        except OSError as error:
            raise LocalProtocolError(f"cannot do TLS: {error}") from error
        seconds = self._policy.handshake_seconds
        with anyio.move_on_after(start + seconds - anyio.current_time()):
            return await wrap_client(pipe, tls, context, self._address.tls_name)
        raise HandshakeTimeout(f"the handshake took over {seconds:g} seconds")


class PlainConnector(Connector):
    """No protection at all.  Anybody on the path reads and writes as they please.

    For tests and loopback only: another address is refused.
    """

    def __init__(
        self,
        address: Address,
        *,
        policy: SecurityPolicy = PLAIN_POLICY,
        limits: Limits | None = None,
    ) -> None:
        """Say where to connect.

        Raises:
            LocalProtocolError: The address is not on this machine, or the policy
                demands a protection that there is none of.
        """
        super().__init__(address, policy, limits)
        check_plain(address, policy)

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Exchange HELLOs."""
        return await open_channel(
            pipe,
            Channel(provides=Protection.NONE),
            initiator=True,
            policy=self._policy,
            limits=self._limits,
            start=start,
        )


class TlsConnector(Connector):
    """TLS by itself.  Every message counts as sealed, whatever it asks for."""

    def __init__(
        self,
        address: Address,
        *,
        tls: ClientTls | None = None,
        policy: SecurityPolicy = _DEFAULT_POLICY,
        limits: Limits | None = None,
    ) -> None:
        """Say where to connect and whom to trust.

        Args:
            address: Where to connect.
            tls: None: the system's certificates and the host as typed.
            policy: What to demand.
            limits: What to accept from the server.

        Raises:
            LocalProtocolError: The policy does not allow TLS to authenticate.
        """
        super().__init__(address, policy, limits)
        check_tls(policy)
        self._tls = tls or ClientTls()

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Do TLS, then exchange HELLOs."""
        async with close_on_failure(pipe):
            secured = await self._wrap(pipe, self._tls, start=start)
        return await open_channel(
            secured.pipe,
            Channel(provides=Protection.SEAL, peer=secured.peer),
            initiator=True,
            policy=self._policy,
            limits=self._limits,
            start=start,
        )


class NegotiateConnector(Connector):
    """Kerberos and NTLM, by themselves or under SPNEGO, with or without TLS below."""

    def __init__(
        self,
        address: Address,
        *,
        credentials: ClientCredentials | None = None,
        policy: SecurityPolicy = _DEFAULT_POLICY,
        service_principal: str | None = None,
        impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
        tls: ClientTls | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Decide how to authenticate; nothing is contacted yet.

        Args:
            address: Where to connect.
            credentials: None for the tickets of the signed-in user.
            policy: What to demand.
            service_principal: `host/name` of the service, with `@REALM` if it is to
                be asked for in that realm.  None makes it of the host name as typed;
                an IP address or a unix socket has none.
            impersonation: What the server may do with the caller's identity.
            tls: Run over TLS, with the proof bound to it; every record is protected
                by its own suite all the same.
            limits: What to accept from the server.

        Raises:
            LocalProtocolError: No mechanism is left that could work, or the policy
                demands a binding to TLS and there is none.
        """
        super().__init__(address, policy, limits)
        if not isinstance(credentials, ClientCredentials | None):  # pyright: ignore
            raise TypeError(
                f"credentials of type {type(credentials).__name__}; give Password(...) "
                "or another of ClientCredentials, or None for the signed-in user's"
            )
        self._credentials = TicketCache() if credentials is None else credentials
        self._impersonation = impersonation
        self._tls = tls
        host = address.service_host
        self._principal = service_principal or (f"host/{host}" if host else "")
        if not self._principal.isprintable():
            raise LocalProtocolError(
                f"not a service principal: {self._principal!r}; expected host/NAME"
            )
        # HELLO and the acceptance rules know the name without its realm.
        self._target = self._principal.partition("@")[0]
        self._allowed = self._mechanisms()
        self._protocol = self._policy.negotiation or _form(self._allowed)
        if tls is None and policy.channel_binding is ChannelBinding.ALWAYS:
            raise LocalProtocolError("channel binding is required, so give tls")

    def _mechanisms(self) -> frozenset[Mechanism]:
        credentials = self._credentials
        allowed = self._policy.allowed(ntlm_asked=credentials.asks_ntlm) & _NEGOTIABLE
        if not allowed:
            raise LocalProtocolError("the policy allows neither Kerberos nor NTLM")
        if self._target:
            return allowed
        # Without a service principal there is nothing to get a ticket for.
        if allowed <= {Mechanism.KERBEROS}:
            raise LocalProtocolError(
                f"Kerberos needs to know the service: {self._address} names no host, "
                'so give service_principal="host/NAME"'
            )
        return allowed - {Mechanism.KERBEROS}

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Do TLS if asked to, then authenticate."""
        if self._tls is None:
            return await self._authenticate(pipe, start, NO_BINDING, None)
        async with close_on_failure(pipe):
            secured = await self._wrap(pipe, self._tls, start=start)
            certificate = secured.server_certificate
            binding: bytes | None = end_point_binding(certificate)
        if self._policy.channel_binding is ChannelBinding.NEVER:
            binding = None
        return await self._authenticate(
            secured.pipe, start, certificate_hash(certificate), binding
        )

    async def _authenticate(
        self, pipe: Pipe, start: float, binding: bytes, application_data: bytes | None
    ) -> Link:
        config = SessionConfig(
            policy=self._policy,
            nonce=os.urandom(32),
            secret=os.urandom(32),
            limits=self._limits,
            allowed=self._allowed,
            binding=binding,
            target=self._target,
            impersonation=self._impersonation,
            protocol=self._protocol,
        )
        session = Session(
            config,
            initiator=True,
            context=lambda hello: InitiatorContext(
                credentials=self._credentials,
                protocol=self._protocol,
                service_principal=self._principal,
                impersonation=self._impersonation,
                allowed=self._allowed,
                binding=application_data,
            ),
            now=start,
        )
        await shake_hands(pipe, session)
        return Link(pipe, session)


def _form(allowed: frozenset[Mechanism]) -> NegotiationProtocol:
    if len(allowed) > 1:
        return NegotiationProtocol.NEGOTIATE
    (mechanism,) = allowed
    return NegotiationProtocol(mechanism.value)


async def connect_stream(
    target: str,
    *,
    credentials: ClientCredentials | None = None,
    policy: SecurityPolicy = _DEFAULT_POLICY,
    service_principal: str | None = None,
    impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
    tls: ClientTls | None = None,
    protection: Protection = Protection.SEAL,
    limits: Limits | None = None,
) -> SecureStream:
    """Connect to a `Listener` and return the authenticated stream.

    Args:
        target: `host:port`, `tcp://host:port` or `unix:///path`.
        credentials: None for the tickets of the signed-in user.
        policy: What to demand.
        service_principal: `host/name`; None makes it of the host name as typed.
        impersonation: What the server may do with the caller's identity.
        tls: Run over TLS, with the proof bound to it.
        protection: The level of messages that name none.
        limits: What to accept from the server.

    Raises:
        ConnectFailed: Nobody answered.
        HandshakeError: No session came about.
        ConnectionClosed: The peer went away.
        RemoteProtocolError: The peer speaks something else.
    """
    connector = NegotiateConnector(
        parse_address(target),
        credentials=credentials,
        policy=policy,
        service_principal=service_principal,
        impersonation=impersonation,
        tls=tls,
        limits=limits,
    )
    return await connect_stream_with(connector, protection=protection)


async def connect_stream_with(
    connector: Connector, *, protection: Protection = Protection.SEAL
) -> SecureStream:
    """Connect by any connector and return the stream; see `connect_stream`."""
    link = await connector.connect()
    return SecureStream(link.pipe, link.session, protection)
