"""TLS: the server always verified, the client where it is asked to be."""

import hashlib
import re
import ssl
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from signetrpc.transport import (
    AuthenticationFailed,
    ClientTls,
    Connector,
    FailureReason,
    HandshakeError,
    Link,
    LocalProtocolError,
    Mechanism,
    PlainAcceptor,
    PlainConnector,
    Protection,
    SecurityPolicy,
    ServerTls,
    TcpAddress,
    TlsAcceptor,
    TlsConnector,
    TransportError,
    UnixAddress,
)
from signetrpc.transport._frames import FrameType, encode_frame
from signetrpc.transport._hello import RejectCode
from signetrpc.transport._tls import certificate_hash, end_point_binding
from signetrpc.transport.testing import memory_pipes
from tests.support.certificates import Authority, Certified
from tests.support.connectors import NOWHERE
from tests.support.meetings import closed, meet, met, short_linger

__all__ = ["short_linger"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "Other CA")


def connector(tls: ClientTls, host: str = "localhost") -> Connector:
    return TlsConnector(TcpAddress(host, 7420), tls=tls)


# The server.


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1"])
async def test_a_server_with_the_name_that_was_typed(
    host: str, authority: Authority
) -> None:
    outcome = await meet(
        connector(authority.client(), host), TlsAcceptor(authority.server())
    )
    server, client = outcome.peers
    assert (server.mechanism, server.name) == (Mechanism.TLS, "CN=localhost")
    assert server.realm == "CN=Test CA" and not server.mutual
    assert client.anonymous
    await closed(outcome)


@pytest.mark.parametrize("host", ["example.com", "localhost.example.com", "127.0.0.2"])
async def test_a_server_with_another_name_is_refused(
    host: str, authority: Authority
) -> None:
    outcome = await meet(
        connector(authority.client(), host), TlsAcceptor(authority.server())
    )
    refused(outcome.errors, "mismatch")


async def test_a_name_can_be_given_in_place_of_the_address(
    authority: Authority,
) -> None:
    address = UnixAddress("/run/x")
    tls = authority.client(server_name="localhost")
    outcome = await meet(
        TlsConnector(address, tls=tls), TlsAcceptor(authority.server())
    )
    assert outcome.peers[0].name == "CN=localhost"
    await closed(outcome)


async def test_without_a_name_nothing_is_trusted(authority: Authority) -> None:
    with pytest.raises(TransportError, match="server_name"):
        outcome = await meet(
            TlsConnector(UnixAddress("/run/x"), tls=authority.client()),
            TlsAcceptor(authority.server()),
        )
        raise outcome.errors[0]


async def test_a_name_that_is_none(authority: Authority) -> None:
    outcome = await meet(
        connector(authority.client(server_name="a..b")), TlsAcceptor(authority.server())
    )
    assert "is no host name" in str(outcome.errors[0])


async def test_a_server_that_somebody_else_vouches_for_is_refused(
    authority: Authority, stranger: Authority
) -> None:
    outcome = await meet(connector(authority.client()), TlsAcceptor(stranger.server()))
    refused(outcome.errors, "unable to get local issuer")


async def test_a_server_that_vouches_for_itself_is_refused(
    authority: Authority,
) -> None:
    outcome = await meet(connector(ClientTls()), TlsAcceptor(authority.server()))
    refused(outcome.errors, "unable to get local issuer|self-signed")


async def test_a_server_whose_certificate_has_ended_is_refused(
    authority: Authority,
) -> None:
    old = authority.issue(ends=timedelta(minutes=-1))
    outcome = await meet(
        connector(authority.client()), TlsAcceptor(authority.server(old))
    )
    refused(outcome.errors, "expired")


async def test_a_server_without_a_subject_is_named_as_it_was_verified(
    authority: Authority,
) -> None:
    nameless = authority.issue("", names=("localhost",))
    outcome = await meet(
        connector(authority.client()), TlsAcceptor(authority.server(nameless))
    )
    assert outcome.peers[0].name == "localhost"
    await closed(outcome)


def refused(errors: tuple[TransportError, TransportError], why: str) -> None:
    """Check that the client refused the server, and that the server was told."""
    client, server = errors
    assert isinstance(client, AuthenticationFailed)
    assert client.reason is FailureReason.NOT_PROVEN
    assert re.search(why, str(client)), client
    assert isinstance(server, HandshakeError)
    assert "ALERT" in str(server)


# The client.


