r"""Which local user a caller is: the rules that a server can be given.

A rule looks at mechanism, realm and name together.  `alice@EXAMPLE.COM`,
`alice@EXAMPLE.ORG` and `CORP\alice` are three people until a rule says otherwise.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike, fspath
from types import MappingProxyType
from typing import Any, Final, Protocol, cast

from signetrpc.transport import Identity, Mechanism
from signetrpc.transport._local_names import local_name

from ._toml_lines import key_lines, line_of

__all__ = [
    "AuthToLocal",
    "DomainNames",
    "MappingError",
    "NameMapping",
    "UserTable",
    "first_match",
]


class NameMapping(Protocol):
    """A rule that says which local user a caller is."""

    def __call__(self, caller: Identity, /) -> str | None:
        """Return the name of a local user, or None if the rule does not know.

        Runs in a thread of its own and may block.  Decide on mechanism, realm and
        name, never on the bare name: two realms can each have an `alice`.  An
        exception refuses the caller, whatever further rules say.
        """
        ...


def first_match(
    rules: NameMapping | Sequence[NameMapping], caller: Identity
) -> str | None:
    """Return what the first rule that knows a caller says; None if none does."""
    for rule in [rules] if callable(rules) else rules:
        name = rule(caller)
        if name is not None:
            return name
    return None


class AuthToLocal:
    """What `auth_to_local` and `auth_to_local_names` in krb5.conf say.

    For callers by Kerberos; needs MIT's libkrb5.  Without rules in krb5.conf,
    `alice@REALM` is `alice` where REALM is the machine's default realm.  krb5.conf is
    read anew for each new caller.
    """

    def __call__(self, caller: Identity, /) -> str | None:
        """Return the local name; see `NameMapping`.

        Raises:
            LocalNameError: libkrb5 or krb5.conf is missing or broken.
        """
        if caller.mechanism is not Mechanism.KERBEROS or not caller.realm:
            return None
        return local_name(caller.principal)

    def __repr__(self) -> str:
        return "AuthToLocal()"


class MappingError(Exception):
    """A table of users is not well formed; names the file, the line and the key."""


class UserTable:
    r"""A table of callers and their local users.

        UserTable({
            (Mechanism.KERBEROS, "EXAMPLE.COM", "alice"): "alice",
            (Mechanism.NTLM, "CORP", "alice"): "alice",
        })

    Or from a TOML file, by mechanism, realm or domain, and name:

        [kerberos."EXAMPLE.COM"]
        alice = "alice"
        "backup/files.example.com" = "backup"

        [ntlm.CORP]
        alice = "alice"

    Names are compared exactly, escapes included: the principal `a\/b@R` is another
    than `a/b@R`.  With NTLM, ASCII letters compare without regard to case, as Windows
    compares them.
    """

    def __init__(self, users: Mapping[tuple[Mechanism, str, str], str]) -> None:
        """Make a table.

        Args:
            users: The local user of each (mechanism, realm or domain, name).

        Raises:
            ValueError: A name is empty, a key stands for nobody in particular, or two
                are the same.
        """
        table: dict[tuple[Mechanism, str, str], str] = {}
        for (mechanism, realm, name), local in users.items():
            key = _key(mechanism, realm, name)
            if key in table:
                raise ValueError(f"{mechanism} {realm} {name} is there twice")
            _check(mechanism, realm, name, local)
            table[key] = local
        self._users: Final = MappingProxyType(table)

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> "UserTable":
        """Read a table from a TOML file.  The file is not read again later.

        Raises:
            OSError: The file cannot be read.
            MappingError: It is not TOML in UTF-8, or not such a table.
        """
        with open(path, "rb") as file:
            content = file.read()
        try:
            text = content.decode()
            document = tomllib.loads(text)
        except ValueError as error:
            raise MappingError(f"{fspath(path)}: {error}") from error
        users: dict[tuple[Mechanism, str, str], str] = {}
        seen: set[tuple[Mechanism, str, str]] = set()
        for at, value in _entries(document):
            try:
                mechanism, realm, name, local = _entry(at, value)
                key = _key(mechanism, realm, name)
                if key in seen:
                    raise ValueError("the caller is there already")
                seen.add(key)
            except ValueError as error:
                where = f"{fspath(path)}, line {line_of(key_lines(text), at)}"
                raise MappingError(f"{where}: {'.'.join(at)}: {error}") from error
            users[mechanism, realm, name] = local
        return cls(users)

    def __call__(self, caller: Identity, /) -> str | None:
        """Return the local name; see `NameMapping`."""
        return self._users.get(_key(caller.mechanism, caller.realm, caller.name))

    def __repr__(self) -> str:
        return f"UserTable(<{len(self._users)} users>)"


class DomainNames:
    r"""The users of this machine's Windows domain, as winbind names them in NSS.

    A caller by NTLM is the user `DOMAIN\name`.  A caller by Kerberos is one only if
    the NetBIOS name of its realm is given, because no ticket tells it, and if its
    principal is a plain name: no service and no escapes.

        DomainNames({"CORP.EXAMPLE.COM": "CORP"})

    With an account file, give its lines a domain of winbind's only where the people
    are the same: whoever has the password there is that user here.
    """

    def __init__(self, realms: Mapping[str, str] = MappingProxyType({})) -> None:
        r"""Make a rule.

        Args:
            realms: The NetBIOS domain of each Active Directory realm whose users are
                known here.

        Raises:
            ValueError: A realm or domain is empty, or a domain has a backslash.
        """
        for realm, domain in realms.items():
            if not realm or not domain or "\\" in domain:
                raise ValueError(f"realm {realm!r} cannot have the domain {domain!r}")
        self._realms: Final = dict(realms)

    def __call__(self, caller: Identity, /) -> str | None:
        """Return the local name; see `NameMapping`."""
        match caller.mechanism:
            case Mechanism.NTLM:
                domain, forbidden = caller.realm, "\\"
            case Mechanism.KERBEROS:
                domain, forbidden = self._realms.get(caller.realm, ""), "\\/@"
            case _:
                return None
        if not domain or not caller.name or "\\" in domain:
            return None
        if any(each in caller.name for each in forbidden):
            return None
        return f"{domain}\\{caller.name}"

    def __repr__(self) -> str:
        return f"DomainNames({self._realms!r})"


_UPPER: Final = {ord(each): each.upper() for each in "abcdefghijklmnopqrstuvwxyz"}


def _key(mechanism: Mechanism, realm: str, name: str) -> tuple[Mechanism, str, str]:
    # Beyond ASCII, Unicode folds letters together that Windows keeps apart: "s" and
    # the long s would be one.
    if mechanism is Mechanism.NTLM:
        return mechanism, realm.translate(_UPPER), name.translate(_UPPER)
    return mechanism, realm, name


def _check(mechanism: Mechanism, realm: str, name: str, local: object) -> None:
    if mechanism is Mechanism.ANONYMOUS:
        raise ValueError("nobody in particular is anonymous")
    if mechanism is Mechanism.KERBEROS and not realm:
        raise ValueError("the realm is missing")
    if not name:
        raise ValueError("the caller's name is empty")
    if not isinstance(local, str):
        raise ValueError(f"a local user is text, not {type(local).__name__}")
    if not local:
        raise ValueError("the local user is empty")


_At = tuple[str, ...]


def _below(at: _At, value: object) -> Iterator[tuple[_At, object]]:
    """Yield the entries of a table; what is no table as it is."""
    if isinstance(value, dict):
        for key, each in cast("dict[str, object]", value).items():
            yield (*at, key), each
    else:
        yield at, value


def _entries(document: dict[str, Any]) -> Iterator[tuple[_At, object]]:
    """Yield the values three tables deep, and whatever ends before that."""
    for at, value in _below((), document):
        for at_realm, names in _below(at, value):
            yield from _below(at_realm, names)


def _entry(at: _At, value: object) -> tuple[Mechanism, str, str, str]:
    if len(at) < 3:
        raise ValueError(
            'not a table; write [kerberos."REALM"] and below it name = "local user"'
        )
    mechanism, realm, name = at
    if mechanism not in set(map(str, Mechanism)):
        raise ValueError(f"no mechanism; there are {', '.join(Mechanism)}")
    _check(Mechanism(mechanism), realm, name, value)
    return Mechanism(mechanism), realm, name, cast("str", value)
