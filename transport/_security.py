"""What the transport asks of a security mechanism, and what a user may demand.

`SecurityContext` is the seam: the session and the suites know only this, so a
mechanism can be scripted in tests or replaced.  `ContextFacts` is what a finished
context can prove; `_acceptance` decides on it.  A context that says "complete"
proves nothing by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from ._identity import DelegatedCredential, Mechanism
from ._protection import Protection, SuiteName

__all__ = [
    "ChannelBinding",
    "ContextFacts",
    "NegotiationProtocol",
    "NtlmFacts",
    "SecurityContext",
    "SecurityPolicy",
    "Unwrapped",
]


# `channel` is never among them: a session that authenticates must not fall to it.
_SUITES: Final = {SuiteName.AES256GCM, SuiteName.GSS}


class NegotiationProtocol(StrEnum):
    """The form of the tokens: SPNEGO around a mechanism, or one by itself."""

    NEGOTIATE = "negotiate"
    KERBEROS = "kerberos"
    NTLM = "ntlm"


class ChannelBinding(StrEnum):
    """Whether a proof over TLS must be bound to that TLS channel.

    Bound, a proof cannot be relayed by somebody who terminates TLS in between.  The
    binding is tls-server-end-point (RFC 5929); FINISHED covers it, whatever the
    mechanism, and Kerberos and NTLM carry it too.
    """

    NEVER = "never"
    """Not offered: for a TLS terminator that is meant to be there."""
    WHEN_SUPPORTED = "when-supported"
    """Wherever both ends see the same TLS channel and neither says NEVER."""
    ALWAYS = "always"
    """A session without it is refused, one without TLS too."""


class Unwrapped(NamedTuple):
    """A wrap token opened.

    Attributes:
        data: The plaintext.
        encrypted: Whether it was confidential.  GSS-API opens integrity-only tokens
            just as willingly (RFC 2743 section 2.3.4), so the caller must look.
    """

    data: bytes
    encrypted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NtlmFacts:
    """What an NTLM exchange agreed on (MS-NLMP section 2.2.2.5)."""

    version2: bool
    key_128: bool
    extended_session_security: bool
    key_exchange: bool
    mic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFacts:
    """What a context can prove, read after its last step.

    Attributes:
        complete: The *inner* mechanism's context is complete, not just the
            negotiation around it.
        mechanism: The mechanism that was used, or None if none was.
        name: Acceptor: the initiator's name within `realm`.  Initiator: the name of
            the service it asked for.  Empty if the context names nobody.
        realm: Kerberos realm or NTLM domain of `name`.
        target: The service principal the exchange was for, `host/name` without realm
            (initiator: the one asked for; acceptor: the one the ticket named), or
            empty where the mechanism does not prove one.
        mutual: Kerberos mutual authentication took place.  Never set for NTLM.
        channel_bound: The peer supplied channel bindings and they matched ours.
        session_key: The session key of the context.
        enctype: Kerberos encryption type number of the session key, else None.
        expires_at: Seconds since the epoch, or None.
        ntlm: Set for NTLM only.
        sids: Acceptor: the security identifiers of the initiator and its groups, from
            a domain controller that the mechanism authenticated.
        delegated: Acceptor: the initiator's credential, if there is one.
    """

    complete: bool
    mechanism: Mechanism | None
    name: str
    realm: str
    target: str
    mutual: bool
    integrity: bool
    confidentiality: bool
    replay_detection: bool
    sequence_detection: bool
    channel_bound: bool
    session_key: bytes = field(repr=False)
    enctype: int | None = None
    expires_at: float | None = None
    ntlm: NtlmFacts | None = None
    sids: frozenset[str] = frozenset()
    delegated: DelegatedCredential | None = None


class SecurityContext(Protocol):
    """One security context, initiator or acceptor.  Not thread-safe.

    `step` may block (a KDC may be far): the shell calls it in a worker thread.  The
    other methods compute only.  Any exception of any of them means failure.
    """

    def step(self, token: bytes | None) -> bytes | None:
        """Consume the peer's token and return the one to send, if any.

        Args:
            token: The peer's token; None starts an initiator.

        Raises:
            AuthenticationFailed: With the cause mapped to a `FailureReason`.
        """
        ...

    @property
    def complete(self) -> bool:
        """True when this end expects no further token."""
        ...

    def facts(self) -> ContextFacts:
        """Read what the context can prove."""
        ...

    def wrap(self, data: bytes) -> bytes:
        """Seal `data` with confidentiality."""
        ...

    def unwrap(self, token: bytes) -> Unwrapped:
        """Open a sealed token."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return a message integrity code over `data`."""
        ...

    def verify(self, data: bytes, mic: bytes) -> None:
        """Raise unless `mic` is the peer's code over `data`, next in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityPolicy:
    """What one end demands of a session.  The same class serves clients and servers.

    Attributes:
        mechanisms: The mechanisms allowed.  None: Kerberos, and NTLM where the
            credentials ask for it by their kind (an account file, or a password for
            `DOMAIN\\user`).
        negotiation: The form of the tokens a client sends.  None: SPNEGO where more
            than one mechanism is allowed, else the one mechanism by itself.
        require_mutual: Refuse a session in which the server did not prove itself.
            None: as the mechanism gives it (Kerberos is always asked for it).
        minimum_protection: Nothing in the session goes below this level.
        suites: Suites offered or accepted, best first.
        channel_binding: Whether a proof must be bound to the TLS channel.
        max_lifetime_seconds: A session ends after this time, or earlier at the end of
            the identity's own (a Kerberos ticket's).
        service_principals: Acceptor: serve only under these names (`host/name`).
            Empty: those in the keytab.
        handshake_seconds: The handshake must end within this time.
    """

    mechanisms: frozenset[Mechanism] | None = None
    negotiation: NegotiationProtocol | None = None
    require_mutual: bool | None = None
    minimum_protection: Protection = Protection.SIGN
    suites: Sequence[str] = (SuiteName.AES256GCM, SuiteName.GSS)
    channel_binding: ChannelBinding = ChannelBinding.WHEN_SUPPORTED
    max_lifetime_seconds: float = 36_000.0
    service_principals: frozenset[str] = frozenset()
    handshake_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.suites or not set(self.suites) <= _SUITES:
            raise ValueError(
                f"suites {list(self.suites)}; there are: {', '.join(sorted(_SUITES))}"
            )

        for name in ("max_lifetime_seconds", "handshake_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} {getattr(self, name)} is not over 0")

    @classmethod
    def kerberos_only(cls) -> "SecurityPolicy":
        """Kerberos with mutual authentication, whatever the credentials are."""
        return cls(mechanisms=frozenset({Mechanism.KERBEROS}), require_mutual=True)

    @classmethod
    def allow_ntlm(cls) -> "SecurityPolicy":
        """Kerberos where it can be had, else NTLM."""
        return cls(mechanisms=frozenset({Mechanism.KERBEROS, Mechanism.NTLM}))

    def allowed(self, *, ntlm_asked: bool) -> frozenset[Mechanism]:
        """Return the mechanisms allowed with credentials of a certain kind.

        Args:
            ntlm_asked: True if the credentials ask for NTLM by their kind.
        """
        if self.mechanisms is not None:
            return self.mechanisms
        if ntlm_asked:
            return frozenset({Mechanism.KERBEROS, Mechanism.NTLM})
        return frozenset({Mechanism.KERBEROS})
