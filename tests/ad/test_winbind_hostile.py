"""NTLM verified by winbind: the known ways in, each closed.

Where gss-ntlmssp by itself lets the client in, a test shows that first.
"""

from pathlib import Path

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
    InsufficientProtection,
    Password,
    Winbind,
)
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._negotiate_ntlm import NtlmContext
from signetrpc.transport._negotiate_winbind_tokens import read_authenticate
from tests.ad.domain import password
from tests.ad.logons import ALICE, Bare, acceptor, client_of, last_message, refusal
from tests.support.negotiation import ALLOW_NTLM, WeakerNtlm, admit, exchange
from tests.support.samba import DomainController

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


def test_a_client_without_integrity_is_not_admitted(factory: AcceptorFactory) -> None:
    client = spnego.client(
        ALICE.user, ALICE.password, protocol="ntlm", context_req=ContextReq.none
    )
    server = acceptor(factory)
    answer = client.step(server.step(client.step() or b"")) or b""
    with pytest.raises(HandshakeError):
        server.step(answer)
        admit(server, factory)


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
    client, server = WeakerNtlm(ALICE, flag), acceptor(factory)
    server.step(client.step(server.step(client.step())))
    assert server.complete
    with pytest.raises(InsufficientProtection, match=missing):
        admit(server, factory)


def test_without_key_exchange_the_message_is_not_even_passed_on(
    factory: AcceptorFactory,
) -> None:
    client, server = WeakerNtlm(ALICE, NegotiateFlags.key_exch), acceptor(factory)
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
    client, bare = client_of(), Bare()
    bare.step(client.step(_without_timestamp(bare.step(client.step(None)))))
    assert bare.context.complete  # so it is a way in
    client, server = client_of(), acceptor(factory)
    answer = client.step(_without_timestamp(server.step(client.step(None))))
    with pytest.raises(AuthenticationFailed, match="LM response|integrity code"):
        server.step(answer)


def test_an_integrity_code_of_zeros(factory: AcceptorFactory) -> None:
    client, server = client_of(), acceptor(factory)
    answer = bytearray(last_message(client, server))
    answer[72:88] = bytes(16)
    with pytest.raises(AuthenticationFailed):
        server.step(bytes(answer))


def test_version_1(factory: AcceptorFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", "2")
    client = spnego.client(ALICE.user, ALICE.password, protocol="ntlm")
    server = acceptor(factory)
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
    server = acceptor(factory)
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
    for position in range(len(last_message(client_of(), acceptor(factory)))):
        client, server = client_of(), acceptor(factory)
        changed = bytearray(last_message(client, server))
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
        client, bare = client_of(credentials), Bare()
        bare.step(last_message(client, bare))
        assert bare.context.complete  # so it is a way in
        assert "not verified by winbind" in str(refusal(factory, credentials))
    # Whom the file does not know, winbind does.
    exchange(client_of(password("bob")), acceptor(factory))


def test_a_withheld_session_key(
    factory: AcceptorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = client_of(), acceptor(factory)
    answer = last_message(client, server)
    # What gss-ntlmssp would make of sixteen zero bytes from winbindd.
    key = rc4k(bytes(16), read_authenticate(answer).encrypted_key)

    def inquire(*_: object) -> list[bytes]:
        return [key]

    monkeypatch.setattr("gssapi.raw.inquire_sec_context_by_oid", inquire)
    with pytest.raises(AuthenticationFailed, match="gave no session key"):
        server.step(answer)


def test_the_integrity_code_is_computed_here_too(dc: DomainController) -> None:
    from signetrpc.transport._negotiate_winbind import WinbindAcceptor

    server = WinbindAcceptor().context()
    client = NtlmContext(password=ALICE)
    answer = client.step(server.step(client.step()))
    exchanged: bytes = vars(server)["_exchanged"]
    setattr(server, "_exchanged", exchanged + b"more")  # noqa: B010
    with pytest.raises(AuthenticationFailed, match="integrity code is not right"):
        server.step(answer)
    assert not server.complete
