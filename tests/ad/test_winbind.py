"""NTLM verified by winbind: what it proves, and what it tells."""

import logging
import os
import subprocess
import sys
import threading

import pytest

from signetrpc.transport import (
    AuthenticationFailed,
    FailureReason,
    ImpersonationLevel,
    NegotiationProtocol,
    Password,
    SecurityContext,
    Winbind,
)
from signetrpc.transport._negotiate import AcceptorFactory, InitiatorContext
from signetrpc.transport._negotiate_winbind_client import WinbindClient
from tests.ad.domain import password
from tests.ad.logons import ALICE, acceptor, client_of, last_message, refusal
from tests.support.negotiation import ALLOW_NTLM, NTLM, admit, exchange
from tests.support.samba import USERS, DomainController, run

FORMS = [NegotiationProtocol.NTLM, NegotiationProtocol.NEGOTIATE]


@pytest.fixture
def factory(dc: DomainController) -> AcceptorFactory:
    return AcceptorFactory([Winbind()], ALLOW_NTLM)


# What it proves.


@pytest.mark.parametrize("form", FORMS)
def test_the_acceptor_reports_all_there_is(
    factory: AcceptorFactory, form: NegotiationProtocol
) -> None:
    client, server = client_of(form=form), acceptor(factory, form)
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
    client, server = client_of(), acceptor(factory)
    answer = last_message(client, server)
    assert not server.complete and not server.facts().complete
    assert server.facts().name == "" and server.facts().session_key == b""
    assert server.step(answer) is None
    assert server.facts().complete


@pytest.mark.parametrize("form", FORMS)
def test_messages_both_ways(
    factory: AcceptorFactory, form: NegotiationProtocol
) -> None:
    client, server = client_of(form=form), acceptor(factory, form)
    exchange(client, server)
    for sender, receiver in ((client, server), (server, client)) * 2:
        sealed = sender.wrap(b"a secret")
        assert b"secret" not in sealed
        assert receiver.unwrap(sealed) == (b"a secret", True)
        receiver.verify(b"known", sender.sign(b"known"))


def test_messages_out_of_order_changed_or_short(factory: AcceptorFactory) -> None:
    def pair() -> tuple[SecurityContext, SecurityContext]:
        client, server = client_of(), acceptor(factory)
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
    client, server = client_of(), acceptor(factory)
    tokens = exchange(client, server)
    again = acceptor(factory)
    again.step(tokens[0])
    with pytest.raises(AuthenticationFailed):
        again.step(tokens[2])  # it answers another challenge
    for reflected in tokens[1:]:
        with pytest.raises(AuthenticationFailed):
            acceptor(factory).step(reflected)


# Refusals tell nothing.


def test_an_unknown_user_reads_like_a_wrong_password(factory: AcceptorFactory) -> None:
    names = (r"CORP\alice", r"CORP\nobody", r"NOWHERE\alice", r"NOWHERE\nobody")
    errors = [refusal(factory, Password(name, "wr0ng")) for name in names]
    assert {str(error) for error in errors} == {str(errors[0])}
    assert {error.reason for error in errors} == {FailureReason.REFUSED}


def test_the_right_password_in_another_domain_is_refused(
    factory: AcceptorFactory,
) -> None:
    refusal(factory, Password(r"NOWHERE\alice", USERS["alice"]))


def test_a_disabled_account_is_refused_like_any_other(
    factory: AcceptorFactory,
) -> None:
    run("samba-tool", "user", "disable", "bob")
    try:
        disabled = refusal(factory, password("bob"))
    finally:
        run("samba-tool", "user", "enable", "bob")
    assert str(disabled) == str(refusal(factory, Password(r"CORP\bob", "wr0ng")))
    exchange(client_of(password("bob")), acceptor(factory))


def test_the_log_names_the_user_and_no_secret(
    factory: AcceptorFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refusal(factory, Password("CORP\\mal\nlory", "wr0ng-w0rd"))
    exchange(client_of(), acceptor(factory))
    assert r"'mal\nlory' in domain 'CORP' refused by winbind" in caplog.text
    assert "w0rd" not in caplog.text and USERS["alice"] not in caplog.text
    # Base64 of "NTLMSSP": a response in a log is a password to be guessed at leisure.
    assert "TlRMTVNTU" not in caplog.text


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
            server = acceptor(factory)
            exchange(client_of(password(user)), server)
            outcomes.append(admit(server, factory).principal)

    names = ["alice", "bob", "grace", "alice"]
    threads = [threading.Thread(target=log_on, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [rf"CORP\{name}" for name in names for _ in range(10)]
    assert sorted(outcomes) == sorted(expected)
