r"""What one end authenticates with.

A client uses a `Password`, a `TicketCache` (the signed-in user's tickets, the default)
or a `Keytab` with a principal; a server that calls onward for its caller, the
`DelegatedCredential` that came with the caller's identity.  A server accepts with a
`Keytab`, and for NTLM with `AccountFile` or `Winbind`.

These are values: nothing is read before a handshake or a listener needs it, secrets
stay out of `repr`, and no file is ever looked for by way of the environment except
the signed-in user's own tickets.
"""

from dataclasses import dataclass, field
from os import PathLike

from ._identity import DelegatedCredential

__all__ = [
    "AccountFile",
    "ClientCredentials",
    "Keytab",
    "Password",
    "ServerCredentials",
    "TicketCache",
    "Winbind",
]


@dataclass(frozen=True, slots=True)
class Password:
    r"""A user's name and password.

    The form of the name says what they are for:

    - `alice@EXAMPLE.COM`, a Kerberos principal: Kerberos only;
    - `CORP\alice`, a name in a NetBIOS domain: NTLM;
    - `EXAMPLE.COM\alice`, where the domain is a DNS name and so a realm: Kerberos as
      `alice@EXAMPLE.COM` where that can be had, else NTLM;
    - `alice`: Kerberos in the default realm where that can be had, else NTLM with an
      empty domain.

    Attributes:
        user: The name, in one of these forms.
        password: The password, always as text: never taken for a hash.

    Raises:
        ValueError: The name is empty.
    """

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.account[1]:
            raise ValueError("the user name is empty")

    @property
    def account(self) -> tuple[str, str]:
        r"""The NTLM domain and name; the domain is empty without a backslash."""
        domain, backslash, name = self.user.partition("\\")
        return (domain, name) if backslash else ("", self.user)

    @property
    def principal(self) -> str | None:
        r"""The Kerberos principal, or None for a name in a NetBIOS domain.

        Nothing tells the realm of a NetBIOS domain, and guessing one could ask a
        stranger's KDC.
        """
        domain, name = self.account
        if not domain:
            # "\alice" has an empty domain and is no principal.
            return None if "\\" in self.user else self.user
        if "." not in domain:
            return None
        quoted = name.replace("/", "\\/").replace("@", "\\@")
        return f"{quoted}@{domain.upper()}"

    @property
    def asks_ntlm(self) -> bool:
        """True if the name's form asks for NTLM."""
        return "\\" in self.user or "@" not in self.user


@dataclass(frozen=True, slots=True)
class TicketCache:
    """Kerberos tickets that `kinit` or the login fetched.

    Attributes:
        path: A cache file, or a cache as Kerberos writes it (`KEYRING:...`,
            `KCM:...`).  None: the signed-in user's default cache.
        principal: Whose tickets, such as `alice@EXAMPLE.COM`.  None: whichever the
            cache (or, in a collection, the target) selects.
    """

    path: str | PathLike[str] | None = None
    principal: str | None = None

    @property
    def asks_ntlm(self) -> bool:
        """False: tickets are Kerberos'."""
        return False


@dataclass(frozen=True, slots=True)
class Keytab:
    """Kerberos keys in a file.

    Attributes:
        path: The file.
        principal: A server: accept under this principal only; None is every one that
            the file has.  A client: the principal to log in as; it must be given.
        delegate_to: A server: the service principals, such as `host/db.example.com`,
            towards which the KDC lets this one act for its callers (constrained
            delegation, S4U2Proxy).  A caller that allows delegation and sends no
            ticket of its own along then has a credential for these.  The server logs
            in with the keytab for that, so it must serve under one principal, with
            which one can log in (Active Directory: its account's userPrincipalName).

    Raises:
        ValueError: `delegate_to` is a text in place of a tuple.
    """

    path: str | PathLike[str]
    principal: str | None = None
    delegate_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.delegate_to, str):
            raise ValueError("delegate_to is a tuple of names, not one name")

    @property
    def asks_ntlm(self) -> bool:
        """False: the keys are Kerberos'."""
        return False


@dataclass(frozen=True, slots=True)
class AccountFile:
    r"""NTLM accounts for a server, one on each line.

    A line is `DOMAIN:user:password` (the domain may be empty), as in pyspnego's and
    gss-ntlmssp's NTLM_USER_FILE, or a line of smbpasswd(5) with `DOMAIN\user` and the
    NT hash.  Blank lines and lines that begin with `#` are left out.  Any other line
    is an error that names file and line: so is a password with a colon, which the
    format cannot hold.  Names compare without regard to case.

    The file is read when the server starts and again whenever it has changed; while
    a changed file has an error, every logon is refused.

    Attributes:
        path: The file.  It holds passwords: only its owner should be able to read it,
            and a warning is logged if others are.
    """

    path: str | PathLike[str]

    @property
    def asks_ntlm(self) -> bool:
        """True: accounts are there for NTLM."""
        return True


@dataclass(frozen=True, slots=True)
class Winbind:
    """The NTLM accounts of this machine's Active Directory domain, for a server.

    Samba's winbindd has to run, the machine be a member of the domain (or one of its
    controllers), and the Debian packages gss-ntlmssp and libwbclient0 (or what another
    system calls them) be installed; a service other than root's has to be in the group
    `winbindd_priv`.  Names are the domain's own in small letters, whatever a client
    typed.  Not together with account files.
    """

    @property
    def asks_ntlm(self) -> bool:
        """True: winbind is there for NTLM."""
        return True


ClientCredentials = Password | TicketCache | Keytab | DelegatedCredential
"""What a client can authenticate with."""

ServerCredentials = Keytab | AccountFile | Winbind
"""What a server can accept with."""
