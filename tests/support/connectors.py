"""Every connector there is, over every carrier, as pairs for the contract suite."""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from signetrpc.transport import (
    Keytab,
    Mechanism,
    NegotiateAcceptor,
    NegotiateConnector,
    NegotiationProtocol,
    PlainAcceptor,
    PlainConnector,
    Protection,
    SecurityPolicy,
    TcpAddress,
    TicketCache,
    TlsAcceptor,
    TlsConnector,
)
from signetrpc.transport._pipes import Pipe
from signetrpc.transport._sockets import pipe_over
from signetrpc.transport.testing import ConnectorPair, memory_pipes
from tests.support.certificates import Authority
from tests.support.kdc import SERVICE, Kdc
from tests.support.negotiation import ALICE, ALLOW_NTLM, KERBEROS, account_file

__all__ = ["CARRIERS", "kerberos_pair", "ntlm_pair", "plain_pair", "tls_pair"]

NOWHERE = TcpAddress("localhost", 7420)
"""The pairs bring their own pipes; the address only gives the server's name."""

_NONE, _SIGN, _SEAL = Protection


async def _memory() -> tuple[Pipe, Pipe]:
    return memory_pipes()


async def _unix() -> tuple[Pipe, Pipe]:
    one, two = socket.socketpair()
    return await pipe_over(one), await pipe_over(two)


async def _tcp() -> tuple[Pipe, Pipe]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        two, _ = listener.accept()
    return await pipe_over(one), await pipe_over(two)


CARRIERS: dict[str, Callable[[], Awaitable[tuple[Pipe, Pipe]]]] = {
    "memory": _memory,
    "tcp": _tcp,
    "unix": _unix,
}


def plain_pair() -> ConnectorPair:
    """Return connectors without protection."""
    return ConnectorPair(
        connector=PlainConnector(NOWHERE),
        acceptor=PlainAcceptor(),
        levels=frozenset({_NONE}),
        mechanism=Mechanism.ANONYMOUS,
    )


def tls_pair(authority: Authority, *, certified: bool) -> ConnectorPair:
    """Return TLS connectors, the client with a certificate or without."""
    own = authority.issue("alice", names=()) if certified else None
    return ConnectorPair(
        connector=TlsConnector(NOWHERE, tls=authority.client(own)),
        acceptor=TlsAcceptor(authority.server(require_client=certified or None)),
        levels=frozenset({_SEAL}),
        mechanism=Mechanism.TLS if certified else Mechanism.ANONYMOUS,
    )


def ntlm_pair(
    folder: Path,
    form: NegotiationProtocol,
    suite: str,
    authority: Authority | None = None,
) -> ConnectorPair:
    """Return NTLM connectors, over TLS if there is an authority."""
    policy = replace(
        ALLOW_NTLM,
        suites=(suite,),
        mechanisms=frozenset({Mechanism.NTLM}),
        negotiation=form,
    )
    return ConnectorPair(
        connector=NegotiateConnector(
            NOWHERE,
            credentials=ALICE,
            policy=policy,
            tls=None if authority is None else authority.client(),
        ),
        acceptor=NegotiateAcceptor(
            [account_file(folder)],
            policy=policy,
            tls=None if authority is None else authority.server(),
        ),
        levels=frozenset({_SIGN, _SEAL}),
        mechanism=Mechanism.NTLM,
    )


def kerberos_pair(
    realm: Kdc,
    form: NegotiationProtocol,
    suite: str,
    authority: Authority | None = None,
) -> ConnectorPair:
    """Return Kerberos connectors, over TLS if there is an authority."""
    policy = SecurityPolicy(
        mechanisms=frozenset({KERBEROS}),
        require_mutual=True,
        suites=(suite,),
        negotiation=form,
    )
    # Fetched once: the checks make a hundred connections.
    tickets = realm.kinit("alice", service=SERVICE)
    return ConnectorPair(
        connector=NegotiateConnector(
            NOWHERE,
            credentials=TicketCache(tickets),
            policy=policy,
            tls=None if authority is None else authority.client(),
        ),
        acceptor=NegotiateAcceptor(
            [Keytab(realm.keytab_file)],
            policy=policy,
            tls=None if authority is None else authority.server(),
        ),
        levels=frozenset({_SIGN, _SEAL}),
        mechanism=KERBEROS,
    )
