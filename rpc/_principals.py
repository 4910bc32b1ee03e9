r"""How a caller is written in a file, and which spellings mean the same caller.

A caller is mechanism, realm or domain, and name together, never a bare name.
"""

from typing import Final, cast

from signetrpc.transport import Mechanism

__all__ = ["Principal", "folded", "parse_principal", "principal_key"]

Principal = tuple[Mechanism, str, str]
"""Mechanism, realm or domain, and name."""

_UPPER: Final = {ord(each): each.upper() for each in "abcdefghijklmnopqrstuvwxyz"}
_FORM: Final = '{ mechanism = "...", realm = "...", name = "..." }'


def _upper(text: str) -> str:
    # Beyond ASCII, Unicode folds letters together that Windows keeps apart: "s" and
    # the long s would be one.
    return text.upper() if text.isascii() else text.translate(_UPPER)


def principal_key(mechanism: Mechanism, realm: str, name: str) -> Principal:
    """Return what two spellings of one caller have in common.

    Kerberos compares exactly, escapes included.  With NTLM, ASCII letters compare
    without regard to case, as Windows compares them.
    """
    if mechanism is Mechanism.NTLM:
        return mechanism, _upper(realm), _upper(name)
    return mechanism, realm, name


def folded(principal: Principal) -> Principal:
    """Return what all spellings have in common that may mean one caller.

    More than do: for rules that keep callers out.  Active Directory gives whoever asks
    for a ticket as `ALICE` one in that name, though its user is `alice`.
    """
    mechanism, realm, name = principal
    return mechanism, _upper(realm), _upper(name)


def parse_principal(given: object) -> Principal:
    r"""Read a caller as a TOML file names one.

    Args:
        given: `alice@REALM` for Kerberos, `DOMAIN\alice` for NTLM, or a table of
            mechanism, realm and name for any other.

    Raises:
        ValueError: It names nobody in particular; the text does not repeat it.
    """
    if isinstance(given, dict):
        return _from_table(cast("dict[str, object]", given))
    if not isinstance(given, str):
        raise ValueError(f"text or {_FORM}, not {type(given).__name__}")
    ats, slashes = given.count("@"), given.count("\\")
    if not ats and not slashes:
        raise ValueError(
            r"a name alone may be anybody's: write name@REALM or DOMAIN\name"
        )
    if ats + slashes > 1:
        raise ValueError(f"can be read in more ways than one: write {_FORM}")
    if ats:
        name, _, realm = given.partition("@")
        return _checked(Mechanism.KERBEROS, realm, name)
    domain, _, name = given.partition("\\")
    if not domain:
        raise ValueError(f"the domain is missing; if it has none, write {_FORM}")
    return _checked(Mechanism.NTLM, domain, name)


def _from_table(table: dict[str, object]) -> Principal:
    if table.keys() != {"mechanism", "realm", "name"}:
        raise ValueError(f"a table has the form {_FORM}")
    mechanism, realm, name = table["mechanism"], table["realm"], table["name"]
    if not isinstance(realm, str) or not isinstance(name, str):
        raise ValueError("realm and name are texts")
    if not isinstance(mechanism, str) or mechanism not in set(map(str, Mechanism)):
        raise ValueError(f"there are the mechanisms {', '.join(Mechanism)}")
    return _checked(Mechanism(mechanism), realm, name)


def _checked(mechanism: Mechanism, realm: str, name: str) -> Principal:
    if mechanism is Mechanism.ANONYMOUS:
        raise ValueError("nobody in particular is anonymous")
    if not realm and mechanism is not Mechanism.NTLM:
        raise ValueError("the realm is missing")
    if not name:
        raise ValueError("the name is missing")
    return principal_key(mechanism, realm, name)
