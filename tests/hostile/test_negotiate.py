"""What the path and the peer can make of a negotiation: nothing weaker."""

from collections.abc import Callable
from pathlib import Path

import pytest
from spnego._spnego import (
    NegState,
    NegTokenInit,
    NegTokenResp,
    unpack_token,
)

from signetrpc.transport._credentials import Keytab, Password
from signetrpc.transport._frames import Frame, FrameType
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._security import NegotiationProtocol, SecurityPolicy
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    IntegrityError,
)
from signetrpc.transport.testing import pump
from tests.hostile.scripts import NTLM_OID, Script, against_session, token_in
from tests.support.kdc import USERS, Kdc
from tests.support.mechanisms import Real, ntlm
from tests.support.negotiation import ALLOW_NTLM, BOTH, KERBEROS, NTLM, account_file
from tests.support.paths import assert_both_fail, attacked
from tests.support.sessions import over_a_path, raw

NEGOTIATE = NegotiationProtocol.NEGOTIATE
KERBEROS_OID = "1.2.840.113554.1.2.2"

Token = NegTokenInit | NegTokenResp


@pytest.fixture
def negotiated(tmp_path: Path) -> Real:
    """Give NTLM inside SPNEGO."""
    return ntlm(tmp_path, NEGOTIATE)


def rewriting(change: Callable[[Token], None]) -> Callable[[Frame], list[bytes]]:
    """Return a path that rewrites negotiation tokens."""

    def tamper(frame: Frame) -> list[bytes]:
        if frame.kind is not FrameType.TOKEN:
            return [frame.encoded]
        message = unpack_token(bytes(frame.body))
        change(message)
        return [raw(FrameType.TOKEN, message.pack())]

    return tamper


def _strip_code(message: Token) -> None:
    message.mech_list_mic = None


def _strip_code_and_complete(message: Token) -> None:
    if message.mech_list_mic is not None and isinstance(message, NegTokenResp):
        message.neg_state = NegState.accept_complete
    message.mech_list_mic = None


@pytest.mark.parametrize("strip", [_strip_code, _strip_code_and_complete])
@pytest.mark.parametrize("to_server", [True, False])
def test_a_stripped_code_over_the_mechanisms_fails_both(
    to_server: bool, strip: Callable[[Token], None], negotiated: Real, suite: str
) -> None:
    ends = negotiated.client(suite), negotiated.server(suite)
    outcomes = attacked(ends, rewriting(strip), to_server=to_server)
    assert_both_fail(ends, outcomes)
    # Found by the negotiation itself, before FINISHED would find it too.
    seen = outcomes[1] if to_server else outcomes[0]
    assert not isinstance(seen.error, IntegrityError)


def test_a_list_of_mechanisms_that_was_changed_fails_both(
    negotiated: Real, suite: str
) -> None:
    def lengthen(message: Token) -> None:
        if isinstance(message, NegTokenInit):
            message.mech_types = [NTLM_OID, KERBEROS_OID]

    ends = negotiated.client(suite), negotiated.server(suite)
    outcomes = attacked(ends, rewriting(lengthen), to_server=True)
    assert_both_fail(ends, outcomes)
    assert isinstance(outcomes[1].error, AuthenticationFailed)


def test_an_old_answer_answers_no_new_challenge(negotiated: Real, suite: str) -> None:
    old: list[bytes] = []

    def keep(frame: Frame) -> list[bytes]:
        old.append(frame.encoded)
        return [frame.encoded]

    ends = negotiated.client(suite), negotiated.server(suite)
    attacked(ends, keep, to_server=True)

    def again() -> Script:
        back = yield old[0] + old[1]
        assert token_in(back)
        yield b"".join(old[2:])

    result = against_session(again(), negotiated.server(suite))
    assert isinstance(result.error, AuthenticationFailed)
    assert not result.inside


# A client that would rather have Kerberos.


