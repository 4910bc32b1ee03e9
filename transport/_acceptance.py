"""The acceptance rules: what a finished context must prove before it counts.

Libraries report contexts as complete that prove nothing: an NTLM client without a
password, a negotiation without a mechanism.  Each rule here answers one such way
in and is a function of its own, so that a test can take it out and see its attack
succeed.  They run before FINISHED is sent.

Rules: docs/wire.md#acceptance.  Sources: MS-NLMP section 3.1.5, RFC 4120, RFC 4121.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ._identity import Identity, ImpersonationLevel, Mechanism
from ._security import ContextFacts, SecurityPolicy
from .errors import AuthenticationFailed, FailureReason, InsufficientProtection

__all__ = ["RULES", "Claim", "accept"]

_STRONG_ENCTYPES: Final = {
    17: "aes128-cts-hmac-sha1-96",
    18: "aes256-cts-hmac-sha1-96",
    19: "aes128-cts-hmac-sha256-128",
    20: "aes256-cts-hmac-sha384-192",
    25: "camellia128-cts-cmac",
    26: "camellia256-cts-cmac",
}
_SMALLEST_KEY: Final = 16
_ANONYMOUS_NAME: Final = "WELLKNOWN/ANONYMOUS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One finished context and what it is judged by.

    Attributes:
        facts: What the context can prove.
        policy: What this end demands.
        allowed: The mechanisms that the policy allows with this end's credentials.
        initiator: True on the client's side.
        target: The service principal that HELLO named; empty if none.
        served: Acceptor: the names this end serves under; empty for any.
        bound: HELLO agreed to bind the proofs to the TLS channel.
    """

    facts: ContextFacts
    policy: SecurityPolicy
    allowed: frozenset[Mechanism]
    initiator: bool
    target: str
    served: frozenset[str] = frozenset()
    bound: bool = False


def _not_proven(text: str) -> AuthenticationFailed:
    return AuthenticationFailed(text, reason=FailureReason.NOT_PROVEN)


def inner_context_complete(claim: Claim) -> None:
    """SPNEGO can say accept-completed around a mechanism that never ran."""
    if not claim.facts.complete:
        raise _not_proven("the mechanism's own context is not complete")


def mechanism_allowed(claim: Claim) -> None:
    """A client that demands Kerberos is never talked down to NTLM."""
    mechanism = claim.facts.mechanism
    if mechanism is None or mechanism not in claim.allowed:
        names = ", ".join(sorted(claim.allowed)) or "none"
        used = "no mechanism" if mechanism is None else mechanism.value
        raise AuthenticationFailed(
            f"authenticated with {used}; allowed here: {names}",
            reason=FailureReason.MECHANISM,
        )


def principal_named(claim: Claim) -> None:
    """A context can complete without naming anybody (anonymous NTLM and tickets)."""
    if claim.initiator:
        return
    if not claim.facts.name:
        raise _not_proven("the context names no principal")
    # A KDC can give such tickets to anybody who asks (RFC 8062 section 3).
    if claim.facts.name == _ANONYMOUS_NAME:
        raise _not_proven("an anonymous ticket names nobody")


def protection_agreed(claim: Claim) -> None:
    """Without the integrity flag NTLM "verifies" a constant signature."""
    facts = claim.facts
    missing = [
        name
        for name, present in (
            ("integrity", facts.integrity),
            ("confidentiality", facts.confidentiality),
            ("replay detection", facts.replay_detection),
            ("sequence detection", facts.sequence_detection),
        )
        if not present
    ]
    if missing:
        raise InsufficientProtection(f"the context lacks {', '.join(missing)}")


def session_key_strong(claim: Claim) -> None:
    """A short or constant key protects nothing."""
    key = claim.facts.session_key
    if len(key) < _SMALLEST_KEY:
        raise InsufficientProtection(
            f"session key of {len(key)} bytes, at least {_SMALLEST_KEY} needed"
        )
    if not any(key):
        raise InsufficientProtection("the session key is all zero")


