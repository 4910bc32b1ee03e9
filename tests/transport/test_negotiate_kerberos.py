"""Kerberos against a real KDC: what it proves, and how it fails."""

import base64
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from signetrpc.transport._credentials import Keytab, Password, TicketCache
from signetrpc.transport._identity import ImpersonationLevel
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._security import (
    ContextFacts,
    NegotiationProtocol,
    SecurityContext,
    SecurityPolicy,
)
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
)
from tests.support.kdc import OTHER_SERVICE, REALM, SERVICE, Kdc
from tests.support.negotiation import KERBEROS, admit, exchange, initiator, trust
from tests.support.parts import Part, require

FORM = NegotiationProtocol.KERBEROS
STRICT = SecurityPolicy.kerberos_only()


@pytest.fixture
def realm(kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch) -> Kdc:
    """The KDC, with alice signed in."""
    ccache = kerberos_environment.kinit("alice")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{ccache}")
    return kerberos_environment


@pytest.fixture
def factory(realm: Kdc) -> AcceptorFactory:
    return AcceptorFactory([Keytab(realm.keytab_file)], STRICT)


def _client(service: str = SERVICE) -> SecurityContext:
    return initiator(TicketCache(), FORM, service=service)


# What it proves.


def test_both_ends_report_all_there_is(factory: AcceptorFactory) -> None:
    client, server = _client(), factory.context(FORM)
    assert len(exchange(client, server)) == 2
    for facts in (client.facts(), server.facts()):
        assert facts.complete and facts.mechanism is KERBEROS
        assert facts.integrity and facts.confidentiality and facts.mutual
        assert facts.replay_detection and facts.sequence_detection
        assert not facts.channel_bound
        assert facts.enctype in (18, 20)
        assert facts.ntlm is None
        assert facts.target == SERVICE
    assert client.facts().session_key == server.facts().session_key
    assert len(server.facts().session_key) == 32
    assert (server.facts().name, server.facts().realm) == ("alice", REALM)
    assert client.facts().name == SERVICE


def test_nothing_is_proved_before_the_end(factory: AcceptorFactory) -> None:
    client = _client()
    token = client.step(None)
    assert not client.facts().complete
    assert client.facts().session_key == b""
    client.step(factory.context(FORM).step(token))
    assert client.facts().complete


def _key_alone(*_: object) -> list[bytes]:
    return [b"key"]


def _wrap_in_plain(*_: object) -> tuple[bytes, bool]:
    return b"token", False


