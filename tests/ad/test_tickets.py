"""Tickets as a domain controller makes them: with a PAC, and large."""

from typing import TYPE_CHECKING

import pytest

from signetrpc.transport import (
    AuthenticationFailed,
    FailureReason,
    Keytab,
    NegotiationProtocol,
    TicketCache,
)
from signetrpc.transport._negotiate import AcceptorFactory
from tests.ad.domain import KERBEROS_ONLY
from tests.support.negotiation import KERBEROS, admit, exchange, initiator
from tests.support.samba import OTHER_SERVICE, REALM, SERVICE, DomainController

if TYPE_CHECKING:
    import gssapi.raw

FORMS = [NegotiationProtocol.KERBEROS, NegotiationProtocol.NEGOTIATE]
ONLY_KERBEROS = frozenset({KERBEROS})
_LOGON_INFO = b"urn:mspac:logon-info"


def _initiator(context: "gssapi.SecurityContext") -> "gssapi.raw.Name | None":
    import gssapi.raw

    return gssapi.raw.inquire_context(context).initiator_name  # pyright: ignore


def _first_token(dc: DomainController, user: str) -> bytes:
    client = initiator(
        TicketCache(dc.kinit(user)), FORMS[0], service=SERVICE, allowed=ONLY_KERBEROS
    )
    token = client.step(None)
    assert token is not None
    return token


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("user", ["alice", "grace"])
def test_both_ends_report_all_there_is(
    dc: DomainController, form: NegotiationProtocol, user: str
) -> None:
    factory = AcceptorFactory([Keytab(dc.keytab_file)], KERBEROS_ONLY)
    client = initiator(TicketCache(dc.kinit(user)), form, service=SERVICE)
    server = factory.context(form)
    assert len(exchange(client, server)) == 2
    for facts in (client.facts(), server.facts()):
        assert facts.complete and facts.mechanism is KERBEROS
        assert facts.integrity and facts.confidentiality and facts.mutual
        assert facts.replay_detection and facts.sequence_detection
        assert facts.enctype == 18  # aes256-cts-hmac-sha1-96
        assert facts.target == SERVICE
    assert client.facts().session_key == server.facts().session_key
    identity = admit(server, factory, policy=KERBEROS_ONLY, target=SERVICE)
    assert identity.principal == f"{user}@{REALM}"
    assert identity.mutual and identity.expires_at is not None
    assert server.unwrap(client.wrap(b"x")) == (b"x", True)


def test_the_ticket_has_a_pac(dc: DomainController) -> None:
    """The libraries checked it: it is there, and authentic."""
    import gssapi.raw

    from signetrpc.transport._negotiate_kerberos import KerberosAcceptor

    server = KerberosAcceptor(Keytab(dc.keytab_file), frozenset()).context()
    server.step(_first_token(dc, "grace"))
    name = _initiator(vars(server)["_context"])
    assert name is not None
    found = gssapi.raw.get_name_attribute(name, _LOGON_INFO)
    assert found.authenticated
    assert len(found.values[0]) > 300 * 8  # a relative id and its attributes


def test_300_groups_make_a_large_token(dc: DomainController) -> None:
    token = _first_token(dc, "grace")
    assert len(_first_token(dc, "alice")) + 2000 < len(token) < 64 * 1024


def test_a_replayed_ticket(dc: DomainController) -> None:
    factory = AcceptorFactory([Keytab(dc.keytab_file)], KERBEROS_ONLY)
    token = _first_token(dc, "alice")
    factory.context(FORMS[0]).step(token)
    with pytest.raises(AuthenticationFailed, match="replay") as caught:
        factory.context(FORMS[0]).step(token)
    assert caught.value.reason is FailureReason.REFUSED


def test_a_ticket_for_another_service(dc: DomainController) -> None:
    """The KDC gives it; the server's keytab lacks the key."""
    factory = AcceptorFactory([Keytab(dc.keytab_file)], KERBEROS_ONLY)
    tickets = TicketCache(dc.kinit("alice"))
    client = initiator(tickets, FORMS[0], service=OTHER_SERVICE, allowed=ONLY_KERBEROS)
    with pytest.raises(AuthenticationFailed) as caught:
        factory.context(FORMS[0]).step(client.step(None))
    assert caught.value.reason is FailureReason.UNKNOWN_SERVICE


def test_a_service_that_the_directory_lacks(dc: DomainController) -> None:
    client = initiator(
        TicketCache(dc.kinit("alice")),
        FORMS[0],
        service="host/nowhere.corp.example.com",
        allowed=ONLY_KERBEROS,
    )
    with pytest.raises(AuthenticationFailed, match="does not know") as caught:
        client.step(None)
    assert caught.value.reason is FailureReason.UNKNOWN_SERVICE