def both(realm: Kdc, factory: AcceptorFactory) -> Real:
    """Return a client with a password for both, and that server."""
    password = Password("alice", USERS["alice"])
    return Real(
        mechanism=NTLM,
        form=NEGOTIATE,
        factory=factory,
        policy=ALLOW_NTLM,
        credentials=password,
    )


def keytab_of(realm: Kdc) -> Keytab:
    return Keytab(realm.keytab_file)


def test_without_a_keytab_it_falls_to_ntlm_where_both_allow_it(
    realm: Kdc, tmp_path: Path, suite: str
) -> None:
    file = account_file(tmp_path, f":alice:{USERS['alice']}\n")
    real = both(realm, AcceptorFactory([file], ALLOW_NTLM))
    client, server = real.client(suite, mechanisms=BOTH), real.server(suite)
    pump(client, server)
    assert server.peer.mechanism is client.peer.mechanism is NTLM
    assert not client.peer.mutual


def test_without_a_keytab_a_client_of_kerberos_alone_is_refused_clearly(
    realm: Kdc, tmp_path: Path, suite: str
) -> None:
    file = account_file(tmp_path, f":alice:{USERS['alice']}\n")
    real = both(realm, AcceptorFactory([file], ALLOW_NTLM))
    only = frozenset({KERBEROS})
    ends = real.client(suite, mechanisms=only), real.server(suite)
    outcomes = over_a_path(*ends)
    assert_both_fail(ends, outcomes)
    error = outcomes[0].error
    assert isinstance(error, AuthenticationFailed)
    assert error.reason is FailureReason.MECHANISM
    assert "it does not allow this mechanism" in str(error)


def test_a_server_cannot_talk_a_client_down_to_ntlm(
    realm: Kdc, tmp_path: Path, suite: str
) -> None:
    # It answers a client of Kerberos alone with a choice of NTLM.
    def choose_ntlm(frame: Frame) -> list[bytes]:
        if frame.kind is not FrameType.TOKEN:
            return [frame.encoded]
        chosen = NegTokenResp(NegState.accept_incomplete, NTLM_OID, None)
        return [raw(FrameType.TOKEN, chosen.pack())]

    real = both(realm, AcceptorFactory([keytab_of(realm)], SecurityPolicy()))
    only = frozenset({KERBEROS})
    ends = real.client(suite, mechanisms=only), real.server(suite)
    outcomes = attacked(ends, choose_ntlm, to_server=False)
    assert_both_fail(ends, outcomes)
    assert isinstance(outcomes[0].error, AuthenticationFailed)
    assert outcomes[0].error.reason is FailureReason.MECHANISM
    assert "ntlm" in str(outcomes[0].error)


def test_the_path_cannot_talk_a_client_down_to_ntlm(
    realm: Kdc, tmp_path: Path, suite: str
) -> None:
    # Both allow both; the path takes Kerberos out of the offer.
    def only_ntlm(message: Token) -> None:
        if isinstance(message, NegTokenInit):
            message.mech_types = [NTLM_OID]
            message.mech_token = None

    file = account_file(tmp_path, f":alice:{USERS['alice']}\n")
    real = both(realm, AcceptorFactory([file, keytab_of(realm)], ALLOW_NTLM))
    ends = real.client(suite, mechanisms=BOTH), real.server(suite)
    outcomes = attacked(ends, rewriting(only_ntlm), to_server=True)
    assert_both_fail(ends, outcomes)


def test_ntlm_is_off_in_a_server_until_it_is_asked_for(
    realm: Kdc, suite: str, tmp_path: Path
) -> None:
    server = both(realm, AcceptorFactory([keytab_of(realm)], SecurityPolicy()))
    client = ntlm(tmp_path, NEGOTIATE)
    ends = client.client(suite), server.server(suite)
    outcomes = over_a_path(*ends)
    assert_both_fail(ends, outcomes)
    assert isinstance(outcomes[0].error, AuthenticationFailed)
    assert outcomes[0].error.reason is FailureReason.MECHANISM
