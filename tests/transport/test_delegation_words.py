"""What somebody is told who misses a delegated credential."""

import pytest

from signetrpc.transport._delegation_words import why_not_delegated
from signetrpc.transport._identity import (
    ANONYMOUS,
    Identity,
    ImpersonationLevel,
    Mechanism,
)


def _words(mechanism: Mechanism, level: ImpersonationLevel) -> str:
    caller = Identity(
        mechanism=mechanism, name="alice", realm="CORP", impersonation=level
    )
    return why_not_delegated(caller)


@pytest.mark.parametrize("level", list(ImpersonationLevel)[:2])
def test_a_level_that_does_not_allow_it(level: ImpersonationLevel) -> None:
    text = _words(Mechanism.KERBEROS, level)
    assert text.startswith(
        f"alice@CORP has delegated no credential: the client allows {level.name}"
    )
    assert "connect with impersonation=ImpersonationLevel.DELEGATE" in text


@pytest.mark.parametrize(
    ("mechanism", "who", "what"),
    [
        (Mechanism.NTLM, r"CORP\alice", "an NTLM logon"),
        (Mechanism.TLS, "alice", "a TLS certificate"),
    ],
)
def test_a_proof_that_cannot_be_delegated(
    mechanism: Mechanism, who: str, what: str
) -> None:
    text = _words(mechanism, ImpersonationLevel.DELEGATE)
    assert text.startswith(f"{who} ")
    assert f"{what} cannot be delegated; authenticate with Kerberos" in text


def test_a_ticket_that_is_not_forwardable() -> None:
    text = _words(Mechanism.KERBEROS, ImpersonationLevel.DELEGATE)
    for hint in ("not forwardable", "kinit -f", "forwardable = true", "sensitive"):
        assert hint in text


def test_nobody() -> None:
    assert "nobody has authenticated" in why_not_delegated(ANONYMOUS)