def enctype_strong(claim: Claim) -> None:
    """Kerberos: AES or Camellia; arcfour, DES and unknown numbers are refused."""
    if claim.facts.mechanism is not Mechanism.KERBEROS:
        return
    if claim.facts.enctype not in _STRONG_ENCTYPES:
        raise InsufficientProtection(
            f"Kerberos session enctype {claim.facts.enctype}; accepted: "
            + ", ".join(_STRONG_ENCTYPES.values())
        )


def ntlm_strong(claim: Claim) -> None:
    """NTLM: as LM compatibility level 5, with every protection there is."""
    if claim.facts.mechanism is not Mechanism.NTLM:
        return
    ntlm = claim.facts.ntlm
    if ntlm is None:
        raise InsufficientProtection("nothing is known of the NTLM exchange")
    missing = [
        name
        for name, present in (
            ("NTLMv2", ntlm.version2),
            ("128-bit keys", ntlm.key_128),
            ("extended session security", ntlm.extended_session_security),
            ("key exchange", ntlm.key_exchange),
            ("a message integrity code", ntlm.mic),
        )
        if not present
    ]
    if missing:
        raise InsufficientProtection(f"the NTLM exchange lacks {', '.join(missing)}")


def mutual_authentication(claim: Claim) -> None:
    """Only Kerberos authenticates the server to the client."""
    facts = claim.facts
    kerberos = facts.mechanism is Mechanism.KERBEROS
    if facts.mutual and kerberos:
        return
    # Kerberos is always asked for it, so its absence there is somebody's work.
    if kerberos:
        raise _not_proven("Kerberos without mutual authentication")
    if claim.policy.require_mutual:
        raise _not_proven(
            "mutual authentication is required, and NTLM does not authenticate the "
            "server to the client: use Kerberos"
        )


def target_equal(claim: Claim) -> None:
    """The ticket is for the principal that HELLO named, and it is served here."""
    facts = claim.facts
    if facts.mechanism is Mechanism.KERBEROS and facts.target != claim.target:
        raise AuthenticationFailed(
            f"HELLO names {claim.target!r}, the context is for {facts.target!r}",
            reason=FailureReason.UNKNOWN_SERVICE,
        )
    if claim.target and claim.served and claim.target not in claim.served:
        raise AuthenticationFailed(
            f"{claim.target!r} is not served here", reason=FailureReason.UNKNOWN_SERVICE
        )


def channel_bound(claim: Claim) -> None:
    """The client's proof carries the binding that HELLO promised.

    MIT's acceptor takes a client without bindings, and NTLM's sixteen zero bytes.
    """
    if claim.bound and not claim.initiator and not claim.facts.channel_bound:
        raise _not_proven("the client's proof is not bound to this TLS channel")


RULES: tuple[Callable[[Claim], None], ...] = (
    inner_context_complete,
    mechanism_allowed,
    principal_named,
    protection_agreed,
    session_key_strong,
    enctype_strong,
    ntlm_strong,
    mutual_authentication,
    target_equal,
    channel_bound,
)


def accept(claim: Claim, *, impersonation: ImpersonationLevel) -> Identity:
    """Apply every rule and return who the peer is.

    Args:
        claim: The finished context and what it is judged by.
        impersonation: The level that the client's HELLO gave (acceptor only).

    Raises:
        AuthenticationFailed: Something is not proven.
        InsufficientProtection: Something is too weak.
    """
    for rule in RULES:
        rule(claim)
    facts = claim.facts
    assert facts.mechanism is not None  # mechanism_allowed
    mutual = facts.mutual and facts.mechanism is Mechanism.KERBEROS
    # The client decides: a credential that the library hands out unasked stays unused.
    allowed = not claim.initiator and impersonation is ImpersonationLevel.DELEGATE
    return Identity(
        mechanism=facts.mechanism,
        name=facts.name,
        realm=facts.realm,
        mutual=mutual,
        channel_bound=claim.bound,
        impersonation=(
            ImpersonationLevel.IDENTIFY if claim.initiator else impersonation
        ),
        expires_at=facts.expires_at,
        sids=facts.sids,
        delegated=facts.delegated if allowed and mutual else None,
    )