@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
async def test_a_client_is_known_by_its_subject(
    required: bool, authority: Authority
) -> None:
    own = authority.issue("alice", names=())
    ends = x509.load_der_x509_certificate(own.der).not_valid_after_utc.timestamp()
    outcome = await meet(
        connector(authority.client(own)),
        TlsAcceptor(authority.server(require_client=required)),
    )
    server, client = outcome.peers
    assert (client.mechanism, client.name) == (Mechanism.TLS, "CN=alice")
    assert (client.realm, client.principal) == ("CN=Test CA", "CN=alice")
    assert client.mutual and client.expires_at == ends
    assert server.mutual
    await closed(outcome)


async def test_a_client_may_have_none_where_it_is_optional(
    authority: Authority,
) -> None:
    outcome = await meet(
        connector(authority.client()),
        TlsAcceptor(authority.server(require_client=False)),
    )
    assert outcome.peers[1].anonymous
    await closed(outcome)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_a_client_without_one_is_refused_where_it_is_required(
    version: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(version, monkeypatch)
    outcome = await meet(
        connector(authority.client()),
        TlsAcceptor(authority.server(require_client=True)),
    )
    client, server = outcome.errors
    assert isinstance(server, AuthenticationFailed)
    assert server.reason is FailureReason.NO_CREDENTIALS
    assert isinstance(client, HandshakeError)
    if version == "TLSv1_3":  # as TLS 1.2 has it, "handshake failure" is all there is
        assert "refuses this end's certificate" in str(client)
        assert isinstance(client, AuthenticationFailed)
        assert client.reason is FailureReason.REFUSED


@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_a_client_that_somebody_else_vouches_for_is_refused(
    version: str,
    required: bool,
    authority: Authority,
    stranger: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(version, monkeypatch)
    own = stranger.issue("alice", names=())
    await refuses(own, authority, required=required, why="unable to get local issuer")


@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
async def test_a_client_whose_certificate_has_ended_is_refused(
    required: bool, authority: Authority
) -> None:
    own = authority.issue("alice", names=(), ends=timedelta(minutes=-1))
    await refuses(own, authority, required=required, why="expired")


async def test_a_client_without_a_subject_is_nobody(authority: Authority) -> None:
    own = authority.issue("", names=("alice.example.com",))
    await refuses(own, authority, required=True, why="no subject", told=False)


async def test_a_certificate_that_cannot_be_read_is_refused(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = authority.issue("alice", names=())
    acceptor = TlsAcceptor(authority.server(require_client=True))
    load = x509.load_der_x509_certificate

    def fail(der: bytes) -> x509.Certificate:
        if der == own.der:
            raise ValueError("what OpenSSL takes")
        return load(der)

    monkeypatch.setattr(x509, "load_der_x509_certificate", fail)
    outcome = await meet(connector(authority.client(own)), acceptor)
    server = outcome.server
    assert isinstance(server, AuthenticationFailed)
    assert server.reason is FailureReason.MALFORMED
    await closed(outcome)


async def refuses(
    own: Certified, authority: Authority, *, required: bool, why: str, told: bool = True
) -> None:
    """Check that a server refuses a client's certificate, and that it is told."""
    outcome = await meet(
        connector(authority.client(own)),
        TlsAcceptor(authority.server(require_client=required)),
    )
    client, server = outcome.errors
    assert isinstance(server, AuthenticationFailed)
    assert why in str(server)
    if told:
        assert isinstance(client, HandshakeError)


def only(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers speak one version of TLS."""
    make = ServerTls.context

    def context(self: ServerTls) -> ssl.SSLContext:
        made = make(self)
        made.maximum_version = made.minimum_version = ssl.TLSVersion[version]
        return made

    monkeypatch.setattr(ServerTls, "context", context)


# Versions, files and policies.


def test_nothing_below_tls_1_2(authority: Authority) -> None:
    for context in (authority.client().context(), authority.server().context()):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    context = authority.client().context()
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


def test_a_client_cannot_be_required_without_somebody_to_vouch() -> None:
    with pytest.raises(ValueError, match="client_ca"):
        ServerTls(certificate="x", require_client=True)


async def test_files_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for file in (tmp_path / "missing.pem", empty):
        with pytest.raises(OSError):
            TlsAcceptor(ServerTls(certificate=file))
        for tls in (ClientTls(ca=file), ClientTls(certificate=file)):
            one, two = memory_pipes()
            with pytest.raises(LocalProtocolError, match="cannot do TLS"):
                await connector(tls).secure(one, start=0.0)
            assert await two.receive() == b""
            await two.aclose()


async def test_certificates_are_read_off_the_event_loop(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, threads = ClientTls.context, set[int]()

    def context(self: ClientTls) -> ssl.SSLContext:
        threads.add(threading.get_ident())
        return make(self)

    monkeypatch.setattr(ClientTls, "context", context)
    outcome = await meet(connector(authority.client()), TlsAcceptor(authority.server()))
    await closed(outcome)
    assert threads and threading.get_ident() not in threads


def test_a_policy_that_allows_other_mechanisms_only(authority: Authority) -> None:
    policy = SecurityPolicy.kerberos_only()
    with pytest.raises(LocalProtocolError, match="the policy allows kerberos"):
        TlsConnector(NOWHERE, tls=authority.client(), policy=policy)
    with pytest.raises(LocalProtocolError, match="the policy allows kerberos"):
        TlsAcceptor(authority.server(), policy=policy)
    allowed = SecurityPolicy(mechanisms=frozenset({Mechanism.TLS}))
    TlsConnector(NOWHERE, tls=authority.client(), policy=allowed)
    TlsAcceptor(authority.server(), policy=allowed)


async def test_every_message_is_sealed_whatever_it_asks_for(
    authority: Authority,
) -> None:
    ends = connector(authority.client()), TlsAcceptor(authority.server())
    async with met(*ends) as (client, server):
        for level in Protection:
            await client.send(b"x", level)
            assert (await server.receive()).protection is Protection.SEAL


# Peers that do something else.


async def test_tls_and_plain_do_not_meet(authority: Authority) -> None:
    tls, plain = connector(authority.client()), PlainConnector(NOWHERE)
    outcome = await meet(plain, TlsAcceptor(authority.server()))
    assert "TLS failed" in str(outcome.errors[1])
    outcome = await meet(tls, PlainAcceptor())
    for error in outcome.errors:
        assert isinstance(error, TransportError)


async def test_a_server_without_room_is_heard_before_tls(authority: Authority) -> None:
    client, server = memory_pipes()
    server.write(encode_frame(FrameType.REJECT, 0, bytes((RejectCode.BUSY,))))
    await server.drain()
    with pytest.raises(HandshakeError, match="busy"):
        await connector(authority.client()).secure(client, start=float("inf"))
    await server.aclose(linger=False)


@pytest.mark.parametrize("role", ["client", "server"])
async def test_a_silent_peer_is_given_up(role: str, authority: Authority) -> None:
    near, far = memory_pipes()
    policy = SecurityPolicy(handshake_seconds=5)
    start = anyio.current_time() - 5
    with pytest.raises(TimeoutError, match="took over 5 seconds"):
        if role == "client":
            await TlsConnector(NOWHERE, tls=authority.client(), policy=policy).secure(
                near, start=start
            )
        else:
            await TlsAcceptor(authority.server(), policy=policy).secure(
                near, start=start
            )
    while await far.receive():
        pass
    await far.aclose()


# What proofs are bound to.


@pytest.mark.parametrize(
    ("digest", "name"),
    [
        (hashes.SHA256(), "sha256"),
        (hashes.SHA384(), "sha384"),
        (hashes.SHA512(), "sha512"),
    ],
)
def test_the_binding_has_the_hash_of_the_signature(
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512,
    name: str,
    authority: Authority,
) -> None:
    der = authority.issue(digest=digest).der
    expected = b"tls-server-end-point:" + hashlib.new(name, der).digest()
    assert end_point_binding(der) == expected
    assert certificate_hash(der) == hashlib.sha256(der).digest()


def test_a_signature_without_a_hash_is_bound_by_sha256(tmp_path: Path) -> None:
    der = Authority(tmp_path, ed25519_key=True).issue().der
    assert end_point_binding(der).endswith(hashlib.sha256(der).digest())


@pytest.mark.parametrize("name", ["md5", "sha1"])
def test_a_weak_hash_is_replaced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # New ones cannot be made any more.  RFC 5929 section 4.1.
    weak = SimpleNamespace(signature_hash_algorithm=SimpleNamespace(name=name))

    def load(_: bytes) -> SimpleNamespace:
        return weak

    monkeypatch.setattr(x509, "load_der_x509_certificate", load)
    assert end_point_binding(b"x").endswith(hashlib.sha256(b"x").digest())


@pytest.mark.parametrize("error", [UnsupportedAlgorithm("new"), ValueError("odd")])
def test_a_signature_of_an_unknown_form_has_no_binding(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: bytes) -> x509.Certificate:
        raise error

    monkeypatch.setattr(x509, "load_der_x509_certificate", fail)
    with pytest.raises(HandshakeError, match="no channel binding"):
        end_point_binding(b"x")


async def test_certificates_stay_out_of_reprs(authority: Authority) -> None:
    outcome = await meet(connector(authority.client()), TlsAcceptor(authority.server()))
    assert isinstance(outcome.client, Link)
    assert "BEGIN" not in repr(authority.server()) and "\\x30" not in repr(outcome)
    await closed(outcome)
