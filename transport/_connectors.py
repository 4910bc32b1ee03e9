"""Connectors: one interface, whatever protects the connection.

A connector knows an address and how to secure it; `connect` gives an open session
over a pipe.  The RPC layer and `connect_stream` work over any of them.
"""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass

import anyio

from ._addresses import Address, parse_address
from ._config import Limits, SessionConfig
from ._credentials import ClientCredentials, TicketCache
from ._driver import shake_hands
from ._identity import ImpersonationLevel, Mechanism
from ._negotiate import InitiatorContext
from ._pipes import Pipe
from ._protection import Protection
from ._security import NegotiationProtocol, SecurityPolicy
from ._session import Session
from ._sockets import connect_pipe
from ._stream import SecureStream
from .errors import ConnectFailed, LocalProtocolError

__all__ = ["Connector", "Link", "NegotiateConnector", "connect_stream"]


@dataclass(frozen=True, slots=True)
class Link:
    """An open session and the pipe it runs over."""

    pipe: Pipe
    session: Session


class Connector(ABC):
    """Makes connections to one place, secured in one way."""

    @property
    @abstractmethod
    def address(self) -> Address:
        """Where it connects to."""

    @abstractmethod
    async def connect(self) -> Link:
        """Connect and shake hands, within the policy's `handshake_seconds`.

        Raises:
            ConnectFailed: Nobody answered.
            HandshakeError: No session came about.
            ConnectionClosed: The peer went away.
            RemoteProtocolError: The peer speaks something else.
        """


class NegotiateConnector(Connector):
    """Kerberos and NTLM, by themselves or under SPNEGO, over TCP or a unix socket."""

    def __init__(
        self,
        address: Address,
        *,
        credentials: ClientCredentials | None = None,
        policy: SecurityPolicy | None = None,
        service_principal: str | None = None,
        impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
        limits: Limits | None = None,
    ) -> None:
        """Decide how to authenticate; nothing is contacted yet.

        Args:
            address: Where to connect.
            credentials: None for the tickets of the signed-in user.
            policy: What to demand; `SecurityPolicy()` if None.
            service_principal: `host/name` of the service, with `@REALM` if it is to
                be asked for in that realm.  None makes it of the host name as typed;
                an IP address or a unix socket has none.
            impersonation: What the server may do with the caller's identity.
            limits: What to accept from the server.

        Raises:
            LocalProtocolError: No mechanism is left that could work.
        """
        self._address = address
        self._credentials = TicketCache() if credentials is None else credentials
        self._policy = policy or SecurityPolicy()
        self._impersonation = impersonation
        self._limits = limits or Limits()
        host = address.service_host
        self._principal = service_principal or (f"host/{host}" if host else "")
        # HELLO and the acceptance rules know the name without its realm.
        self._target = self._principal.partition("@")[0]
        self._allowed = self._mechanisms()
        self._protocol = self._policy.negotiation or _form(self._allowed)

    def _mechanisms(self) -> frozenset[Mechanism]:
        credentials = self._credentials
        allowed = self._policy.allowed(ntlm_asked=credentials.asks_ntlm)
        if self._target:
            return allowed
        # Without a service principal there is nothing to get a ticket for.
        if allowed <= {Mechanism.KERBEROS}:
            raise LocalProtocolError(
                f"Kerberos needs to know the service: {self._address} names no host, "
                'so give service_principal="host/NAME"'
            )
        return allowed - {Mechanism.KERBEROS}

    @property
    def address(self) -> Address:
        """Where it connects to."""
        return self._address

    async def connect(self) -> Link:
        """Connect and shake hands."""
        seconds = self._policy.handshake_seconds
        start = anyio.current_time()
        pipe = None
        with anyio.move_on_after(seconds):
            pipe = await connect_pipe(self._address)
        if pipe is None:
            raise ConnectFailed(
                f"cannot connect to {self._address}: no answer in {seconds:g} seconds"
            )
        session = self._session(start)
        await shake_hands(pipe, session)
        return Link(pipe, session)

    def _session(self, now: float) -> Session:
        config = SessionConfig(
            policy=self._policy,
            nonce=os.urandom(32),
            secret=os.urandom(32),
            limits=self._limits,
            allowed=self._allowed,
            target=self._target,
            impersonation=self._impersonation,
            protocol=self._protocol,
        )
        return Session(
            config,
            initiator=True,
            context=lambda hello: InitiatorContext(
                credentials=self._credentials,
                protocol=self._protocol,
                service_principal=self._principal,
                impersonation=self._impersonation,
                allowed=self._allowed,
            ),
            now=now,
        )


def _form(allowed: frozenset[Mechanism]) -> NegotiationProtocol:
    if len(allowed) > 1:
        return NegotiationProtocol.NEGOTIATE
    (mechanism,) = allowed
    return NegotiationProtocol(mechanism.value)


async def connect_stream(
    target: str,
    *,
    credentials: ClientCredentials | None = None,
    policy: SecurityPolicy | None = None,
    service_principal: str | None = None,
    impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
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
        limits=limits,
    )
    link = await connector.connect()
    return SecureStream(link.pipe, link.session, protection)
