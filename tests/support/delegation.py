"""Handshakes after which a server holds its client's credential, or does not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signetrpc.transport._credentials import ClientCredentials, Keytab, TicketCache
from signetrpc.transport._identity import (
    DelegatedCredential,
    Identity,
    ImpersonationLevel,
)
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._security import NegotiationProtocol, SecurityPolicy
from tests.support.kdc import SERVICE, Kdc, run
from tests.support.negotiation import admit, exchange, initiator

__all__ = [
    "DELEGATE",
    "FORMS",
    "STRICT",
    "Server",
    "listed",
    "nowhere",
    "reach",
    "without_granting_ticket",
]

STRICT = SecurityPolicy.kerberos_only()
DELEGATE = ImpersonationLevel.DELEGATE
FORMS = (NegotiationProtocol.KERBEROS, NegotiationProtocol.NEGOTIATE)


@dataclass(frozen=True)
class Server:
    """A server by itself, without a connection.

    Attributes:
        keytab: What it accepts with.
        service: The principal it serves under.
    """

    factory: AcceptorFactory
    service: str

    @classmethod
    def of(
        cls, realm: Kdc, service: str = SERVICE, delegate_to: Sequence[str] = ()
    ) -> "Server":
        """Return a server with the keys of one service."""
        keytab = Keytab(realm.keytab(service), delegate_to=tuple(delegate_to))
        return cls(AcceptorFactory([keytab], STRICT), service)

    def meets(
        self,
        credentials: ClientCredentials,
        *,
        level: ImpersonationLevel = DELEGATE,
        form: NegotiationProtocol = NegotiationProtocol.KERBEROS,
        client_level: ImpersonationLevel | None = None,
    ) -> Identity:
        """Shake hands with a client and return who it is.

        Args:
            credentials: The client's.
            level: What HELLO says.
            form: Of the tokens.
            client_level: What the client's library does, where that is another.
        """
        asked = level if client_level is None else client_level
        client = initiator(credentials, form, service=self.service, impersonation=asked)
        context = self.factory.context(form, delegate=level is DELEGATE)
        exchange(client, context)
        return admit(
            context,
            self.factory,
            policy=STRICT,
            target=self.service,
            impersonation=level,
        )

    def given(self, credentials: ClientCredentials) -> DelegatedCredential:
        """Shake hands and return what the client delegated; it must have."""
        delegated = self.meets(credentials).delegated
        assert delegated is not None
        return delegated


def without_granting_ticket(
    realm: Kdc, user: str, service: str = SERVICE
) -> TicketCache:
    """Log a user in for one service alone, so that there is nothing to forward.

    So does a client that must not hand out its own ticket-granting ticket, as Windows
    does by itself.
    """
    cache = realm.kinit(user, forwardable=True, service=service, initial=True)
    return TicketCache(cache)


def listed(realm: Kdc, cache: Path) -> list[tuple[str, str]]:
    """Return client and server of each ticket in a cache file, as MIT lists them."""
    import krb5

    run("klist", "-s", env=realm.environment(ccache=cache))
    context = krb5.init_context()
    return [
        (
            krb5.unparse_name_flags(context, ticket.client).decode(),
            krb5.unparse_name_flags(context, ticket.server).decode(),
        )
        for ticket in krb5.cc_resolve(context, f"FILE:{cache}".encode())
    ]


def reach(realm: Kdc, cache: Path, service: str) -> None:
    """Have MIT's own tool get a ticket for a service out of a cache, or fail."""
    run("kvno", realm.principal(service), env=realm.environment(ccache=cache))


def nowhere(realm: Kdc, folder: Path) -> Path:
    """Write a configuration whose KDC does not answer, at once, and return its path."""
    text = realm.krb5_config.read_text()
    path = folder / "krb5-nowhere.conf"
    # Port 1 of the loopback interface: nobody listens there.
    path.write_text(re.sub(r"(kdc = 127\.0\.0\.1:)\d+", r"\g<1>1", text))
    return path
