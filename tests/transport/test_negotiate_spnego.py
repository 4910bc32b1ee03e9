"""SPNEGO: what is chosen, and what a peer cannot make of it."""

import logging
from contextlib import suppress
from pathlib import Path

import pytest
import spnego
from spnego._context import GSSMech
from spnego._negotiate import NegotiateProxy
from spnego._ntlm_raw.messages import Authenticate, Challenge, Negotiate, NegotiateFlags
from spnego._spnego import NegState, NegTokenInit, NegTokenResp, unpack_token

from signetrpc.transport._credentials import (
    AccountFile,
    Keytab,
    Password,
    TicketCache,
)
from signetrpc.transport._negotiate import AcceptorFactory
from signetrpc.transport._negotiate_ntlm import NtlmContext
from signetrpc.transport._security import (
    NegotiationProtocol,
    SecurityContext,
    SecurityPolicy,
)
from signetrpc.transport.errors import AuthenticationFailed, FailureReason
from tests.support.kdc import REALM, USERS, Kdc
from tests.support.negotiation import (
    ALICE,
    ALLOW_NTLM,
    KERBEROS,
    NTLM,
    account_file,
    admit,
    exchange,
    initiator,
    trust,
)

FORM = NegotiationProtocol.NEGOTIATE
_NTLM_OID, _KERBEROS_OID = GSSMech.ntlm.value, GSSMech.kerberos.value


@pytest.fixture
def factory(tmp_path: Path) -> AcceptorFactory:
    return AcceptorFactory([account_file(tmp_path)], ALLOW_NTLM)


@pytest.fixture
def realm(kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch) -> Kdc:
    """The KDC, with alice signed in."""
    ccache = kerberos_environment.kinit("alice")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{ccache}")
    return kerberos_environment


def _both(realm: Kdc, file: AccountFile, policy: SecurityPolicy) -> AcceptorFactory:
    return AcceptorFactory([file, Keytab(realm.keytab_file)], policy)


def _ntlm_client() -> SecurityContext:
    return initiator(protocol=FORM, allowed=frozenset({NTLM}))


def _fails(
    context: SecurityContext, token: bytes | None, reason: FailureReason
) -> AuthenticationFailed:
    with pytest.raises(AuthenticationFailed) as caught:
        context.step(token)
    assert caught.value.reason is reason
    assert not context.complete and not context.facts().complete
    return caught.value


# What is chosen.


def test_ntlm_by_itself_takes_two_round_trips(factory: AcceptorFactory) -> None:
    client, server = _ntlm_client(), factory.context(FORM)
    assert len(exchange(client, server)) == 4
    assert admit(server, factory).principal == r"CORP\alice"
    assert trust(client, allowed=frozenset({NTLM})).mechanism is NTLM


def test_kerberos_comes_first_and_takes_one(realm: Kdc, tmp_path: Path) -> None:
    factory = _both(realm, account_file(tmp_path, ":alice:other\n"), ALLOW_NTLM)
    assert factory.mechanisms == {KERBEROS, NTLM}
    client = initiator(Password("alice", USERS["alice"]), FORM)
    server = factory.context(FORM)
    assert len(exchange(client, server)) == 2
    assert admit(server, factory).principal == f"alice@{REALM}"
    assert trust(client).mutual


def test_without_tickets_it_is_ntlm(realm: Kdc, tmp_path: Path) -> None:
    factory = _both(realm, account_file(tmp_path), ALLOW_NTLM)
    client, server = initiator(ALICE, FORM), factory.context(FORM)
    exchange(client, server)
    assert admit(server, factory).principal == r"CORP\alice"


def test_a_client_that_begins_with_kerberos_is_led_to_ntlm(
    realm: Kdc, tmp_path: Path
) -> None:
    file = account_file(tmp_path, f":alice:{USERS['alice']}\n")
    factory = AcceptorFactory([file], ALLOW_NTLM)
    client = initiator(Password("alice", USERS["alice"]), FORM)
    server = factory.context(FORM)
    tokens = exchange(client, server)
    first = unpack_token(tokens[0])
    assert first.mech_types == [_KERBEROS_OID, _NTLM_OID]
    # RFC 4178: another choice than the client's first needs codes over the list.
    assert unpack_token(tokens[1]).neg_state is NegState.request_mic
    assert admit(server, factory).principal == "alice"
    assert trust(client).mechanism is NTLM


