"""Who may call what by rules; docs/authorization.md says it to people."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc import AuthorizationRequest
from signetrpc.rpc._authorization import decide
from signetrpc.rpc._rules import Rules, RulesError
from signetrpc.transport import ANONYMOUS, Identity, LocalUser, Mechanism, Protection

ALICE = Identity(mechanism=Mechanism.KERBEROS, name="alice", realm="EXAMPLE.COM")
NAMESAKE = Identity(mechanism=Mechanism.KERBEROS, name="alice", realm="EVIL.COM")
CORP_ALICE = Identity(mechanism=Mechanism.NTLM, name="Alice", realm="Corp")
DOMAIN_ALICE = Identity(mechanism=Mechanism.NTLM, name="alice", realm="EXAMPLE.COM")
CERTIFICATE = Identity(mechanism=Mechanism.TLS, name="CN=alice", realm="CN=CA")
EVERYBODY = (ALICE, NAMESAKE, CORP_ALICE, DOMAIN_ALICE, CERTIFICATE)


def request(
    caller: Identity = ALICE,
    name: str = "bank.Accounts/balance",
    protection: Protection = Protection.SIGN,
    user: LocalUser | None = None,
) -> AuthorizationRequest:
    service, _, method = name.partition("/")
    return AuthorizationRequest(
        caller=caller,
        service=service,
        method=method,
        protection=protection,
        local_user=user,
    )


def user(*groups: str, unnamed: int = 0) -> LocalUser:
    ids = tuple(range(1000, 1000 + len(groups) + unnamed))
    return LocalUser(
        name="alice", uid=1000, gid=1000, groups=ids, group_names=tuple(groups)
    )


def sids(*given: str) -> Identity:
    return Identity(
        mechanism=Mechanism.KERBEROS, name="a", realm="R", sids=frozenset(given)
    )


def let_in(rules: Rules, *callers: Identity) -> list[Identity]:
    return [caller for caller in callers if rules(request(caller))]


def allow(conditions: str = "", pattern: str = "*") -> Rules:
    return Rules.parse(f'[[rule]]\nallow = ["{pattern}"]\n{conditions}', "r.toml")


def deny(conditions: str = "", pattern: str = "*") -> Rules:
    return Rules.parse(
        f'default = "allow"\n[[rule]]\ndeny = ["{pattern}"]\n{conditions}', "r.toml"
    )


# What no rule says.


def test_nothing_is_allowed_by_nothing() -> None:
    assert let_in(Rules.parse(""), *EVERYBODY, ANONYMOUS) == []
    assert let_in(Rules.parse('default = "deny"'), *EVERYBODY, ANONYMOUS) == []


def test_the_default_may_be_all_who_are_authenticated() -> None:
    rules = Rules.parse('default = "allow"')
    assert let_in(rules, *EVERYBODY, ANONYMOUS) == [*EVERYBODY]


def test_the_default_is_not_for_methods_that_a_rule_allows_to_some() -> None:
    rules = Rules.parse(
        'default = "allow"\n[[rule]]\nallow = ["bank.Accounts/close"]\n'
        'principals = ["alice@EXAMPLE.COM"]'
    )
    assert rules(request(NAMESAKE, "bank.Accounts/balance"))
    assert not rules(request(NAMESAKE, "bank.Accounts/close"))
    assert rules(request(ALICE, "bank.Accounts/close"))


# Precedence.


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_rule_that_denies_wins_wherever_it_stands(order: tuple[int, int]) -> None:
    texts = [
        '[[rule]]\nallow = ["bank.Accounts/balance"]\n',
        '[[rule]]\ndeny = ["*"]\nprincipals = ["alice@EVIL.COM"]\n',
    ]
    rules = Rules.parse("".join(texts[each] for each in order))
    assert let_in(rules, ALICE, NAMESAKE) == [ALICE]


# Patterns.


def test_patterns() -> None:
    names = ["bank.Accounts/balance", "bank.Accounts/close", "bank.Other/balance"]
    for pattern, expected in {
        "*": names,
        "bank.Accounts/*": names[:2],
        "bank.Accounts/close": names[1:2],
        "bank/*": [],
        "Accounts/*": [],
        "bank.accounts/*": [],
    }.items():
        allowing, denying = allow("", pattern), deny("", pattern)
        assert [name for name in names if allowing(request(name=name))] == expected
        assert [name for name in names if not denying(request(name=name))] == expected


def test_rules_for_all_for_a_service_and_for_a_method_add_up() -> None:
    rules = Rules.parse(
        '[[rule]]\nallow = ["a.B/c"]\nprincipals = ["alice@EXAMPLE.COM"]\n'
        '[[rule]]\nallow = ["a.B/*"]\nprincipals = ["alice@EVIL.COM"]\n'
        "[[rule]]\nallow = [\"*\"]\nprincipals = ['CORP\\alice']\n"
    )

    def callers(name: str) -> list[Identity]:
        return [each for each in EVERYBODY if rules(request(each, name))]

    assert callers("a.B/c") == [ALICE, NAMESAKE, CORP_ALICE]
    assert callers("a.B/d") == [NAMESAKE, CORP_ALICE]
    assert callers("a.C/c") == [CORP_ALICE]


# Conditions.


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ("", [*EVERYBODY]),
        ('mechanisms = ["anonymous"]', [ANONYMOUS]),
        ('mechanisms = ["kerberos"]', [ALICE, NAMESAKE]),
        ('mechanisms = ["ntlm", "tls"]', [CORP_ALICE, DOMAIN_ALICE, CERTIFICATE]),
        ('mechanisms = ["kerberos"]\nrealms = ["EXAMPLE.COM"]', [ALICE]),
        ('mechanisms = ["kerberos"]\nrealms = ["example.com"]', []),
        ('mechanisms = ["ntlm"]\nrealms = ["CORP", "example.com"]', [*EVERYBODY[2:4]]),
        ('principals = ["alice@EXAMPLE.COM"]', [ALICE]),
        ('principals = ["Alice@EXAMPLE.COM", "alice@example.com"]', []),
        ("principals = ['CORP\\ALICE']", [CORP_ALICE]),
        (
            'principals = [{ mechanism = "tls", realm = "CN=CA", name = "CN=alice" }]',
            [CERTIFICATE],
        ),
    ],
)
def test_who_a_rule_is_about(conditions: str, expected: list[Identity]) -> None:
    assert let_in(allow(conditions), *EVERYBODY, ANONYMOUS) == expected


def test_all_conditions_must_hold() -> None:
    rules = allow('mechanisms = ["kerberos"]\ngroups = ["staff"]\nprotection = "seal"')
    seal = Protection.SEAL
    assert rules(request(protection=seal, user=user("staff")))
    assert not rules(request(protection=seal, user=user("guests")))
    assert not rules(request(user=user("staff")))
    assert not rules(request(CORP_ALICE, protection=seal, user=user("staff")))


def test_a_level_is_the_least() -> None:
    sign, seal = allow('protection = "sign"'), allow('protection = "seal"')
    for level in Protection:
        assert sign(request(protection=level)) is (level >= Protection.SIGN)
        assert seal(request(protection=level)) is (level >= Protection.SEAL)


def test_a_bound_channel() -> None:
    bound = Identity(
        mechanism=Mechanism.KERBEROS, name="a", realm="R", channel_bound=True
    )
    assert let_in(allow("channel_bound = true"), ALICE, bound) == [bound]


def test_one_identifier_of_several_is_enough() -> None:
    rules = allow('sids = ["S-1-5-32-544", "S-1-5-32-545"]')
    callers = [sids("S-1-5-32-545", "S-1-1-0"), sids("S-1-1-0"), sids()]
    assert let_in(rules, *callers) == callers[:1]


def test_one_group_of_several_is_enough() -> None:
    rules = allow('groups = ["staff", "tellers"]')
    assert rules.uses_groups
    assert not allow().uses_groups
    assert rules(request(user=user("audio", "tellers")))
    assert not rules(request(user=user("audio")))
    assert not rules(request(user=user(unnamed=3)))
    assert not rules(request(user=None))


# Keeping out: what is not known counts against the caller.


def test_whose_groups_are_unknown_is_kept_out_with_those_kept_out() -> None:
    rules = deny('groups = ["guests"]')
    assert not rules(request(user=user("guests")))
    assert not rules(request(user=None))
    assert not rules(request(user=user("staff", unnamed=1)))
    assert rules(request(user=user("staff")))


def test_whose_identifiers_are_unknown_is_kept_out_with_those_kept_out() -> None:
    rules = deny('sids = ["S-1-5-32-546"]')
    callers = [sids("S-1-5-32-546"), sids(), sids("S-1-5-32-545")]
    assert let_in(rules, *callers) == callers[2:]


def test_no_spelling_of_a_name_that_is_kept_out_gets_in() -> None:
    rules = deny("principals = ['alice@Example.com', 'CORP\\alice']")
    shouting = Identity(mechanism=Mechanism.KERBEROS, name="ALICE", realm="EXAMPLE.COM")
    callers = (*EVERYBODY, shouting)
    assert let_in(rules, *callers) == [NAMESAKE, DOMAIN_ALICE, CERTIFICATE]
    realm = deny('mechanisms = ["kerberos"]\nrealms = ["example.com"]')
    assert let_in(realm, *callers) == [NAMESAKE, *EVERYBODY[2:]]


def test_a_rule_that_denies_may_be_about_nobody_else() -> None:
    assert let_in(deny(), *EVERYBODY, ANONYMOUS) == []
    rules = deny('mechanisms = ["ntlm"]')
    assert let_in(rules, *EVERYBODY) == [ALICE, NAMESAKE, CERTIFICATE]


# Whatever the file.

_PATTERNS = ("*", "a.B/*", "a.B/c", "a.B/d", "a.C/*", "a.C/c")
_CONDITIONS: dict[str, Callable[[AuthorizationRequest], bool]] = {
    "": lambda asked: True,
    'mechanisms = ["kerberos"]': lambda asked: asked.caller is ALICE,
    'principals = ["alice@EVIL.COM"]': lambda asked: False,
}
_Written = tuple[str, str, str]


def _fits(rule: _Written, asked: AuthorizationRequest) -> bool:
    _, pattern, condition = rule
    name = f"{asked.service}/{asked.method}"
    return fnmatchcase(name, pattern) and _CONDITIONS[condition](asked)


@given(
    written=st.lists(
        st.tuples(
            st.sampled_from(["allow", "deny"]),
            st.sampled_from(_PATTERNS),
            st.sampled_from([*_CONDITIONS]),
        ),
        max_size=5,
    ),
    default=st.sampled_from(["allow", "deny"]),
    name=st.sampled_from(["a.B/c", "a.B/d", "a.B/e", "a.C/c", "a.D/c"]),
    caller=st.sampled_from([ALICE, CORP_ALICE]),
)
def test_a_decision_is_what_the_document_says(
    written: list[_Written], default: str, name: str, caller: Identity
) -> None:
    rules = Rules.parse(
        f'default = "{default}"\n'
        + "".join(
            f'[[rule]]\n{verb} = ["{pattern}"]\n{condition}\n'
            for verb, pattern, condition in written
        )
    )
    asked = request(caller, name)
    fitting = [rule[0] for rule in written if _fits(rule, asked)]
    named = any(
        verb == "allow" and fnmatchcase(name, pattern) for verb, pattern, _ in written
    )
    expected = "deny" not in fitting and (
        "allow" in fitting or (default == "allow" and not named)
    )
    assert rules(asked) is expected
    assert bool(rules.refusal(asked)) is not expected


# Why not.


@pytest.mark.parametrize(
    ("rules", "asked", "reason"),
    [
        (allow(), request(), ""),
        (Rules.parse("", "r.toml"), request(), "r.toml: no rule allows it"),
        (allow("", "a.B/*"), request(), "r.toml: no rule allows it"),
        (deny("", "a.B/*"), request(ANONYMOUS), "r.toml: the caller is anonymous"),
        (
            Rules.parse('default = "deny"', "r.toml"),
            request(ANONYMOUS),
            "r.toml: no rule allows it",
        ),
        (
            Rules.parse(
                '[[rule]]\nallow = ["*"]\ngroups = ["a"]\n[[rule]]\n'
                'allow = ["bank.Accounts/*"]\nprotection = "seal"',
                "r.toml",
            ),
            request(),
            "r.toml: no rule fits: line 2 (groups), line 5 (protection)",
        ),
        (
            Rules.parse('[[rule]]\nallow = ["*"]\nsids = ["S-1-1-0"]\n' * 7, "r.toml"),
            request(),
            "r.toml: no rule fits: line 2 (sids), line 5 (sids), line 8 (sids), "
            "line 11 (sids), line 14 (sids), 2 more",
        ),
        (deny(), request(), "r.toml, line 3 denies it"),
        (deny('sids = ["S-1-1-0"]'), request(sids("S-1-1-0")), "line 3 denies it"),
        (deny('groups = ["a"]'), request(user=user("a")), "line 3 denies it"),
        (
            Rules.parse(
                '[[rule]]\ndeny = ["*"]\nmechanisms = ["tls"]\n'
                '[[rule]]\ndeny = ["*"]\nmechanisms = ["kerberos"]',
                "r.toml",
            ),
            request(),
            "r.toml, line 5 denies it",
        ),
        (
            deny('sids = ["S-1-1-0"]\ngroups = ["a"]'),
            request(),
            "line 3 denies it (not known of the caller: sids, groups)",
        ),
    ],
)
def test_reasons_name_the_rule(
    rules: Rules, asked: AuthorizationRequest, reason: str
) -> None:
    assert rules.refusal(asked).endswith(reason)
    assert bool(rules.refusal(asked)) is not rules(asked)
    assert (decide(rules, asked) or "") == rules.refusal(asked)


@pytest.mark.parametrize(
    ("conditions", "caller"),
    [
        ('mechanisms = ["ntlm"]', ALICE),
        ('mechanisms = ["kerberos"]\nrealms = ["R"]', ALICE),
        ('principals = ["bob@EXAMPLE.COM"]', ALICE),
        ('sids = ["S-1-1-0"]', ALICE),
        ('groups = ["staff"]', ALICE),
        ('protection = "seal"', ALICE),
        ("channel_bound = true", ALICE),
    ],
)
def test_reasons_name_the_condition(conditions: str, caller: Identity) -> None:
    condition = conditions.splitlines()[-1].partition(" ")[0]
    reason = allow(conditions).refusal(request(caller))
    assert reason == f"r.toml: no rule fits: line 2 ({condition})"


# Names that are not served.

SERVED = ["bank.Accounts/balance", "bank.Accounts/close", "Health/check"]


@pytest.mark.parametrize("pattern", ["*", "bank.Accounts/*", *SERVED])
def test_patterns_that_are_served(pattern: str) -> None:
    rules = allow("", pattern)
    rules.check(iter(SERVED))
    deny("", pattern).check(SERVED)


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("bank.Accounts/balances", "; did you mean 'bank.Accounts/balance'?"),
        ("bank.Account/*", "; did you mean 'bank.Accounts/*'?"),
        ("mint.Coins/*", ""),
        ("Health/watch_everything", ""),
    ],
)
def test_patterns_that_are_not_served(pattern: str, hint: str) -> None:
    text = f'[[rule]]\nallow = ["*"]\n\n[[rule]]\n\ndeny = ["{pattern}"]'
    with pytest.raises(RulesError) as caught:
        Rules.parse(text, "r.toml").check(SERVED)
    assert str(caught.value) == (
        f"r.toml, line 6: rule 2, deny: {pattern!r} is not served here{hint}"
    )


def test_rules_say_where_they_are_from(tmp_path: Path) -> None:
    assert repr(allow()) == "<Rules of r.toml>"
    path = tmp_path / "mine.toml"
    path.write_text('[[rule]]\nallow = ["*"]\nprincipals = ["älli@R"]\n', "utf-8")
    rules = Rules.from_toml(path)
    assert rules.source == str(path)
    assert let_in(rules, ALICE) == []
