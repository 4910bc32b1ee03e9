"""NTLM: what it proves, the known ways in, and independence of the environment."""

import ast
import inspect
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import spnego
import spnego._ntlm as library
import spnego._ntlm_raw.crypto as crypto
from spnego import ContextReq
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvId,
    Challenge,
    Negotiate,
    NegotiateFlags,
)

from signetrpc.transport._credentials import Password
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._security import NegotiationProtocol, SecurityContext
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
    InsufficientProtection,
)
from tests.support.negotiation import (
    ALICE,
    ALLOW_NTLM,
    NTLM,
    WeakerNtlm,
    account_file,
    admit,
    exchange,
    initiator,
    trust,
)

Step = Callable[[bytes], bytes | None]

_FLAGS = (
    NegotiateFlags.unicode
    | NegotiateFlags.sign
    | NegotiateFlags.seal
    | NegotiateFlags.key_128
    | NegotiateFlags.key_exch
    | NegotiateFlags.extended_session_security
    | NegotiateFlags.ntlm
)


@pytest.fixture
def factory(tmp_path: Path) -> AcceptorFactory:
    return AcceptorFactory([account_file(tmp_path)], ALLOW_NTLM)


def _acceptor(factory: AcceptorFactory) -> SecurityContext:
    return factory.context(NegotiationProtocol.NTLM)


# What it proves.


def test_both_ends_report_all_there_is(factory: AcceptorFactory) -> None:
    client, server = initiator(), _acceptor(factory)
    assert len(exchange(client, server)) == 3
    for facts in (client.facts(), server.facts()):
        assert facts.complete and facts.mechanism is NTLM
        assert facts.integrity and facts.confidentiality
        assert facts.replay_detection and facts.sequence_detection
        ntlm = facts.ntlm
        assert ntlm is not None
        assert ntlm.version2 and ntlm.key_128 and ntlm.extended_session_security
        assert ntlm.key_exchange and ntlm.mic
        assert not facts.mutual and not facts.channel_bound
        assert (facts.enctype, facts.expires_at, facts.target) == (None, None, "")
    assert client.facts().session_key == server.facts().session_key
    assert len(server.facts().session_key) == 16
    assert client.facts().name == "host/localhost"


@pytest.mark.parametrize(
    ("user", "principal"),
    [
        (r"CORP\alice", r"CORP\alice"),
        (r"corp\ALICE", r"CORP\alice"),
        ("CAROL", "carol"),
    ],
)
def test_the_identity_is_the_account_as_the_file_writes_it(
    factory: AcceptorFactory, user: str, principal: str
) -> None:
    password = "C4rol" if user == "CAROL" else "Wonder1and"
    client, server = initiator(Password(user, password)), _acceptor(factory)
    exchange(client, server)
    assert admit(server, factory).principal == principal
    assert trust(client, target="host/localhost").name == "host/localhost"


def test_nothing_is_proved_before_the_end(factory: AcceptorFactory) -> None:
    client, server = initiator(), _acceptor(factory)
    challenge = server.step(client.step(None))
    for context in (client, server):
        assert not context.complete
        assert not context.facts().complete
        assert context.facts().session_key == b""
    assert server.facts().name == ""
    client.step(challenge)
    assert client.facts().complete and not server.facts().complete


# Refusals tell nothing.


def _refusal(factory: AcceptorFactory, credentials: Password) -> AuthenticationFailed:
    client, server = initiator(credentials), _acceptor(factory)
    with pytest.raises(AuthenticationFailed) as caught:
        exchange(client, server)
    assert not server.complete and not server.facts().complete
    return caught.value


def test_an_unknown_user_reads_like_a_wrong_password(factory: AcceptorFactory) -> None:
    wrong = _refusal(factory, Password(r"CORP\alice", "wr0ng"))
    unknown = _refusal(factory, Password(r"CORP\mallory", "wr0ng"))
    elsewhere = _refusal(factory, Password(r"OTHER\alice", "Wonder1and"))
    assert str(wrong) == str(unknown) == str(elsewhere)
    assert wrong.reason is unknown.reason is elsewhere.reason is FailureReason.REFUSED
    causes = {str(error.__cause__) for error in (wrong, unknown, elsewhere)}
    assert len(causes) == 1


