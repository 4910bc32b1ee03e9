"""NTLM verified by winbind: what it proves, and the known ways in."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import gssapi
import gssapi.raw
import pytest
import spnego
from spnego import ContextReq
from spnego._ntlm_raw.crypto import rc4k
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvId,
    Challenge,
    Negotiate,
    NegotiateFlags,
    Version,
)

from signetrpc.transport import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
    ImpersonationLevel,
    InsufficientProtection,
    NegotiationProtocol,
    Password,
    SecurityContext,
    Winbind,
)
from signetrpc.transport._negotiate import AcceptorFactory, InitiatorContext
from signetrpc.transport._negotiate_ntlm import NtlmContext
from signetrpc.transport._negotiate_winbind import WinbindAcceptor
from signetrpc.transport._negotiate_winbind_client import WinbindClient
from signetrpc.transport._negotiate_winbind_tokens import read_authenticate
from tests.ad.domain import password
from tests.support.negotiation import ALLOW_NTLM, NTLM, admit, exchange, initiator
from tests.support.samba import USERS, DomainController, run

ALICE = password("alice")
FORMS = [NegotiationProtocol.NTLM, NegotiationProtocol.NEGOTIATE]

_FLAGS = (
    NegotiateFlags.unicode
    | NegotiateFlags.sign
    | NegotiateFlags.seal
    | NegotiateFlags.key_128
    | NegotiateFlags.key_exch
    | NegotiateFlags.extended_session_security
    | NegotiateFlags.ntlm
    | NegotiateFlags.version
)


@pytest.fixture
def factory(dc: DomainController) -> AcceptorFactory:
    return AcceptorFactory([Winbind()], ALLOW_NTLM)


def _acceptor(
    factory: AcceptorFactory, form: NegotiationProtocol = NegotiationProtocol.NTLM
) -> SecurityContext:
    return factory.context(form)


def _client(
    credentials: Password = ALICE,
    form: NegotiationProtocol = NegotiationProtocol.NTLM,
) -> SecurityContext:
    return initiator(credentials, form, allowed=frozenset({NTLM}))


def _answer(client: SecurityContext, server: "SecurityContext | _Bare") -> bytes:
    """Return the client's last message, not yet delivered."""
    answer = client.step(server.step(client.step(None)))
    assert answer is not None
    return answer


class _Bare:
    """An acceptor that is gss-ntlmssp and nothing else."""

    def __init__(self) -> None:
        ntlm = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
        credential = gssapi.Credentials(usage="accept", mechs=[ntlm])
        self.context = gssapi.SecurityContext(creds=credential, usage="accept")

    def step(self, token: bytes | None) -> bytes | None:
        answer: bytes | None = self.context.step(token)
        return answer


# What it proves.


@pytest.mark.parametrize("form", FORMS)
def test_the_acceptor_reports_all_there_is(
    factory: AcceptorFactory, form: NegotiationProtocol
) -> None:
    client, server = _client(form=form), _acceptor(factory, form)
    exchange(client, server)
    facts = server.facts()
    assert facts.complete and facts.mechanism is NTLM
    assert facts.integrity and facts.confidentiality
    assert facts.replay_detection and facts.sequence_detection
    ntlm = facts.ntlm
    assert ntlm is not None
    assert ntlm.version2 and ntlm.key_128 and ntlm.extended_session_security
    assert ntlm.key_exchange and ntlm.mic
    assert not facts.mutual and not facts.channel_bound
    assert (facts.enctype, facts.expires_at, facts.target) == (None, None, "")
    assert facts.session_key == client.facts().session_key
    assert len(facts.session_key) == 16
    assert (facts.realm, facts.name) == ("CORP", "alice")
    assert admit(server, factory).principal == r"CORP\alice"


def test_nothing_is_proved_before_the_end(factory: AcceptorFactory) -> None:
    client, server = _client(), _acceptor(factory)
    answer = _answer(client, server)
    assert not server.complete and not server.facts().complete
    assert server.facts().name == "" and server.facts().session_key == b""
    assert server.step(answer) is None
    assert server.facts().complete


@pytest.mark.parametrize("form", FORMS)
def test_messages_both_ways(
    factory: AcceptorFactory, form: NegotiationProtocol
) -> None:
    client, server = _client(form=form), _acceptor(factory, form)
    exchange(client, server)
    for sender, receiver in ((client, server), (server, client)) * 2:
        sealed = sender.wrap(b"a secret")
        assert b"secret" not in sealed
        assert receiver.unwrap(sealed) == (b"a secret", True)
        receiver.verify(b"known", sender.sign(b"known"))


