"""The acceptance rules: each refuses its attack, and only it does."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from signetrpc.transport import _acceptance
from signetrpc.transport._acceptance import RULES, Claim, accept, channel_bound
from signetrpc.transport._identity import ImpersonationLevel, Mechanism
from signetrpc.transport._security import ContextFacts, NtlmFacts, SecurityPolicy
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
    InsufficientProtection,
)

KERBEROS, NTLM = Mechanism.KERBEROS, Mechanism.NTLM
SERVICE = "host/server"
LEVEL = ImpersonationLevel.DELEGATE

_KERBEROS_FACTS = ContextFacts(
    complete=True,
    mechanism=KERBEROS,
    name="alice",
    realm="EXAMPLE.COM",
    target=SERVICE,
    mutual=True,
    integrity=True,
    confidentiality=True,
    replay_detection=True,
    sequence_detection=True,
    channel_bound=False,
    session_key=bytes(range(32)),
    enctype=18,
    expires_at=1000.0,
)
_STRONG = NtlmFacts(
    version2=True,
    key_128=True,
    extended_session_security=True,
    key_exchange=True,
    mic=True,
)
_NTLM_FACTS = replace(
    _KERBEROS_FACTS,
    mechanism=NTLM,
    realm="CORP",
    target="",
    mutual=False,
    session_key=bytes(range(16)),
    enctype=None,
    expires_at=None,
    ntlm=_STRONG,
)

SERVER = Claim(
    facts=_KERBEROS_FACTS,
    policy=SecurityPolicy(),
    allowed=frozenset({KERBEROS, NTLM}),
    initiator=False,
    target=SERVICE,
    served=frozenset({SERVICE, "host/other"}),
)
CLIENT = replace(
    SERVER,
    facts=replace(_KERBEROS_FACTS, name=SERVICE),
    initiator=True,
    served=frozenset[str](),
)
NTLM_SERVER = replace(SERVER, facts=_NTLM_FACTS)
NTLM_CLIENT = replace(CLIENT, facts=replace(_NTLM_FACTS, name=SERVICE))


def _with(claim: Claim, **facts: object) -> Claim:
    return replace(claim, facts=replace(claim.facts, **facts))  # type: ignore[arg-type]


def _weaker(claim: Claim, **ntlm: bool) -> Claim:
    return _with(claim, ntlm=replace(_STRONG, **ntlm))


# What is accepted.


@pytest.mark.parametrize("claim", [SERVER, CLIENT, NTLM_SERVER, NTLM_CLIENT])
def test_what_proves_everything_is_accepted(claim: Claim) -> None:
    identity = accept(claim, impersonation=LEVEL)
    facts = claim.facts
    assert (identity.name, identity.realm) == (facts.name, facts.realm)
    assert identity.mechanism is facts.mechanism
    assert identity.mutual is (facts.mechanism is KERBEROS)
    assert identity.expires_at == facts.expires_at
    assert not identity.channel_bound


def test_the_clients_level_counts_on_the_server_alone() -> None:
    assert accept(SERVER, impersonation=LEVEL).impersonation is LEVEL
    own = accept(CLIENT, impersonation=LEVEL).impersonation
    assert own is ImpersonationLevel.IDENTIFY


def test_an_identity_is_bound_if_both_ends_agreed_to_it() -> None:
    claim = replace(_with(SERVER, channel_bound=True), bound=True)
    assert accept(claim, impersonation=LEVEL).channel_bound
    assert accept(replace(CLIENT, bound=True), impersonation=LEVEL).channel_bound
    claim = _with(SERVER, channel_bound=True)
    assert not accept(claim, impersonation=LEVEL).channel_bound


@pytest.mark.parametrize("enctype", [17, 18, 19, 20, 25, 26])
def test_aes_and_camellia_are_strong(enctype: int) -> None:
    accept(_with(SERVER, enctype=enctype), impersonation=LEVEL)


def test_a_server_without_names_serves_any() -> None:
    claim = replace(NTLM_SERVER, served=frozenset(), target="host/whatever")
    accept(claim, impersonation=LEVEL)


def test_an_ntlm_client_need_not_name_a_service() -> None:
    accept(replace(NTLM_SERVER, target=""), impersonation=LEVEL)


# What is refused: one violation each, and the rule that finds it.


@dataclass(frozen=True)
class Case:
    """A claim that breaks one rule."""

    rule: Callable[[Claim], None]
    claim: Claim
    text: str
    reason: FailureReason | None = None  # None: InsufficientProtection


_KERBEROS_ONLY = SecurityPolicy.kerberos_only()
_MECHANISM, _NOT_PROVEN = FailureReason.MECHANISM, FailureReason.NOT_PROVEN
_UNKNOWN = FailureReason.UNKNOWN_SERVICE

CASES = {
    "a client that does not bind as it said": Case(
        channel_bound,
        replace(SERVER, bound=True),
        "not bound to this TLS channel",
        _NOT_PROVEN,
    ),
    "negotiated around nothing": Case(
        _acceptance.inner_context_complete,
        _with(SERVER, complete=False),
        "own context is not complete",
        _NOT_PROVEN,
    ),
    "client, negotiated around nothing": Case(
        _acceptance.inner_context_complete,
        _with(CLIENT, complete=False),
        "own context is not complete",
        _NOT_PROVEN,
    ),
    "NTLM where Kerberos is demanded": Case(
        _acceptance.mechanism_allowed,
        replace(NTLM_CLIENT, allowed=frozenset({KERBEROS})),
        "authenticated with ntlm; allowed here: kerberos",
        _MECHANISM,
    ),
    "Kerberos where NTLM is demanded": Case(
        _acceptance.mechanism_allowed,
        replace(SERVER, allowed=frozenset({NTLM})),
        "authenticated with kerberos; allowed here: ntlm",
        _MECHANISM,
    ),
    "nothing allowed": Case(
        _acceptance.mechanism_allowed,
        replace(SERVER, allowed=frozenset[Mechanism]()),
        "allowed here: none",
        _MECHANISM,
    ),
    "nobody": Case(
        _acceptance.principal_named,
        _with(SERVER, name=""),
        "names no principal",
        _NOT_PROVEN,
    ),
    "nobody by NTLM": Case(
        _acceptance.principal_named,
        _with(NTLM_SERVER, name=""),
        "names no principal",
        _NOT_PROVEN,
    ),
    "nobody by Kerberos": Case(
        _acceptance.principal_named,
        _with(SERVER, name="WELLKNOWN/ANONYMOUS"),
        "names nobody",
        _NOT_PROVEN,
    ),
    "no integrity": Case(
        _acceptance.protection_agreed,
        _with(SERVER, integrity=False),
        "the context lacks integrity",
    ),
    "no confidentiality": Case(
        _acceptance.protection_agreed,
        _with(NTLM_SERVER, confidentiality=False),
        "the context lacks confidentiality",
    ),
    "no replay detection": Case(
        _acceptance.protection_agreed,
        _with(CLIENT, replay_detection=False),
        "the context lacks replay detection",
    ),
    "no sequence detection": Case(
        _acceptance.protection_agreed,
        _with(NTLM_CLIENT, sequence_detection=False),
        "the context lacks sequence detection",
    ),
    "no protection at all": Case(
        _acceptance.protection_agreed,
        _with(
            SERVER,
            integrity=False,
            confidentiality=False,
            replay_detection=False,
            sequence_detection=False,
        ),
        "lacks integrity, confidentiality, replay detection, sequence detection",
    ),
    "no key": Case(
        _acceptance.session_key_strong,
        _with(NTLM_SERVER, session_key=b""),
        "session key of 0 bytes, at least 16 needed",
    ),
    "a short key": Case(
        _acceptance.session_key_strong,
        _with(SERVER, session_key=b"x" * 15),
        "session key of 15 bytes, at least 16 needed",
    ),
    "a zero key": Case(
        _acceptance.session_key_strong,
        _with(NTLM_CLIENT, session_key=bytes(16)),
        "the session key is all zero",
    ),
    "arcfour": Case(
        _acceptance.enctype_strong,
        _with(SERVER, enctype=23),
        "Kerberos session enctype 23",
    ),
    "DES": Case(
        _acceptance.enctype_strong,
        _with(CLIENT, enctype=3),
        "Kerberos session enctype 3",
    ),
    "triple DES": Case(
        _acceptance.enctype_strong,
        _with(SERVER, enctype=16),
        "Kerberos session enctype 16",
    ),
    "an unknown enctype": Case(
        _acceptance.enctype_strong,
        _with(SERVER, enctype=None),
        "Kerberos session enctype None",
    ),
    "NTLMv1": Case(
        _acceptance.ntlm_strong,
        _weaker(NTLM_SERVER, version2=False),
        "the NTLM exchange lacks NTLMv2",
    ),
    "56-bit keys": Case(
        _acceptance.ntlm_strong,
        _weaker(NTLM_CLIENT, key_128=False),
        "the NTLM exchange lacks 128-bit keys",
    ),
    "no session security": Case(
        _acceptance.ntlm_strong,
        _weaker(NTLM_SERVER, extended_session_security=False),
        "the NTLM exchange lacks extended session security",
    ),
    "no key exchange": Case(
        _acceptance.ntlm_strong,
        _weaker(NTLM_SERVER, key_exchange=False),
        "the NTLM exchange lacks key exchange",
    ),
    "no integrity code": Case(
        _acceptance.ntlm_strong,
        _weaker(NTLM_SERVER, mic=False),
        "the NTLM exchange lacks a message integrity code",
    ),
    "NTLM without a word": Case(
        _acceptance.ntlm_strong,
        _with(NTLM_SERVER, ntlm=None),
        "nothing is known of the NTLM exchange",
    ),
    "Kerberos that is not mutual": Case(
        _acceptance.mutual_authentication,
        _with(SERVER, mutual=False),
        "Kerberos without mutual authentication",
        _NOT_PROVEN,
    ),
    "NTLM where the server must prove itself": Case(
        _acceptance.mutual_authentication,
        replace(NTLM_CLIENT, policy=SecurityPolicy(require_mutual=True)),
        "mutual authentication is required",
        _NOT_PROVEN,
    ),
    "NTLM that calls itself mutual": Case(
        _acceptance.mutual_authentication,
        replace(
            _with(NTLM_CLIENT, mutual=True),
            policy=SecurityPolicy(require_mutual=True),
        ),
        "mutual authentication is required",
        _NOT_PROVEN,
    ),
    "a ticket for another service": Case(
        _acceptance.target_equal,
        _with(SERVER, target="host/other"),
        "HELLO names 'host/server', the context is for 'host/other'",
        _UNKNOWN,
    ),
    "a context for another service": Case(
        _acceptance.target_equal,
        _with(CLIENT, target="host/other"),
        "HELLO names 'host/server', the context is for 'host/other'",
        _UNKNOWN,
    ),
    "a ticket without a service": Case(
        _acceptance.target_equal,
        _with(SERVER, target=""),
        "the context is for ''",
        _UNKNOWN,
    ),
    "a HELLO without a service": Case(
        _acceptance.target_equal,
        replace(SERVER, target=""),
        "HELLO names '', the context is for 'host/server'",
        _UNKNOWN,
    ),
    "a service not served": Case(
        _acceptance.target_equal,
        replace(SERVER, served=frozenset({"host/other"})),
        "'host/server' is not served here",
        _UNKNOWN,
    ),
    "a service not served, by NTLM": Case(
        _acceptance.target_equal,
        replace(NTLM_SERVER, served=frozenset({"host/other"})),
        "'host/server' is not served here",
        _UNKNOWN,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_violation_is_refused(case: Case) -> None:
    with pytest.raises(HandshakeError) as caught:
        accept(case.claim, impersonation=LEVEL)
    assert case.text in str(caught.value)
    error = caught.value
    if case.reason is None:
        assert isinstance(error, InsufficientProtection)
    else:
        assert isinstance(error, AuthenticationFailed)
        assert error.reason is case.reason


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_without_its_rule_each_violation_gets_in(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = tuple(rule for rule in RULES if rule is not case.rule)
    assert len(rest) == len(RULES) - 1
    monkeypatch.setattr(_acceptance, "RULES", rest)
    accept(case.claim, impersonation=LEVEL)


def test_each_rule_has_its_cases() -> None:
    assert {case.rule for case in CASES.values()} == set(RULES)


def test_a_context_without_a_mechanism_is_refused() -> None:
    # Not among the cases: without the rule there is no identity to make.
    with pytest.raises(AuthenticationFailed, match="authenticated with no mechanism"):
        accept(_with(SERVER, mechanism=None), impersonation=LEVEL)


def test_ntlm_never_counts_as_mutual() -> None:
    claim = _with(NTLM_SERVER, mutual=True)
    assert not accept(claim, impersonation=LEVEL).mutual


def test_no_message_shows_a_key() -> None:
    key = b"secret-key-bytes"
    claim = _with(SERVER, session_key=key, enctype=23)
    assert "secret" not in repr(claim)
    with pytest.raises(InsufficientProtection) as caught:
        accept(claim, impersonation=LEVEL)
    assert "secret" not in str(caught.value)