def test_an_unknown_user_costs_as_much_as_a_wrong_password(
    factory: AcceptorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Counted, not timed: every keyed hash that the library computes.
    counts: list[int] = []
    original = crypto.hmac_md5

    def counted(key: bytes, data: bytes) -> bytes:
        counts[-1] += 1
        return original(key, data)

    for user in (r"CORP\alice", r"CORP\mallory"):
        client, server = initiator(Password(user, "wr0ng")), _acceptor(factory)
        answer = client.step(server.step(client.step(None)))
        with monkeypatch.context() as patch:
            for module in (library, crypto):
                patch.setitem(vars(module), "hmac_md5", counted)
            counts.append(0)
            with pytest.raises(AuthenticationFailed):
                server.step(answer)
    assert counts[0] == counts[1] > 0


def test_the_log_says_more_and_no_secret(
    factory: AcceptorFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _refusal(factory, Password("CORP\\mal\nlory", "wr0ng-w0rd"))
    _refusal(factory, Password(r"CORP\alice", "wr0ng-w0rd"))
    exchange(initiator(), _acceptor(factory))
    assert r"'mal\nlory' in domain 'CORP' refused: unknown" in caplog.text
    assert "'alice' in domain 'CORP' refused: wrong password" in caplog.text
    assert "w0rd" not in caplog.text
    # Base64 of "NTLMSSP": a response in a log is a password to be guessed at leisure.
    assert "TlRMTVNTU" not in caplog.text


# Known ways in.  Each runs against the library as it comes too, which shows that it is
# the way in that it claims to be.


def _bare_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.setenv("NTLM_USER_FILE", str(account_file(folder).path))
    monkeypatch.delenv("LM_COMPAT_LEVEL", raising=False)
    context = spnego.server(protocol="ntlm")

    def step(token: bytes) -> bytes | None:
        answer = context.step(token)
        assert answer is not None or context.complete
        return answer

    return step


def _without_a_password(step: Step) -> None:
    challenge = step(Negotiate(_FLAGS).pack())
    assert challenge is not None
    flags = Challenge.unpack(challenge).flags
    # A zero LM response is the client challenge and zeros: what is expected of it.
    message = Authenticate(flags, b"\0" * 24, None, "CORP", "alice", "W", b"\1" * 16)
    assert step(message.pack()) is None


def _version_1(step: Step) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LM_COMPAT_LEVEL", "2")
        client = spnego.client(ALICE.user, ALICE.password, protocol="ntlm")
    first = client.step()
    assert first is not None
    answer = client.step(step(first))
    assert answer is not None
    assert step(answer) is None


@pytest.mark.parametrize("attack", [_without_a_password, _version_1])
def test_only_version_2_with_a_password_gets_in(
    factory: AcceptorFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attack: Callable[[Step], None],
) -> None:
    attack(_bare_library(tmp_path, monkeypatch))
    server = _acceptor(factory)
    with pytest.raises(AuthenticationFailed) as caught:
        attack(server.step)
    assert caught.value.reason is FailureReason.REFUSED
    assert not server.complete and not server.facts().complete


@pytest.mark.parametrize(
    ("user", "response"),
    [(None, None), (None, b"\0" * 48), ("alice", None), ("\\", b"\0" * 48)],
)
def test_nobody_is_refused(
    factory: AcceptorFactory, user: str | None, response: bytes | None
) -> None:
    server = _acceptor(factory)
    challenge = server.step(Negotiate(_FLAGS).pack())
    assert challenge is not None
    flags = Challenge.unpack(challenge).flags
    message = Authenticate(flags, b"\0", response, None, user, "W", b"\1" * 16)
    with pytest.raises(AuthenticationFailed):
        server.step(message.pack())
    assert not server.complete


def test_a_client_without_integrity_completes_and_is_not_admitted(
    factory: AcceptorFactory,
) -> None:
    # The library then "verifies" a constant in place of a signature.
    client = spnego.client(
        ALICE.user, ALICE.password, protocol="ntlm", context_req=ContextReq.none
    )
    server = _acceptor(factory)
    server.step(client.step(server.step(client.step() or b"")) or b"")
    assert server.complete
    server.verify(b"anything", b"\1" + b"\0" * 15)
    with pytest.raises(InsufficientProtection, match="lacks integrity, confident"):
        admit(server, factory)


@pytest.mark.parametrize(
    ("flag", "missing"),
    [
        (NegotiateFlags.key_128, "128-bit keys"),
        (NegotiateFlags.extended_session_security, "extended session security"),
        (NegotiateFlags.key_exch, "key exchange"),
        (NegotiateFlags.seal, "confidentiality"),
        (NegotiateFlags.sign, "integrity"),
    ],
)
def test_each_strength_that_a_client_leaves_out_is_missed(
    factory: AcceptorFactory, flag: int, missing: str
) -> None:
    client, server = WeakerNtlm(ALICE, flag), _acceptor(factory)
    server.step(client.step(server.step(client.step())))
    assert server.complete
    with pytest.raises(InsufficientProtection, match=missing):
        admit(server, factory)


def _without_timestamp(challenge: bytes) -> bytes:
    """Take out what obliges a client to send a message integrity code."""
    message = Challenge.unpack(challenge)
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


def test_a_challenge_changed_on_its_way_leaves_no_integrity_code(
    factory: AcceptorFactory,
) -> None:
    client, server = initiator(), _acceptor(factory)
    challenge = server.step(client.step(None))
    assert challenge is not None
    server.step(client.step(_without_timestamp(challenge)))
    with pytest.raises(InsufficientProtection, match="message integrity code"):
        admit(server, factory)
    with pytest.raises(InsufficientProtection, match="message integrity code"):
        trust(client)


def test_a_server_that_leaves_strength_out_is_not_trusted(
    factory: AcceptorFactory,
) -> None:
    for flag in (NegotiateFlags.sign, NegotiateFlags.key_128, NegotiateFlags.seal):
        client, server = initiator(), _acceptor(factory)
        message = Challenge.unpack(server.step(client.step(None)) or b"")
        message.flags &= ~flag
        client.step(message.pack())
        assert client.complete
        with pytest.raises(InsufficientProtection):
            trust(client)


def test_one_changed_bit_of_the_last_message_lets_nobody_in(
    factory: AcceptorFactory,
) -> None:
    server = _acceptor(factory)
    client = initiator()
    answer = client.step(server.step(client.step(None)))
    assert answer is not None
    # Every byte once; the bit goes round.
    for position in range(len(answer)):
        client, server = initiator(), _acceptor(factory)
        changed = bytearray(client.step(server.step(client.step(None))) or b"")
        changed[position] ^= 1 << position % 8
        with pytest.raises(HandshakeError):
            server.step(bytes(changed))
            admit(server, factory)


# The environment.


def test_the_environment_is_neither_read_nor_written(
    factory: AcceptorFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoy = tmp_path / "decoy"
    decoy.write_text("CORP:alice:from-the-environment\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(decoy))
    monkeypatch.setenv("LM_COMPAT_LEVEL", "0")
    before = dict(os.environ)
    client, server = initiator(), _acceptor(factory)
    exchange(client, server)
    assert admit(server, factory).principal == r"CORP\alice"
    assert trust(client).name == "host/localhost"
    _refusal(factory, Password(r"CORP\alice", "from-the-environment"))
    monkeypatch.setenv("LM_COMPAT_LEVEL", "garbage")
    monkeypatch.delenv("NTLM_USER_FILE")
    exchange(initiator(), _acceptor(factory))
    before["LM_COMPAT_LEVEL"] = "garbage"
    del before["NTLM_USER_FILE"]
    assert dict(os.environ) == before


def test_acceptors_with_different_files_run_at_once_in_threads(tmp_path: Path) -> None:
    outcomes: list[tuple[str, str]] = []
    start = threading.Barrier(4)

    def serve(domain: str, factory: AcceptorFactory) -> None:
        start.wait()
        for _ in range(20):
            server = _acceptor(factory)
            exchange(initiator(Password(rf"{domain}\alice", domain)), server)
            outcomes.append((domain, admit(server, factory).principal))
            _refusal(
                factory, Password(r"C\alice" if domain == "D" else r"D\alice", "x")
            )

    threads: list[threading.Thread] = []
    for domain in ("C", "D", "C", "D"):
        folder = tmp_path / f"{len(threads)}"
        folder.mkdir()
        file = account_file(folder, f"{domain}:alice:{domain}\n")
        factory = AcceptorFactory([file], ALLOW_NTLM)
        threads.append(threading.Thread(target=serve, args=(domain, factory)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 80
    assert {principal == rf"{domain}\alice" for domain, principal in outcomes} == {True}


def test_a_password_of_two_hexadecimal_numbers_is_not_a_hash(tmp_path: Path) -> None:
    # The library would log in with the hash in the second half.
    stolen = "a4f49c406510bdcab6824ee7c30fd852"  # of "Password"
    file = account_file(tmp_path, "CORP:alice:Password\n")
    factory = AcceptorFactory([file], ALLOW_NTLM)
    _refusal(factory, Password(r"CORP\alice", f"{stolen}:{stolen}"))


# What of the library this stands on.


def test_the_library_looks_at_the_environment_where_it_did() -> None:
    tree = ast.parse(inspect.getsource(library))
    found = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and "os.environ" in ast.unparse(node)
    }
    # The first is replaced; the second reads a workstation's name, which the client
    # sends; the third gets an environment of its own.
    assert found == {"_get_credential_file", "_get_workstation", "__init__"}
    users = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and "_get_credential_file()" in ast.unparse(node)
    }
    assert users == {"_get_credential_file", "_NTLMCredential", "NTLMProxy", "__init__"}


def test_a_replaced_name_that_is_gone_is_an_error() -> None:
    from signetrpc.transport import _negotiate_ntlm

    replace = vars(_negotiate_ntlm)["_with_globals"]
    with pytest.raises(RuntimeError, match=r"__init__ no longer uses \['nowhere'\]"):
        replace(library.NTLMProxy.__init__, nowhere=1)


def test_the_replacement_is_seen_by_nobody_else() -> None:
    assert vars(library)["os"] is os
    assert library.NTLMProxy.__init__.__globals__ is vars(library)