def test_messages_out_of_order_changed_or_short(factory: AcceptorFactory) -> None:
    def pair() -> tuple[SecurityContext, SecurityContext]:
        client, server = _client(), _acceptor(factory)
        exchange(client, server)
        return client, server

    client, server = pair()
    sealed = client.wrap(b"first")
    assert server.unwrap(sealed).data == b"first"
    with pytest.raises(Exception, match="Message Integrity Check"):
        server.unwrap(sealed)  # once more
    client, server = pair()
    client.sign(b"left out")
    with pytest.raises(Exception, match="Message Integrity Check"):
        server.verify(b"second", client.sign(b"second"))
    client, server = pair()
    with pytest.raises(Exception, match="Message Integrity Check"):
        server.verify(b"other", client.sign(b"one"))
    for length in (0, 1, 15, 16):
        with pytest.raises(ValueError, match="not a sealed message"):
            server.unwrap(bytes(length))
    for length in (0, 15, 17):
        with pytest.raises(ValueError, match="not a signature"):
            server.verify(b"data", bytes(length))


def test_replayed_and_reflected_tokens(factory: AcceptorFactory) -> None:
    client, server = _client(), _acceptor(factory)
    tokens = exchange(client, server)
    again = _acceptor(factory)
    again.step(tokens[0])
    with pytest.raises(AuthenticationFailed):
        again.step(tokens[2])  # it answers another challenge
    for reflected in tokens[1:]:
        with pytest.raises(AuthenticationFailed):
            _acceptor(factory).step(reflected)


# Refusals tell nothing.


def _refusal(factory: AcceptorFactory, credentials: Password) -> AuthenticationFailed:
    client, server = _client(credentials), _acceptor(factory)
    with pytest.raises(AuthenticationFailed) as caught:
        exchange(client, server)
    assert not server.complete and not server.facts().complete
    return caught.value


def test_an_unknown_user_reads_like_a_wrong_password(factory: AcceptorFactory) -> None:
    names = (r"CORP\alice", r"CORP\nobody", r"NOWHERE\alice", r"NOWHERE\nobody")
    errors = [_refusal(factory, Password(name, "wr0ng")) for name in names]
    assert {str(error) for error in errors} == {str(errors[0])}
    assert {error.reason for error in errors} == {FailureReason.REFUSED}


def test_the_right_password_in_another_domain_is_refused(
    factory: AcceptorFactory,
) -> None:
    _refusal(factory, Password(r"NOWHERE\alice", USERS["alice"]))


def test_a_disabled_account_is_refused_like_any_other(
    factory: AcceptorFactory,
) -> None:
    run("samba-tool", "user", "disable", "bob")
    try:
        disabled = _refusal(factory, password("bob"))
    finally:
        run("samba-tool", "user", "enable", "bob")
    assert str(disabled) == str(_refusal(factory, Password(r"CORP\bob", "wr0ng")))
    exchange(_client(password("bob")), _acceptor(factory))