def test_a_kerberos_only_client_never_makes_an_ntlm_token(
    realm: Kdc, factory: AcceptorFactory
) -> None:
    only = frozenset({KERBEROS})
    client = initiator(Password("alice", USERS["alice"]), FORM, allowed=only)
    token = client.step(None)
    assert token is not None
    assert unpack_token(token).mech_types == [_KERBEROS_OID]
    assert b"NTLMSSP" not in token
    _fails(factory.context(FORM), token, FailureReason.MECHANISM)
    for answer in (
        NegTokenResp(NegState.accept_incomplete, _NTLM_OID, None),
        NegTokenResp(NegState.request_mic, _NTLM_OID, None),
        NegTokenResp(NegState.accept_complete, _NTLM_OID, None),
    ):
        client = initiator(Password("alice", USERS["alice"]), FORM, allowed=only)
        client.step(None)
        error = _fails(client, answer.pack(), FailureReason.MECHANISM)
        assert str(error) == "the server chose ntlm, which was not offered"


def test_without_tickets_a_kerberos_only_client_says_so(realm: Kdc) -> None:
    only = frozenset({KERBEROS})
    nobody = TicketCache(realm.folder / "nowhere")
    _fails(initiator(nobody, FORM, allowed=only), None, FailureReason.NO_CREDENTIALS)
    # With nothing at all to offer, the better mechanism's reason is told.
    error = _fails(initiator(nobody, FORM), None, FailureReason.NO_CREDENTIALS)
    assert "run kinit" in str(error)


def test_a_server_with_kerberos_alone_refuses_ntlm(realm: Kdc, tmp_path: Path) -> None:
    factory = _both(realm, account_file(tmp_path), SecurityPolicy.kerberos_only())
    assert factory.mechanisms == {KERBEROS}
    token = _ntlm_client().step(None)
    _fails(factory.context(FORM), token, FailureReason.MECHANISM)


@pytest.mark.parametrize("oid", ["1.2.840.48018.1.2.2", "1.3.5.1.5.2"])
def test_kerberos_has_more_than_one_name(realm: Kdc, oid: str) -> None:
    factory = AcceptorFactory([Keytab(realm.keytab_file)], SecurityPolicy())
    token = initiator(TicketCache(), NegotiationProtocol.KERBEROS).step(None)
    server = factory.context(FORM)
    answer = server.step(NegTokenInit([oid], mech_token=token).pack())
    assert answer is not None
    assert unpack_token(answer).supported_mech == oid
    assert admit(server, factory).principal == f"alice@{REALM}"


# What a peer cannot make of it, server's side.


@pytest.mark.parametrize("state", list(NegState))
def test_a_negotiation_does_not_begin_with_its_end(
    factory: AcceptorFactory, state: NegState
) -> None:
    bare = spnego.server(protocol="negotiate")
    with pytest.raises(StopIteration):
        bare.step(NegTokenResp(NegState.accept_complete).pack())
    assert bare.complete  # it says, and names nobody
    for mech in (None, _NTLM_OID, _KERBEROS_OID, "1.2.3"):
        token = NegTokenResp(state, mech, None).pack()
        _fails(factory.context(FORM), token, FailureReason.MALFORMED)


def test_a_bare_mechanisms_token_is_no_negotiation(factory: AcceptorFactory) -> None:
    token = initiator().step(None)
    error = _fails(factory.context(FORM), token, FailureReason.MALFORMED)
    assert "bare" in str(error)
    server = factory.context(FORM)
    server.step(_ntlm_client().step(None))
    _fails(server, token, FailureReason.MALFORMED)


def test_a_negotiation_is_not_ended_before_its_mechanism(
    factory: AcceptorFactory,
) -> None:
    server = factory.context(FORM)
    server.step(_ntlm_client().step(None))
    _fails(
        server,
        NegTokenResp(NegState.accept_complete).pack(),
        FailureReason.NOT_PROVEN,
    )


def test_a_negotiation_does_not_begin_twice(factory: AcceptorFactory) -> None:
    server = factory.context(FORM)
    token = _ntlm_client().step(None)
    server.step(token)
    _fails(server, token, FailureReason.MALFORMED)


@pytest.mark.parametrize("mechs", [[], ["1.2.3"], [_KERBEROS_OID], ["1.2.3"] * 500])
def test_nothing_in_common_is_said(factory: AcceptorFactory, mechs: list[str]) -> None:
    token = NegTokenInit(mechs).pack()
    _fails(factory.context(FORM), token, FailureReason.MECHANISM)


