"""Who the peer is, as a value."""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

__all__ = [
    "ANONYMOUS",
    "DelegatedCredential",
    "DelegationKind",
    "Identity",
    "ImpersonationLevel",
    "LocalUser",
    "Mechanism",
]


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


class DelegationKind(StrEnum):
    """How a service came to a credential of its caller's."""

    FORWARDED = "forwarded"
    """The caller sent its own ticket-granting ticket along."""
    CONSTRAINED = "constrained"
    """The KDC lets the service act for callers towards some services (S4U2Proxy)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DelegatedCredential:
    """A caller's Kerberos credential, for calls onward in its name.

    Give it to `connect(..., credentials=...)`.

    Attributes:
        principal: Whose it is, such as `alice@EXAMPLE.COM`.
        kind: How it came about.
        expires_at: Seconds since the epoch.
        token: The credential as GSS-API exports it.  A secret.
        targets: The service principals towards which a constrained one is good; empty
            for a forwarded one, which is good towards any.
    """

    principal: str
    kind: DelegationKind
    expires_at: float
    token: bytes = field(repr=False)
    targets: tuple[str, ...] = ()

    @property
    def asks_ntlm(self) -> bool:
        """False: tickets are Kerberos'."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalUser:
    """A user of this machine, as its name service (NSS) knows it.

    Attributes:
        name: The login name.
        uid: The numeric user id.
        gid: The primary group's id.
        groups: The ids of all groups, the primary one included; sorted.
        group_names: The names of those groups that have one; sorted.
        home: The home folder.
        shell: The login shell.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    group_names: tuple[str, ...] = ()
    home: str = "/"
    shell: str = "/bin/sh"


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
        session_id: The session in which it was proved, 32 hexadecimal digits that both
            ends know and nobody can choose; empty outside a session.
        sids: The security identifiers (`S-1-5-...`) of the caller and its groups in
            its Windows domain, where a domain controller vouched for them.
        delegated: The caller's credential, where it let the server have one.
        impersonated_as: The local user that the handler runs as; None if it runs as
            the server.
    """

    mechanism: Mechanism
    name: str = ""
    realm: str = ""
    mutual: bool = False
    channel_bound: bool = False
    impersonation: ImpersonationLevel = ImpersonationLevel.IDENTIFY
    expires_at: float | None = None
    session_id: str = field(default="", compare=False)
    sids: frozenset[str] = frozenset()
    delegated: DelegatedCredential | None = field(default=None, compare=False)
    impersonated_as: LocalUser | None = None

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
        """The principal for people: in a log no name makes a line of its own."""
        if self.principal.isprintable():
            return self.principal
        return self.principal.encode("unicode_escape").decode()


ANONYMOUS = Identity(mechanism=Mechanism.ANONYMOUS)
"""The peer of a plain connection and the caller of an unprotected message."""