def test_what_the_library_leaves_out_is_not_made_up(
    factory: AcceptorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gssapi
    import gssapi.raw

    client, server = _client(), factory.context(FORM)
    exchange(client, server)
    state = gssapi.raw.inquire_context

    def says(**left_out: object) -> ContextFacts:
        def changed(context: gssapi.SecurityContext) -> object:
            whole: Any = state(context)
            return whole._replace(**left_out)

        with monkeypatch.context() as patch:
            patch.setattr(gssapi.raw, "inquire_context", changed)
            return server.facts()

    assert says().complete
    assert not says(mech=None).complete
    assert says(initiator_name=None).name == ""
    assert says(target_name=None).target == ""
    assert says(lifetime=None).expires_at is None
    assert says(lifetime=0xFFFFFFFF).expires_at is None
    assert not says(flags=None).mutual
    with monkeypatch.context() as patch:
        patch.setattr(gssapi.raw, "inquire_sec_context_by_oid", _key_alone)
        assert server.facts().enctype is None


def test_a_library_that_does_not_encrypt_is_found_out(
    factory: AcceptorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gssapi.raw

    monkeypatch.setattr(gssapi.raw, "wrap", _wrap_in_plain)
    client, server = _client(), factory.context(FORM)
    exchange(client, server)
    with pytest.raises(ValueError, match="without encryption"):
        server.wrap(b"data")


def test_the_proof_ends_with_the_ticket(realm: Kdc) -> None:
    factory = AcceptorFactory([Keytab(realm.keytab_file)], STRICT)
    ends: list[float] = []
    for hours in (1, 3):
        ccache = realm.kinit("alice", lifetime=timedelta(hours=hours))
        server = factory.context(FORM)
        exchange(initiator(TicketCache(ccache), FORM), server)
        identity = admit(server, factory, policy=STRICT)
        assert identity.expires_at is not None
        ends.append(identity.expires_at)
    assert ends[1] - ends[0] == pytest.approx(2 * 3600, abs=60)


def test_the_server_is_known_to_the_client(factory: AcceptorFactory) -> None:
    client, server = _client(), factory.context(FORM)
    exchange(client, server)
    identity = trust(client, policy=STRICT)
    assert identity.mutual and identity.name == SERVICE
    assert admit(server, factory, policy=STRICT).principal == f"alice@{REALM}"
    with pytest.raises(AuthenticationFailed) as caught:
        trust(client, policy=STRICT, target="host/elsewhere")
    assert caught.value.reason is FailureReason.UNKNOWN_SERVICE


def test_one_credential_serves_many_threads(factory: AcceptorFactory) -> None:
    principals: list[str] = []
    start = threading.Barrier(4)

    def serve() -> None:
        start.wait()
        for _ in range(20):
            server = factory.context(FORM)
            exchange(_client(), server)
            principals.append(admit(server, factory, policy=STRICT).principal)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert principals == [f"alice@{REALM}"] * 80


def test_principals_keep_their_escapes() -> None:
    require(Part.GSSAPI)
    from signetrpc.transport._negotiate_kerberos import split_principal

    assert split_principal("alice@R") == ("alice", "R")
    assert split_principal("host/a.b@R.S") == ("host/a.b", "R.S")
    assert split_principal(r"a\@b/c@R") == (r"a\@b/c", "R")
    assert split_principal(r"a\\@R") == (r"a\\", "R")
    assert split_principal(r"a\@R") == (r"a\@R", "")
    assert split_principal("host/a@") == ("host/a", "")
    assert split_principal("a\\") == ("a\\", "")


# The keytab, when a server starts.


def test_serves_the_principals_of_its_keytab(realm: Kdc) -> None:
    keytab = realm.keytab(SERVICE, OTHER_SERVICE)
    factory = AcceptorFactory([Keytab(keytab)], STRICT)
    assert factory.served == {SERVICE, OTHER_SERVICE}
    assert factory.mechanisms == {KERBEROS}
    for service in (SERVICE, OTHER_SERVICE):
        server = factory.context(FORM)
        exchange(_client(service), server)
        assert server.facts().target == service
        admit(server, factory, policy=STRICT, target=service)
        with pytest.raises(HandshakeError, match="HELLO names"):
            admit(server, factory, policy=STRICT, target="host/else")


@pytest.mark.parametrize(
    ("principal", "names"),
    [
        (SERVICE, frozenset[str]()),
        (f"{SERVICE}@{REALM}", frozenset[str]()),
        (None, frozenset({SERVICE})),
        (None, frozenset({f"{SERVICE}@{REALM}"})),
        (SERVICE, frozenset({SERVICE})),
    ],
)
def test_serves_no_more_than_it_was_told(
    realm: Kdc, principal: str | None, names: frozenset[str]
) -> None:
    keytab = Keytab(realm.keytab(SERVICE, OTHER_SERVICE), principal)
    policy = SecurityPolicy(service_principals=names)
    factory = AcceptorFactory([keytab], policy)
    assert factory.served == {SERVICE}
    exchange(_client(), factory.context(FORM))
    with pytest.raises(AuthenticationFailed) as caught:
        exchange(_client(OTHER_SERVICE), factory.context(FORM))
    assert caught.value.reason is FailureReason.UNKNOWN_SERVICE


@pytest.mark.parametrize(
    ("principal", "names"),
    [
        ("host/else", frozenset[str]()),
        (None, frozenset({SERVICE, "host/else"})),
        (SERVICE, frozenset({"host/else"})),
        (f"{SERVICE}@ELSE", frozenset[str]()),
    ],
)
def test_a_name_without_a_key_is_an_error_at_the_start(
    realm: Kdc, principal: str | None, names: frozenset[str]
) -> None:
    policy = SecurityPolicy(service_principals=names)
    with pytest.raises(AuthenticationFailed, match=r"keytab-\d+' has no key of ") as e:
        AcceptorFactory([Keytab(realm.keytab_file, principal)], policy)
    assert e.value.reason is FailureReason.NO_CREDENTIALS


def test_a_keytab_that_is_none_is_an_error_at_the_start(
    realm: Kdc, tmp_path: Path
) -> None:
    garbage, empty = tmp_path / "garbage", tmp_path / "empty"
    garbage.write_bytes(b"secret words of somebody else")
    empty.write_bytes(b"\x05\x02")
    for path, complaint in (
        (tmp_path / "none", r"none' cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (garbage, "garbage' cannot be read: it is not a keytab"),
        (empty, "empty' has no keys"),
    ):
        with pytest.raises(AuthenticationFailed, match=complaint) as caught:
            AcceptorFactory([Keytab(path)], STRICT)
        assert caught.value.reason is FailureReason.NO_CREDENTIALS


# Failures, client's side.


def _fails(context: SecurityContext) -> AuthenticationFailed:
    with pytest.raises(AuthenticationFailed) as caught:
        context.step(None)
    assert not context.complete and not context.facts().complete
    assert caught.value.__cause__ is not None
    return caught.value


def test_an_unknown_service(realm: Kdc) -> None:
    error = _fails(_client("host/unknown"))
    assert error.reason is FailureReason.UNKNOWN_SERVICE
    assert str(error) == "the KDC does not know the service principal 'host/unknown'"


def test_an_expired_ticket(realm: Kdc) -> None:
    require(Part.FAKETIME)
    hours = timedelta(hours=1)
    ccache = realm.kinit("alice", lifetime=hours, clock_offset=-2 * hours)
    for credentials in (TicketCache(ccache), TicketCache(ccache, f"alice@{REALM}")):
        error = _fails(initiator(credentials, FORM))
        assert error.reason is FailureReason.EXPIRED
        assert str(error) == "the Kerberos ticket has expired: run kinit again"


def test_no_ticket_at_all(realm: Kdc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{realm.folder / 'no-tickets'}")
    missing = TicketCache(realm.folder / "nowhere")
    for credentials in (TicketCache(), missing, TicketCache(None, f"bob@{REALM}")):
        error = _fails(initiator(credentials, FORM))
        assert error.reason is FailureReason.NO_CREDENTIALS
        assert "run kinit" in str(error)


def test_an_unknown_user_and_a_wrong_password(realm: Kdc) -> None:
    error = _fails(initiator(Password(f"nobody@{REALM}", "pw-secret"), FORM))
    assert error.reason is FailureReason.UNKNOWN_PRINCIPAL
    assert str(error) == f"the KDC does not know 'nobody@{REALM}'"
    error = _fails(initiator(Password(f"alice@{REALM}", "pw-secret"), FORM))
    assert error.reason is FailureReason.BAD_CREDENTIALS
    assert "pw-secret" not in f"{error} {error.__cause__}"


def test_no_kdc(realm: Kdc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "krb5.conf"
    # Port 1 of the loopback interface: nobody answers, at once.
    config.write_text(
        f"[libdefaults]\n default_realm = {REALM}\n udp_preference_limit = 1\n"
        " dns_lookup_kdc = false\n"
        f"[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:1\n }}\n"
    )
    monkeypatch.setenv("KRB5_CONFIG", str(config))
    for credentials in (TicketCache(), Password("alice", "x"), Password("a@ELSE", "x")):
        error = _fails(initiator(credentials, FORM))
        assert error.reason is FailureReason.NO_KDC


def test_a_configuration_without_a_realm(
    realm: Kdc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "krb5.conf"
    config.write_text("[libdefaults]\n dns_lookup_kdc = false\n")
    monkeypatch.setenv("KRB5_CONFIG", str(config))
    error = _fails(initiator(Password("alice", "x"), FORM))
    assert error.reason is FailureReason.NO_CREDENTIALS
    assert str(error) == "krb5.conf names no default realm"


# Failures, server's side.


def _refuses(factory: AcceptorFactory, token: bytes | None) -> AuthenticationFailed:
    server = factory.context(FORM)
    with pytest.raises(AuthenticationFailed) as caught:
        server.step(token)
    assert not server.complete and not server.facts().complete
    return caught.value


def test_a_service_without_a_key(factory: AcceptorFactory) -> None:
    error = _refuses(factory, _client(OTHER_SERVICE).step(None))
    assert error.reason is FailureReason.UNKNOWN_SERVICE


def test_a_key_that_has_changed(realm: Kdc) -> None:
    realm.add_service("changed/localhost")
    old = realm.keytab("changed/localhost")
    factory = AcceptorFactory([Keytab(old)], STRICT)
    realm.kadmin("cpw -randkey changed/localhost")
    error = _refuses(factory, _client("changed/localhost").step(None))
    assert error.reason in (FailureReason.REFUSED, FailureReason.UNKNOWN_SERVICE)


def test_a_replay(factory: AcceptorFactory) -> None:
    token = _client().step(None)
    factory.context(FORM).step(token)
    error = _refuses(factory, token)
    assert error.reason is FailureReason.REFUSED
    assert "replay" in str(error)


# A client in a process of its own, whose clock can be shifted.
_FIRST_TOKEN = f"""
import base64
from tests.support.negotiation import initiator
from signetrpc.transport._credentials import TicketCache
from signetrpc.transport._security import NegotiationProtocol
context = initiator(TicketCache(), NegotiationProtocol.KERBEROS, service={SERVICE!r})
print(base64.b64encode(context.step(None)).decode())
"""


def _token_of_another_time(realm: Kdc, offset: timedelta) -> bytes:
    require(Part.FAKETIME)
    ccache = realm.kinit("alice", service=SERVICE)
    environment = realm.environment(ccache=ccache, clock_offset=offset)
    root = Path(__file__).parents[2]
    output = subprocess.check_output(
        [sys.executable, "-c", _FIRST_TOKEN], env=environment, cwd=root, text=True
    )
    return base64.b64decode(output)


def test_clocks_that_differ(realm: Kdc, factory: AcceptorFactory) -> None:
    error = _refuses(factory, _token_of_another_time(realm, timedelta(minutes=10)))
    assert error.reason is FailureReason.CLOCK_SKEW
    assert str(error) == "the clocks of client and server differ too much"


def test_clocks_that_differ_a_little(realm: Kdc, factory: AcceptorFactory) -> None:
    server = factory.context(FORM)
    server.step(_token_of_another_time(realm, timedelta(minutes=2)))
    assert admit(server, factory, policy=STRICT).principal == f"alice@{REALM}"


@pytest.mark.parametrize("flags", [16 | 32, 4 | 8 | 16 | 32])
def test_a_client_that_wants_no_proof_of_the_server_is_not_admitted(
    factory: AcceptorFactory, flags: int
) -> None:
    import gssapi

    # gssapi by itself, as some other client would use it.
    client = gssapi.SecurityContext(
        name=gssapi.Name(f"{SERVICE}@{REALM}", gssapi.NameType.kerberos_principal),
        usage="initiate",
        flags=flags,
    )
    server = factory.context(FORM)
    assert server.step(client.step()) is None
    assert server.complete
    with pytest.raises(HandshakeError, match="without mutual|lacks replay"):
        admit(server, factory, policy=STRICT)


def test_other_mechanisms_of_the_library_stay_outside(
    factory: AcceptorFactory,
) -> None:
    # GSS-API chooses the mechanism by the token: SPNEGO and, where it is installed,
    # gss-ntlmssp answer too.
    spnego = initiator(TicketCache(), NegotiationProtocol.NEGOTIATE)
    ntlm = initiator(protocol=NegotiationProtocol.NTLM)
    for other in (spnego, ntlm):
        _refuses(factory, other.step(None))


def test_delegation_is_asked_for_only_at_that_level(realm: Kdc) -> None:
    forwardable = realm.kinit("alice", forwardable=True)
    sizes: dict[ImpersonationLevel, int] = {}
    for level in ImpersonationLevel:
        client = initiator(TicketCache(forwardable), FORM, impersonation=level)
        sizes[level] = len(client.step(None) or b"")
    # The user's own ticket travels inside the token.
    others = sizes[ImpersonationLevel.IDENTIFY], sizes[ImpersonationLevel.IMPERSONATE]
    assert sizes[ImpersonationLevel.DELEGATE] > 500 + max(others)
