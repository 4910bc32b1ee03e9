"""The rules of who may call what, as a TOML file has them: read and checked.

Format: docs/authorization.md.  Whatever could make a rule mean something else than its
writer thinks is an error here: an unknown key, a list that is empty, a principal that
may be two, a condition that can never hold.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from signetrpc.transport import Mechanism, Protection
from signetrpc.transport._pac import is_sid

from ._principals import Principal, folded, parse_principal, principal_key
from ._toml_lines import Path, key_lines, line_of

__all__ = ["Rule", "RulesError", "RulesFile", "read_rules", "suggestion"]

_T = TypeVar("_T")

_TOP_KEYS: Final = ("default", "rule")
_DEMANDS: Final = ("protection", "channel_bound")
_ABOUT_SOMEBODY: Final = ("realms", "principals", "sids", "groups", "channel_bound")
_RULE_KEYS: Final = (
    "allow",
    "deny",
    "mechanisms",
    "realms",
    "principals",
    "sids",
    "groups",
    "protection",
    "channel_bound",
)
_PATTERN: Final = re.compile(
    r"\*|[A-Za-z]\w*(\.[A-Za-z]\w*)*/(\*|[A-Za-z_]\w*)", re.ASCII
)
_ABSENT: Final = object()


class RulesError(ValueError):
    """Rules are not well formed, or name what is not served.

    Attributes:
        source: The file.
        line: From 1.
        key: Where in the document, such as `rule 2, realms`; may be empty.
    """

    def __init__(self, source: str, line: int, key: str, fact: str) -> None:
        self.source = source
        self.line = line
        self.key = key
        super().__init__(f"{source}, line {line}: {key}{': ' if key else ''}{fact}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.  A condition that is not given is empty, and holds.

    Attributes:
        allows: True if it lets callers in, False if it keeps them out.
        line: Of its `allow` or `deny`.
        position: From 1.
        patterns: The methods: `*`, `bank.Accounts/*` or `bank.Accounts/balance`.
        mechanisms: What proved the caller.  All but anonymous in a rule that allows
            and names none.
        realms: Realms and domains, each with its mechanism.
        principals: Callers.
        sids: Security identifiers, of which the caller has one.
        groups: Groups of this machine, of which the local user is in one.
        protection: The lowest level of the call.
        channel_bound: True if only proofs count that are bound to their channel.

    Realms and principals are `folded` where the rule denies.
    """

    allows: bool
    line: int
    position: int
    patterns: tuple[str, ...]
    mechanisms: tuple[Mechanism, ...] = ()
    realms: frozenset[tuple[Mechanism, str]] = frozenset()
    principals: frozenset[Principal] = frozenset()
    sids: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    protection: Protection = Protection.NONE
    channel_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesFile:
    """What a file says.

    Attributes:
        rules: In their order, which means nothing.
        open_by_default: True if methods that no rule allows to anybody are open to
            all who are authenticated.
    """

    rules: tuple[Rule, ...]
    open_by_default: bool


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a hint at what may have been meant, or an empty text."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def read_rules(text: str, source: str) -> RulesFile:
    """Read rules.

    Args:
        text: TOML.
        source: What errors call it: the name of its file.

    Raises:
        RulesError: They are not well formed; names the line and the key.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, source) from None
    return _Reader(text, source).document(document)


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, source: str) -> RulesError:
    # The place is only in the message, until Python 3.14.
    fact, _, place = str(error).rpartition(" (at ")
    found = re.match(r"line (\d+), column (\d+)\)$", place)
    if found is None:
        line = text.rstrip().count("\n") + 1
        return RulesError(source, line, "", f"{fact or error}, at the end of the text")
    return RulesError(source, int(found[1]), "", f"{fact}, at column {found[2]}")


class _Reader:
    """Makes rules of a document's values."""

    def __init__(self, text: str, source: str) -> None:
        self._lines = key_lines(text)
        self._source = source

    def document(self, document: Mapping[str, object]) -> RulesFile:
        self._known(document, _TOP_KEYS, ())
        default = document.get("default", "deny")
        if default not in ("deny", "allow"):
            raise self._error(("default",), 'either "deny" or "allow"')
        tables = document.get("rule", [])
        if not isinstance(tables, list):
            raise self._error(("rule",), "write [[rule]], in double brackets")
        rules = [
            self._rule(position, table)
            for position, table in enumerate(cast("list[object]", tables))
        ]
        return RulesFile(rules=tuple(rules), open_by_default=default == "allow")

    def _rule(self, position: int, given: object) -> Rule:
        at: Path = ("rule", position)
        if not isinstance(given, dict):
            raise self._error(at, "a rule is a table; write [[rule]]")
        table = cast("dict[str, object]", given)
        self._known(table, _RULE_KEYS, at)
        verbs = table.keys() & {"allow", "deny"}
        if len(verbs) != 1:
            found = "both" if verbs else "neither"
            raise self._error(at, f"a rule has either allow or deny, this has {found}")
        (verb,) = verbs
        allows = verb == "allow"
        for key in () if allows else _DEMANDS:
            if key in table:
                fact = "a caller would escape the rule by offering less"
                raise self._error((*at, key), fact)
        mechanisms = self._list(table, (*at, "mechanisms"), _mechanism)
        self._check_conditions(table, at, mechanisms)
        names = self._list(table, (*at, "realms"), _text)
        realms = [
            principal_key(mechanism, realm, "")[:2]
            for mechanism in mechanisms
            for realm in names
        ]

        def principal(each: object) -> Principal:
            found = parse_principal(each)
            if mechanisms and found[0] not in mechanisms:
                raise ValueError(f"{found[0]} is not among the rule's mechanisms")
            if realms and found[:2] not in realms:
                raise ValueError("its realm is not among the rule's realms")
            return found

        principals = self._list(table, (*at, "principals"), principal)
        if not allows:
            realms = [folded((*each, ""))[:2] for each in realms]
            principals = [folded(each) for each in principals]
        elif not mechanisms:
            mechanisms = [each for each in Mechanism if each != Mechanism.ANONYMOUS]
        return Rule(
            allows=allows,
            line=line_of(self._lines, (*at, verb)),
            position=position + 1,
            patterns=tuple(self._list(table, (*at, verb), _pattern)),
            mechanisms=tuple(mechanisms),
            realms=frozenset(realms),
            principals=frozenset(principals),
            sids=frozenset(self._list(table, (*at, "sids"), _sid)),
            groups=frozenset(self._list(table, (*at, "groups"), _text)),
            protection=self._protection(table, (*at, "protection")),
            channel_bound=self._channel_bound(table, (*at, "channel_bound")),
        )

    def _check_conditions(
        self, table: Mapping[str, object], at: Path, mechanisms: list[Mechanism]
    ) -> None:
        """Refuse conditions that mean less, or never hold, beside the others."""
        if "realms" in table and not mechanisms:
            fact = "give mechanisms too: a Kerberos realm and an NTLM domain may share "
            raise self._error((*at, "realms"), f"{fact}a name")
        for key in _ABOUT_SOMEBODY:
            if key in table and Mechanism.ANONYMOUS in mechanisms:
                fact = "never holds for anonymous, which is among the mechanisms"
                raise self._error((*at, key), fact)

    def _list(
        self,
        table: Mapping[str, object],
        at: Path,
        read: Callable[[object], _T],
    ) -> list[_T]:
        """Read the list under the last key of a path; empty if it is not given."""
        values = table.get(str(at[-1]), _ABSENT)
        if values is _ABSENT:
            return []
        if not isinstance(values, list):
            raise self._error(at, f"a list, not {type(values).__name__}")
        if not values:
            raise self._error(at, "the list is empty; leave the key out, or the rule")
        found: list[_T] = []
        for value in cast("list[object]", values):
            try:
                found.append(read(value))
            except ValueError as error:
                raise self._error(at, f"{value!r}: {error}") from None
        return found

    def _protection(self, table: Mapping[str, object], at: Path) -> Protection:
        if at[-1] not in table:
            return Protection.NONE
        levels = {"sign": Protection.SIGN, "seal": Protection.SEAL}
        given = table["protection"]
        if not isinstance(given, str) or given not in levels:
            raise self._error(at, 'either "sign" or "seal"')
        return levels[given]

    def _channel_bound(self, table: Mapping[str, object], at: Path) -> bool:
        if at[-1] not in table:
            return False
        if table["channel_bound"] is not True:
            raise self._error(at, "true, or leave it out")
        return True

    def _known(
        self, table: Mapping[str, object], known: tuple[str, ...], at: Path
    ) -> None:
        for key in table:
            if key not in known:
                fact = f"there is no such key{suggestion(key, known)}"
                raise self._error((*at, key), fact)

    def _error(self, at: Path, fact: str) -> RulesError:
        words = [
            f"rule {each + 1}" if isinstance(each, int) else each
            for each in (at[1:] if len(at) > 1 else at)
        ]
        line = line_of(self._lines, at)
        return RulesError(self._source, line, ", ".join(words), fact)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text, and not empty")
    return value


def _mechanism(value: object) -> Mechanism:
    text = _text(value)
    if text not in set(map(str, Mechanism)):
        raise ValueError(f"there are the mechanisms {', '.join(Mechanism)}")
    return Mechanism(text)


def _sid(value: object) -> str:
    text = _text(value)
    if not is_sid(text):
        raise ValueError("no security identifier; those look like S-1-5-21-1-2-3-513")
    return text


def _pattern(value: object) -> str:
    text = _text(value)
    if _PATTERN.fullmatch(text) is None:
        raise ValueError('like "bank.Accounts/balance", "bank.Accounts/*" or "*"')
    return text