def test_the_log_names_the_user_and_no_secret(
    factory: AcceptorFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _refusal(factory, Password("CORP\\mal\nlory", "wr0ng-w0rd"))
    exchange(_client(), _acceptor(factory))
    assert r"'mal\nlory' in domain 'CORP' refused by winbind" in caplog.text
    assert "w0rd" not in caplog.text and USERS["alice"] not in caplog.text
    # Base64 of "NTLMSSP": a response in a log is a password to be guessed at leisure.
    assert "TlRMTVNTU" not in caplog.text


# Known ways in.


def test_a_client_without_integrity_is_not_admitted(factory: AcceptorFactory) -> None:
    client = spnego.client(
        ALICE.user, ALICE.password, protocol="ntlm", context_req=ContextReq.none
    )
    server = _acceptor(factory)
    answer = client.step(server.step(client.step() or b"")) or b""
    with pytest.raises(HandshakeError):
        server.step(answer)
        admit(server, factory)


class _Weaker(NtlmContext):
    """A client that leaves a flag out."""

    def __init__(self, flag: int) -> None:
        super().__init__(password=ALICE)
        self._context_req &= ~flag


@pytest.mark.parametrize(
    ("flag", "missing"),
    [
        (NegotiateFlags.key_128, "128-bit keys"),
        (NegotiateFlags.extended_session_security, "extended session security"),
        (NegotiateFlags.seal, "confidentiality"),
        (NegotiateFlags.sign, "integrity"),
    ],
)
def test_each_strength_that_a_client_leaves_out_is_missed(
    factory: AcceptorFactory, flag: int, missing: str
) -> None:
    client, server = _Weaker(flag), _acceptor(factory)
    server.step(client.step(server.step(client.step())))
    assert server.complete
    with pytest.raises(InsufficientProtection, match=missing):
        admit(server, factory)


def test_without_key_exchange_the_message_is_not_even_passed_on(
    factory: AcceptorFactory,
) -> None:
    client, server = _Weaker(NegotiateFlags.key_exch), _acceptor(factory)
    with pytest.raises(AuthenticationFailed, match="session key has 0 bytes"):
        server.step(client.step(server.step(client.step())))


def _without_timestamp(challenge: bytes | None) -> bytes:
    """Take out what obliges a client to send a message integrity code."""
    message = Challenge.unpack(challenge or b"")
    info = message.target_info
    assert info is not None
    del info[AvId.timestamp]
    return Challenge(
        message.flags,
        message.server_challenge,
        target_name=message.target_name,
        target_info=info,
        version=message.version,
    ).pack()


def test_a_message_without_integrity_code(factory: AcceptorFactory) -> None:
    client, bare = _client(), _Bare()
    bare.step(client.step(_without_timestamp(bare.step(client.step(None)))))
    assert bare.context.complete  # so it is a way in
    client, server = _client(), _acceptor(factory)
    answer = client.step(_without_timestamp(server.step(client.step(None))))
    with pytest.raises(AuthenticationFailed, match="LM response|integrity code"):
        server.step(answer)


def test_an_integrity_code_of_zeros(factory: AcceptorFactory) -> None:
    client, server = _client(), _acceptor(factory)
    answer = bytearray(_answer(client, server))
    answer[72:88] = bytes(16)
    with pytest.raises(AuthenticationFailed):
        server.step(bytes(answer))


def test_version_1(factory: AcceptorFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", "2")
    client = spnego.client(ALICE.user, ALICE.password, protocol="ntlm")
    server = _acceptor(factory)
    answer = client.step(server.step(client.step() or b""))
    with pytest.raises(AuthenticationFailed, match="too weak a form") as caught:
        server.step(answer)
    assert caught.value.reason is FailureReason.REFUSED


@pytest.mark.parametrize(
    ("user", "response"),
    [
        ("alice", b"\0" * 48 + b"\1\1" + b"\0" * 30),
        ("alice", None),
        ("alice", b"\0" * 48),
        (None, None),
        (None, b"\0" * 48),
        ("\\", b"\0" * 48),
    ],
)
def test_nobody_gets_in_without_a_password(
    factory: AcceptorFactory, user: str | None, response: bytes | None
) -> None:
    server = _acceptor(factory)
    version = Version(10)
    challenge = server.step(Negotiate(_FLAGS, version=version).pack())
    message = Authenticate(
        Challenge.unpack(challenge or b"").flags,
        b"\0" * 24,
        response,
        "CORP",
        user,
        "HERE",
        b"\1" * 16,
        version=version,
    )
    with pytest.raises(AuthenticationFailed, match="too weak a form"):
        server.step(message.pack())
    assert not server.complete


def test_one_changed_bit_of_the_last_message_lets_nobody_in(
    factory: AcceptorFactory,
) -> None:
    for position in range(len(_answer(_client(), _acceptor(factory)))):
        client, server = _client(), _acceptor(factory)
        changed = bytearray(_answer(client, server))
        changed[position] ^= 1 << position % 8
        with pytest.raises(AuthenticationFailed):
            server.step(bytes(changed))


def test_an_account_file_in_the_environment_lets_nobody_in(
    factory: AcceptorFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoy = tmp_path / "decoy"
    decoy.write_text("CORP:alice:from-the-file\nCORP:mallory:from-the-file\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(decoy))
    for user in ("alice", "mallory"):
        credentials = Password(rf"CORP\{user}", "from-the-file")
        client, bare = _client(credentials), _Bare()
        bare.step(_answer(client, bare))
        assert bare.context.complete  # so it is a way in
        assert "not verified by winbind" in str(_refusal(factory, credentials))
    # Whom the file does not know, winbind does.
    exchange(_client(password("bob")), _acceptor(factory))


def test_a_withheld_session_key(
    factory: AcceptorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = _client(), _acceptor(factory)
    answer = _answer(client, server)
    # What gss-ntlmssp would make of sixteen zero bytes from winbindd.
    key = rc4k(bytes(16), read_authenticate(answer).encrypted_key)

    def inquire(*_: object) -> list[bytes]:
        return [key]

    monkeypatch.setattr(gssapi.raw, "inquire_sec_context_by_oid", inquire)
    with pytest.raises(AuthenticationFailed, match="gave no session key"):
        server.step(answer)


def test_the_integrity_code_is_computed_here_too(dc: DomainController) -> None:
    server = WinbindAcceptor().context()
    client = NtlmContext(password=ALICE)
    answer = client.step(server.step(client.step()))
    exchanged: bytes = vars(server)["_exchanged"]
    setattr(server, "_exchanged", exchanged + b"more")  # noqa: B010
    with pytest.raises(AuthenticationFailed, match="integrity code is not right"):
        server.step(answer)
    assert not server.complete


# Channel bindings.


def _bound_pair(
    factory: AcceptorFactory, theirs: bytes | None, ours: bytes | None
) -> tuple[SecurityContext, SecurityContext]:
    client = InitiatorContext(
        ALICE,
        NegotiationProtocol.NTLM,
        "host/localhost",
        ImpersonationLevel.IMPERSONATE,
        frozenset({NTLM}),
        theirs,
    )
    return client, factory.context(NegotiationProtocol.NTLM, ours)


@pytest.mark.parametrize(
    ("theirs", "ours", "bound"),
    [(b"a", b"a", True), (None, b"a", False), (b"a", None, False)],
)
def test_channel_bindings(
    factory: AcceptorFactory, theirs: bytes | None, ours: bytes | None, bound: bool
) -> None:
    client, server = _bound_pair(factory, theirs, ours)
    exchange(client, server)
    assert server.facts().channel_bound is bound


def test_channel_bindings_of_another_channel(factory: AcceptorFactory) -> None:
    client, server = _bound_pair(factory, b"a", b"b")
    with pytest.raises(AuthenticationFailed, match="do not match") as caught:
        exchange(client, server)
    assert caught.value.reason is FailureReason.NOT_PROVEN


# The daemon.


def test_names_come_from_the_domain(dc: DomainController) -> None:
    client = WinbindClient()
    client.check()
    sid = run("wbinfo", "--name-to-sid", r"CORP\alice").split()[0]
    assert client.account(sid) == ("CORP", "alice")
    # winbindd's cache has the name as the directory writes it or in small letters.
    run("net", "cache", "flush")
    carol = run("wbinfo", "--name-to-sid", r"CORP\carol").split()[0]
    assert client.account(carol) == ("CORP", "carol")
    run("net", "cache", "flush")
    assert client.account(carol) == ("CORP", "carol")
    computer = run("wbinfo", "--name-to-sid", r"CORP\DC1$").split()[0]
    assert client.account(computer) == ("CORP", "dc1$")
    group = run("wbinfo", "--name-to-sid", r"CORP\group000").split()[0]
    for other in (group, f"{sid}999", "S-1-5-32-544", "nonsense"):
        with pytest.raises(AuthenticationFailed, match="names no account"):
            client.account(other)


def test_a_host_without_winbindd(dc: DomainController) -> None:
    program = (
        "from signetrpc.transport import SecurityPolicy, TransportError, Winbind\n"
        "from signetrpc.transport._negotiate import AcceptorFactory\n"
        "try:\n    AcceptorFactory([Winbind()], SecurityPolicy())\n"
        "except TransportError as error:\n    print(error)\n"
    )
    hide = 'mount -t tmpfs none /run/samba && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hide, sys.executable, program],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "winbindd does not answer" in done.stdout


def test_many_logons_at_once(factory: AcceptorFactory) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def log_on(user: str) -> None:
        start.wait()
        for _ in range(10):
            server = _acceptor(factory)
            exchange(_client(password(user)), server)
            outcomes.append(admit(server, factory).principal)

    names = ["alice", "bob", "grace", "alice"]
    threads = [threading.Thread(target=log_on, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [rf"CORP\{name}" for name in names for _ in range(10)]
    assert sorted(outcomes) == sorted(expected)
