"""Against implementations that are not ours: MIT's SPNEGO and gss-ntlmssp, in C.

gss-ntlmssp by itself sends no message integrity code and is refused for that as a
client; inside MIT's SPNEGO it sends one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from signetrpc.transport._credentials import Keytab, TicketCache
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._security import (
    NegotiationProtocol,
    SecurityContext,
    SecurityPolicy,
)
from signetrpc.transport.errors import InsufficientProtection
from tests.support.kdc import REALM, SERVICE, Kdc
from tests.support.negotiation import (
    ALICE,
    ALLOW_NTLM,
    KERBEROS,
    NTLM,
    account_file,
    admit,
    initiator,
    trust,
)
from tests.support.parts import Part, require

if TYPE_CHECKING:
    import gssapi

_NTLM, _SPNEGO = "1.3.6.1.4.1.311.2.2.10", "1.3.6.1.5.5.2"
_KERBEROS = "1.2.840.113554.1.2.2"
_ALL_FLAGS = 2 | 4 | 8 | 16 | 32
_FORMS = {
    _NTLM: NegotiationProtocol.NTLM,
    _KERBEROS: NegotiationProtocol.KERBEROS,
    _SPNEGO: NegotiationProtocol.NEGOTIATE,
}


@pytest.fixture
def ntlm_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AcceptorFactory:
    """Ours; gss-ntlmssp finds the same accounts."""
    require(Part.GSSAPI, Part.GSS_NTLMSSP)
    file = account_file(tmp_path)
    monkeypatch.setenv("NTLM_USER_FILE", str(file.path))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'no-tickets'}")
    return AcceptorFactory([file], ALLOW_NTLM)


@pytest.fixture
def realm(kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch) -> Kdc:
    """The KDC, with alice signed in."""
    ccache = kerberos_environment.kinit("alice")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{ccache}")
    return kerberos_environment


def _client(
    mechanism: str, inner: str, name: str | None = None
) -> "gssapi.SecurityContext":
    import gssapi
    import gssapi.raw

    oid = gssapi.OID.from_int_seq
    user = None if name is None else gssapi.Name(name, gssapi.NameType.user)
    held = gssapi.Credentials(name=user, usage="initiate", mechs=[oid(mechanism)])
    if mechanism == _SPNEGO:
        gssapi.raw.set_neg_mechs(held, [oid(inner)])
    return gssapi.SecurityContext(
        name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service),
        creds=held,
        usage="initiate",
        mech=oid(mechanism),
        flags=_ALL_FLAGS,
    )


def _server(mechanism: str, inner: str) -> "gssapi.SecurityContext":
    import gssapi
    import gssapi.raw

    oid = gssapi.OID.from_int_seq
    held = gssapi.Credentials(usage="accept", mechs=[oid(mechanism)])
    if mechanism == _SPNEGO:
        gssapi.raw.set_neg_mechs(held, [oid(inner)])
    return gssapi.SecurityContext(creds=held, usage="accept")


Step = Callable[[bytes | None], bytes | None]


def _shake_hands(client: Step, server: Step) -> None:
    token = client(None)
    while token:
        token = server(token)
        if token:
            token = client(token)


def _talk(ours: SecurityContext, theirs: "gssapi.SecurityContext") -> None:
    for _ in range(3):
        assert ours.unwrap(theirs.wrap(b"hello", True).message) == (b"hello", True)
        ours.verify(b"signed", theirs.get_signature(b"signed"))
        assert theirs.unwrap(ours.wrap(b"hello")).message == b"hello"
        theirs.verify_signature(b"signed", ours.sign(b"signed"))


def test_their_negotiated_ntlm_client(ntlm_server: AcceptorFactory) -> None:
    theirs = _client(_SPNEGO, _NTLM, ALICE.user)
    ours = ntlm_server.context(NegotiationProtocol.NEGOTIATE)
    _shake_hands(theirs.step, ours.step)
    assert admit(ours, ntlm_server).principal == ALICE.user
    _talk(ours, theirs)


def test_their_bare_ntlm_client_sends_no_integrity_code(
    ntlm_server: AcceptorFactory,
) -> None:
    theirs = _client(_NTLM, _NTLM, ALICE.user)
    ours = ntlm_server.context(NegotiationProtocol.NTLM)
    _shake_hands(theirs.step, ours.step)
    assert ours.facts().name == "alice"
    with pytest.raises(InsufficientProtection, match="message integrity code$"):
        admit(ours, ntlm_server)


@pytest.mark.parametrize("mechanism", [_NTLM, _SPNEGO])
def test_their_ntlm_server(ntlm_server: AcceptorFactory, mechanism: str) -> None:
    only = frozenset({NTLM})
    ours = initiator(ALICE, _FORMS[mechanism], allowed=only)
    theirs = _server(mechanism, _NTLM)
    _shake_hands(ours.step, theirs.step)
    assert trust(ours, allowed=only).mechanism is NTLM
    # gss-ntlmssp leaves the zero at the end of its string.
    assert str(theirs.initiator_name).rstrip("\0") == ALICE.user
    _talk(ours, theirs)


@pytest.mark.parametrize("mechanism", [_KERBEROS, _SPNEGO])
def test_their_kerberos_client(realm: Kdc, mechanism: str) -> None:
    factory = AcceptorFactory([Keytab(realm.keytab_file)], SecurityPolicy())
    theirs, ours = _client(mechanism, _KERBEROS), factory.context(_FORMS[mechanism])
    _shake_hands(theirs.step, ours.step)
    assert admit(ours, factory, target=SERVICE).principal == f"alice@{REALM}"
    _talk(ours, theirs)


@pytest.mark.parametrize("mechanism", [_KERBEROS, _SPNEGO])
def test_their_kerberos_server(realm: Kdc, mechanism: str) -> None:
    only = frozenset({KERBEROS})
    ours = initiator(TicketCache(), _FORMS[mechanism], allowed=only)
    theirs = _server(mechanism, _KERBEROS)
    _shake_hands(ours.step, theirs.step)
    assert trust(ours, allowed=only).mutual
    assert str(theirs.initiator_name) == f"alice@{REALM}"
    _talk(ours, theirs)


def test_their_client_that_prefers_kerberos_is_led_to_ntlm(
    ntlm_server: AcceptorFactory, realm: Kdc
) -> None:
    import gssapi

    oid = gssapi.OID.from_int_seq
    theirs = gssapi.SecurityContext(
        name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service),
        usage="initiate",
        mech=oid(_SPNEGO),
        flags=_ALL_FLAGS,
    )
    ours = ntlm_server.context(NegotiationProtocol.NEGOTIATE)
    _shake_hands(theirs.step, ours.step)
    assert admit(ours, ntlm_server).mechanism is NTLM
    _talk(ours, theirs)
