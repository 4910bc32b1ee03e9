"""Who the peer is, as a value."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

__all__ = ["ANONYMOUS", "Identity", "ImpersonationLevel", "Mechanism"]


class Mechanism(StrEnum):
    """What proved an identity."""

    KERBEROS = "kerberos"
    NTLM = "ntlm"
    TLS = "tls"
    ANONYMOUS = "anonymous"
    """Nothing did: a plain connection, or a message without protection."""


class ImpersonationLevel(IntEnum):
    """What a client lets the server do with its identity.  Travels in HELLO.

    Source: the levels of SSPI and WCF; the numbers are the wire's.
    """

    IDENTIFY = 0
    """Look at the identity, for authorisation only."""
    IMPERSONATE = 1
    """Act as the client on the server's machine."""
    DELEGATE = 2
    """Act as the client towards other machines too, with a forwarded credential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An authenticated peer.

    Attributes:
        mechanism: What proved it.  Decide on (mechanism, realm, name), never on the
            bare name: two realms can each have an `alice`.
        name: The name inside its realm or domain: `alice`, `host/files.example.com`.
        realm: The Kerberos realm or NTLM domain, or who issued the certificate; empty
            if there is none.
        mutual: True if each end proved itself to the other.  Only Kerberos does;
            NTLM proves the client alone.
        channel_bound: True if the proof is bound to the TLS channel below it.
        impersonation: What the client allows; IDENTIFY for a server's identity.
        expires_at: When the proof ends, in seconds since the epoch, or None.
    """

    mechanism: Mechanism
    name: str = ""
    realm: str = ""
    mutual: bool = False
    channel_bound: bool = False
    impersonation: ImpersonationLevel = ImpersonationLevel.IDENTIFY
    expires_at: float | None = None

    @property
    def principal(self) -> str:
        r"""The identity as its mechanism writes it: `alice@REALM`, `DOMAIN\alice`."""
        match self.mechanism:
            case Mechanism.NTLM:
                return f"{self.realm}\\{self.name}" if self.realm else self.name
            case Mechanism.ANONYMOUS:
                return "anonymous"
            case Mechanism.TLS:
                return self.name
            case _:
                return f"{self.name}@{self.realm}" if self.realm else self.name

    @property
    def anonymous(self) -> bool:
        """True if nothing proved who the peer is."""
        return self.mechanism is Mechanism.ANONYMOUS

    def __str__(self) -> str:
        return self.principal


ANONYMOUS = Identity(mechanism=Mechanism.ANONYMOUS)
"""The peer of a plain connection and the caller of an unprotected message."""