def test_a_changed_list_of_mechanisms_is_found(factory: AcceptorFactory) -> None:
    client, server = _ntlm_client(), factory.context(FORM)
    first = unpack_token(client.step(None) or b"")
    # Somebody on the path says that Kerberos was offered too.
    first.mech_types = [_NTLM_OID, _KERBEROS_OID]
    answer = client.step(server.step(first.pack()))
    _fails(server, answer, FailureReason.MALFORMED)


def test_without_codes_over_the_list_nobody_is_let_in(
    factory: AcceptorFactory,
) -> None:
    for state in NegState:
        client, server = _ntlm_client(), factory.context(FORM)
        answer = unpack_token(client.step(server.step(client.step(None))) or b"")
        answer.mech_list_mic, answer.neg_state = None, state
        with suppress(AuthenticationFailed):
            server.step(answer.pack())
        assert not server.complete


def test_passwordless_completion_inside_a_negotiation(factory: AcceptorFactory) -> None:
    asked = NegotiateFlags.unicode | NegotiateFlags.sign | NegotiateFlags.ntlm
    asked |= NegotiateFlags.extended_session_security
    server = factory.context(FORM)
    token = NegTokenInit([_NTLM_OID], mech_token=Negotiate(asked).pack()).pack()
    answer = unpack_token(server.step(token) or b"")
    flags = Challenge.unpack(answer.response_token).flags
    message = Authenticate(flags, b"\0" * 24, None, "CORP", "alice", "W")
    token = NegTokenResp(NegState.accept_complete, None, message.pack()).pack()
    _fails(server, token, FailureReason.REFUSED)


# And client's side.


def test_a_server_does_not_end_it_before_the_mechanism() -> None:
    for mech in (None, _NTLM_OID):
        client = _ntlm_client()
        client.step(None)
        with pytest.raises(AuthenticationFailed):
            client.step(NegTokenResp(NegState.accept_complete, mech, None).pack())
        assert not client.complete


def test_a_server_does_not_leave_out_its_code(factory: AcceptorFactory) -> None:
    client, server = _ntlm_client(), factory.context(FORM)
    last = unpack_token(server.step(client.step(server.step(client.step(None)))) or b"")
    assert last.neg_state is NegState.accept_complete and last.mech_list_mic
    last.mech_list_mic = None
    error = _fails(client, last.pack(), FailureReason.NOT_PROVEN)
    assert str(error) == "the list of mechanisms was not authenticated"


def test_a_server_does_not_change_its_choice(
    realm: Kdc, factory: AcceptorFactory
) -> None:
    client = initiator(Password("alice", USERS["alice"]), FORM)
    server = factory.context(FORM)
    client.step(server.step(client.step(None)))
    other = NegTokenResp(NegState.accept_incomplete, _KERBEROS_OID, b"x")
    error = _fails(client, other.pack(), FailureReason.MALFORMED)
    assert "changed during" in str(error)


def test_a_server_does_not_begin() -> None:
    for token in (NegTokenInit([_NTLM_OID]).pack(), b"NTLMSSP\0\2\0\0\0" + bytes(60)):
        client = _ntlm_client()
        client.step(None)
        _fails(client, token, FailureReason.MALFORMED)


# The rest.


def test_tokens_are_not_logged(
    factory: AcceptorFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exchange(_ntlm_client(), factory.context(FORM))
    assert "token" not in caplog.text
    assert "TlRMTVNTU" not in caplog.text  # Base64 of "NTLMSSP"


def test_what_of_the_library_this_stands_on(factory: AcceptorFactory) -> None:
    # Attributes and methods without promise, replaced or read by SpnegoContext.
    bare = NegotiateProxy(usage="accept")
    for name in (
        "_complete _context_list _init_sent _mech_list _mic_recv _mic_required "
        "_mic_sent _is_same_mech _preferred_mech_list _rebuild_context_list "
        "_step_spnego_input _step_spnego_mic _step_spnego_output _step_spnego_token"
    ).split():
        assert hasattr(bare, name), name
    for name in "_context _chosen_mech".split():
        assert isinstance(getattr(NegotiateProxy, name), property), name
    for name in "_calculate_mic _compute_response _step_accept_authenticate".split():
        assert hasattr(NtlmContext, name), name
