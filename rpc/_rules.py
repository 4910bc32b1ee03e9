"""`Rules`: who may call what, as a file says.

Order never matters: a call may run if a rule allows it and none denies it.  What is not
known of a caller counts against it: a rule that allows a group does not fit whose
groups are unknown, a rule that denies it does.  Otherwise callers would escape by
bringing less along: another mechanism, or impersonation=IDENTIFY.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Final

from ._authorization import AuthorizationRequest
from ._principals import Principal, folded, principal_key
from ._rules_file import Rule, RulesError, RulesFile, read_rules, suggestion

__all__ = ["Rules", "RulesError"]

_SHOWN: Final = 5
"""Rules of which a refusal tells why they do not fit."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """The rules about a method.

    Attributes:
        denying: Of which none may fit.
        allowing: Of which one has to fit.
        open: True if there are none of those, and all who are authenticated may call.
    """

    denying: tuple[Rule, ...]
    allowing: tuple[Rule, ...]
    open: bool


class Rules:
    """An authorizer that does what a TOML file says.

    Format: docs/authorization.md.  The file is read once.

    Attributes:
        source: The name of the file.
        uses_groups: True if a rule asks for groups of this machine, so that callers
            have to be found among its users.
    """

    def __init__(self, file: RulesFile, source: str) -> None:
        """Prepare what `parse` and `from_toml` have read."""
        self.source: Final = source
        self.uses_groups: Final = any(rule.groups for rule in file.rules)
        self._file: Final = file
        # A decision is one or two of these looked up, and the few rules there tried.
        self._everywhere: Final = self._entry("*")
        self._services: Final[Mapping[str, _Entry]] = {
            service: self._entry(f"{service}/*")
            for service in {
                pattern.partition("/")[0]
                for rule in file.rules
                for pattern in rule.patterns
            }
        }
        self._methods: Final[Mapping[tuple[str, str], _Entry]] = {
            (service, method): self._entry(f"{service}/{method}")
            for service, _, method in (
                pattern.partition("/")
                for rule in file.rules
                for pattern in rule.patterns
            )
        }

    @classmethod
    def from_toml(cls, path: str | PathLike[str]) -> "Rules":
        """Read a file.

        Raises:
            OSError: It cannot be read.
            RulesError: It is not well formed; names the line and the key.
        """
        with open(path, "rb") as file:
            content = file.read()
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise RulesError(fspath(path), line, "", "not UTF-8") from None
        return cls.parse(text, fspath(path))

    @classmethod
    def parse(cls, text: str, source: str = "<rules>") -> "Rules":
        """Read a text.

        Args:
            text: TOML.
            source: What errors and refusals call it.

        Raises:
            RulesError: It is not well formed; names the line and the key.
        """
        return cls(read_rules(text, source), source)

    def check(self, method_names: Iterable[str]) -> None:
        """Check that every pattern names something that is served.

        Args:
            method_names: The methods' full names, `bank.Accounts/balance`.

        Raises:
            RulesError: A pattern names a service or a method that is not.
        """
        served = set(method_names)
        served |= {name.partition("/")[0] + "/*" for name in served} | {"*"}
        for rule in self._file.rules:
            for pattern in rule.patterns:
                if pattern not in served:
                    key = f"rule {rule.position}, {'allow' if rule.allows else 'deny'}"
                    hint = suggestion(pattern, served)
                    fact = f"{pattern!r} is not served here{hint}"
                    raise RulesError(self.source, rule.line, key, fact)

    def __call__(self, request: AuthorizationRequest, /) -> bool:
        """Return whether a call may run."""
        entry = self._entry_of(request)
        caller = request.caller
        key = principal_key(caller.mechanism, caller.realm, caller.name)
        if entry.denying:
            wide = folded(key)
            for rule in entry.denying:
                if _misfit(rule, request, wide) is None:
                    return False
        for rule in entry.allowing:
            if _misfit(rule, request, key) is None:
                return True
        return entry.open and not caller.anonymous

    def refusal(self, request: AuthorizationRequest) -> str:
        """Return why a call may not run, for logs; empty if it may.

        Names the file, the line and, where none fits, what each rule misses.
        """
        if self(request):
            return ""
        entry = self._entry_of(request)
        caller = request.caller
        key = principal_key(caller.mechanism, caller.realm, caller.name)
        for rule in entry.denying:
            if _misfit(rule, request, folded(key)) is None:
                return (
                    f"{self.source}, line {rule.line} denies it{_doubts(rule, request)}"
                )
        if not entry.allowing:
            what = "the caller is anonymous" if entry.open else "no rule allows it"
            return f"{self.source}: {what}"
        misses = [
            f"line {rule.line} ({_misfit(rule, request, key)})"
            for rule in entry.allowing[:_SHOWN]
        ]
        if len(entry.allowing) > _SHOWN:
            misses.append(f"{len(entry.allowing) - _SHOWN} more")
        return f"{self.source}: no rule fits: {', '.join(misses)}"

    def __repr__(self) -> str:
        return f"<Rules of {self.source}>"

    def _entry_of(self, request: AuthorizationRequest) -> _Entry:
        found = self._methods.get((request.service, request.method))
        if found is not None:
            return found
        return self._services.get(request.service, self._everywhere)

    def _entry(self, name: str) -> _Entry:
        patterns = {"*", name, name.partition("/")[0] + "/*"}
        about = [
            rule for rule in self._file.rules if not patterns.isdisjoint(rule.patterns)
        ]
        allowing = tuple(rule for rule in about if rule.allows)
        return _Entry(
            denying=tuple(rule for rule in about if not rule.allows),
            allowing=allowing,
            open=self._file.open_by_default and not allowing,
        )


def _misfit(rule: Rule, request: AuthorizationRequest, key: Principal) -> str | None:
    """Return the first condition of a rule that does not hold; None if all do.

    Args:
        rule: Any.
        request: The call.
        key: Who calls, spelt as the rule spells callers.
    """
    caller = request.caller
    # Enums compare faster in a tuple: their hash is Python's work.
    if rule.mechanisms and key[0] not in rule.mechanisms:
        return "mechanisms"
    if rule.realms and key[:2] not in rule.realms:
        return "realms"
    if rule.principals and key not in rule.principals:
        return "principals"
    if rule.sids and (
        rule.sids.isdisjoint(caller.sids) if caller.sids else rule.allows
    ):
        return "sids"
    if rule.groups:
        user = request.local_user
        if user is None or rule.groups.isdisjoint(user.group_names):
            if rule.allows or not _groups_unknown(request):
                return "groups"
    if request.protection < rule.protection:
        return "protection"
    if rule.channel_bound and not caller.channel_bound:
        return "channel_bound"
    return None


def _groups_unknown(request: AuthorizationRequest) -> bool:
    user = request.local_user
    # One without a name may be any: the name service does not always answer.
    return user is None or len(user.group_names) < len(user.groups)


def _doubts(rule: Rule, request: AuthorizationRequest) -> str:
    """Return what a rule that denies did not know and counted against the caller."""
    unknown: list[str] = []
    if rule.sids and not request.caller.sids:
        unknown.append("sids")
    if rule.groups and _groups_unknown(request):
        unknown.append("groups")
    return f" (not known of the caller: {', '.join(unknown)})" if unknown else ""
