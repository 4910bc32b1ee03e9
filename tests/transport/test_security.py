"""Policies and facts."""

from dataclasses import replace

import pytest

from signetrpc.transport._identity import Mechanism
from signetrpc.transport._protection import Protection
from signetrpc.transport._security import (
    NegotiationProtocol,
    SecurityContext,
    SecurityPolicy,
    Unwrapped,
)
from signetrpc.transport.testing import ScriptedContext, scripted_facts

KERBEROS, NTLM = Mechanism.KERBEROS, Mechanism.NTLM


@pytest.mark.parametrize(
    ("policy", "without", "asked"),
    [
        (SecurityPolicy(), {KERBEROS}, {KERBEROS, NTLM}),
        (SecurityPolicy.kerberos_only(), {KERBEROS}, {KERBEROS}),
        (SecurityPolicy.allow_ntlm(), {KERBEROS, NTLM}, {KERBEROS, NTLM}),
        (SecurityPolicy(mechanisms=frozenset({NTLM})), {NTLM}, {NTLM}),
    ],
)
def test_ntlm_is_allowed_only_when_asked_for(
    policy: SecurityPolicy, without: set[Mechanism], asked: set[Mechanism]
) -> None:
    assert policy.allowed(ntlm_asked=False) == without
    assert policy.allowed(ntlm_asked=True) == asked


def test_what_a_policy_demands_by_default() -> None:
    policy = SecurityPolicy()
    assert policy.minimum_protection is Protection.SIGN
    assert policy.handshake_seconds == 10
    assert policy.require_mutual is None
    assert SecurityPolicy.kerberos_only().require_mutual is True


@pytest.mark.parametrize("suites", [(), ("channel",), ("gss", "channel"), ("rot13",)])
def test_a_policy_names_suites_that_authenticate_and_exist(
    suites: tuple[str, ...],
) -> None:
    with pytest.raises(ValueError, match="suites .*; there are: aes256gcm, gss"):
        SecurityPolicy(suites=suites)


def test_the_session_key_is_never_shown() -> None:
    facts = replace(scripted_facts(initiator=True), session_key=b"sekrit" * 4)
    assert "sekrit" not in repr(facts)
    assert "session_key" not in repr(facts)


def test_negotiation_protocols_have_the_wire_s_names() -> None:
    assert set(NegotiationProtocol) == {"negotiate", "kerberos", "ntlm"}


def test_a_scripted_context_is_a_security_context() -> None:
    context: SecurityContext = ScriptedContext(initiator=True, legs=1)
    assert context.step(None) is not None
    assert context.complete
    assert Unwrapped(b"x", True).encrypted
