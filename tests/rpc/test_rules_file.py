"""What a file of rules may say, and that everything else is told by line and key."""

import json
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc._rules import Rules
from signetrpc.rpc._rules_file import Rule, RulesError, read_rules
from signetrpc.transport import Mechanism, Protection

KERBEROS, NTLM = Mechanism.KERBEROS, Mechanism.NTLM
EVERYBODY = (KERBEROS, NTLM, Mechanism.TLS)

FULL = r"""
default = "allow"

[[rule]]
allow = ["bank.Accounts/*", "*"]
mechanisms = ["kerberos", "ntlm"]
realms = ["Example.com"]
principals = ["alice@Example.com", 'example.COM\Bob']
sids = ["S-1-5-21-1-2-3-513"]
groups = ["staff"]
protection = "seal"
channel_bound = true

[[rule]]
deny = ["bank.Accounts/balance"]
mechanisms = ["kerberos"]
realms = ["Example.com"]
principals = ["alice@Example.com"]
"""


def test_everything_that_can_be_said() -> None:
    file = read_rules(FULL, "rules.toml")
    assert file.open_by_default
    assert file.rules == (
        Rule(
            allows=True,
            line=5,
            position=1,
            patterns=("bank.Accounts/*", "*"),
            mechanisms=(KERBEROS, NTLM),
            realms=frozenset({(KERBEROS, "Example.com"), (NTLM, "EXAMPLE.COM")}),
            principals=frozenset(
                {(KERBEROS, "Example.com", "alice"), (NTLM, "EXAMPLE.COM", "BOB")}
            ),
            sids=frozenset({"S-1-5-21-1-2-3-513"}),
            groups=frozenset({"staff"}),
            protection=Protection.SEAL,
            channel_bound=True,
        ),
        Rule(
            allows=False,
            line=15,
            position=2,
            patterns=("bank.Accounts/balance",),
            mechanisms=(KERBEROS,),
            realms=frozenset({(KERBEROS, "EXAMPLE.COM")}),
            principals=frozenset({(KERBEROS, "EXAMPLE.COM", "ALICE")}),
        ),
    )


def test_nothing_said_is_nothing_asked() -> None:
    assert read_rules("", "x").rules == ()
    assert not read_rules("", "x").open_by_default
    assert not read_rules('default = "deny"', "x").open_by_default
    text = '[[rule]]\nallow = ["*"]\n[[rule]]\ndeny = ["*"]'
    allow, deny = read_rules(text, "x").rules
    assert allow == Rule(
        allows=True, line=2, position=1, patterns=("*",), mechanisms=EVERYBODY
    )
    assert deny == Rule(allows=False, line=4, position=2, patterns=("*",))


@pytest.mark.parametrize(
    ("text", "line", "key", "fact"),
    [
        # The top.
        ("\nrules = 1", 2, "rules", "there is no such key; did you mean 'rule'?"),
        ("zzz = 1", 1, "zzz", "there is no such key"),
        ('\n\ndefault = "maybe"', 3, "default", 'either "deny" or "allow"'),
        ("default = []", 1, "default", 'either "deny" or "allow"'),
        ('[rule]\nallow = ["*"]', 1, "rule", "write [[rule]], in double brackets"),
        ('rule.allow = ["*"]', 1, "rule", "write [[rule]], in double brackets"),
        ("\nrule = [1]", 2, "rule 1", "a rule is a table; write [[rule]]"),
        # A rule.
        ("[[rule]]", 1, "rule 1", "a rule has either allow or deny, this has neither"),
        (
            '#\n[[rule]]\nallow = ["*"]\n[[rule]]\nallow = ["*"]\ndeny = ["*"]',
            4,
            "rule 2",
            "a rule has either allow or deny, this has both",
        ),
        (
            '[[rule]]\nallow = ["*"]\nprincipal = ["a@R"]',
            3,
            "rule 1, principal",
            "there is no such key; did you mean 'principals'?",
        ),
        (
            '[[rule]]\nallow = ["*"]\nrealms.kerberos = ["R"]',
            3,
            "rule 1, realms",
            "give mechanisms too: a Kerberos realm and an NTLM domain may share a name",
        ),
        (
            '[[rule]]\nallow = ["*"]\n[rule.groups]\nname = "staff"',
            3,
            "rule 1, groups",
            "a list, not dict",
        ),
        (
            'rule = [{ allow = ["*"] }, { allow = ["*"], group = ["x"] }]',
            1,
            "rule 2, group",
            "there is no such key; did you mean 'groups'?",
        ),
        # Lists.
        ('[[rule]]\nallow = "*"', 2, "rule 1, allow", "a list, not str"),
        (
            "[[rule]]\ndeny = [\n]",
            2,
            "rule 1, deny",
            "the list is empty; leave the key out, or the rule",
        ),
        (
            '[[rule]]\nallow = ["*"]\ngroups = [""]',
            3,
            "rule 1, groups",
            "'': text, and not empty",
        ),
        (
            '[[rule]]\nallow = ["*"]\ngroups = [100]',
            3,
            "rule 1, groups",
            "100: text, and not empty",
        ),
        (
            '[[rule]]\nallow = [ # which\n  "*",\n  # and\n  "bank"\n]',
            2,
            "rule 1, allow",
            '\'bank\': like "bank.Accounts/balance", "bank.Accounts/*" or "*"',
        ),
        # Conditions.
        (
            '[[rule]]\nallow = ["*"]\nmechanisms = ["kerberos", "ldap"]',
            3,
            "rule 1, mechanisms",
            "'ldap': there are the mechanisms kerberos, ntlm, tls, anonymous",
        ),
        (
            '[[rule]]\nallow = ["*"]\nprincipals = [\n"a@R",\n"b"]',
            3,
            "rule 1, principals",
            r"'b': a name alone may be anybody's: write name@REALM or DOMAIN\name",
        ),
        (
            '[[rule]]\nallow = ["*"]\n\nsids = ["s-1-5-32-544"]',
            4,
            "rule 1, sids",
            "'s-1-5-32-544': no security identifier; those look like "
            "S-1-5-21-1-2-3-513",
        ),
        (
            '[[rule]]\nallow = ["*"]\nprotection = "none"',
            3,
            "rule 1, protection",
            'either "sign" or "seal"',
        ),
        (
            '[[rule]]\nallow = ["*"]\nprotection = ["seal"]',
            3,
            "rule 1, protection",
            'either "sign" or "seal"',
        ),
        (
            '[[rule]]\nallow = ["*"]\nchannel_bound = false',
            3,
            "rule 1, channel_bound",
            "true, or leave it out",
        ),
        # Conditions that do not go together.
        (
            '[[rule]]\nallow = ["*"]\nrealms = ["CORP"]',
            3,
            "rule 1, realms",
            "give mechanisms too: a Kerberos realm and an NTLM domain may share a name",
        ),
        (
            '[[rule]]\nallow = ["*"]\nmechanisms = ["ntlm"]\nprincipals = ["a@R"]',
            4,
            "rule 1, principals",
            "'a@R': kerberos is not among the rule's mechanisms",
        ),
        (
            '[[rule]]\nallow = ["*"]\nmechanisms = ["kerberos"]\nrealms = ["R"]\n'
            'principals = ["a@R", "a@r"]',
            5,
            "rule 1, principals",
            "'a@r': its realm is not among the rule's realms",
        ),
        (
            '[[rule]]\ndeny = ["*"]\nprotection = "seal"',
            3,
            "rule 1, protection",
            "a caller would escape the rule by offering less",
        ),
        (
            '[[rule]]\ndeny = ["*"]\nchannel_bound = true',
            3,
            "rule 1, channel_bound",
            "a caller would escape the rule by offering less",
        ),
        (
            '[[rule]]\nallow = ["*"]\nmechanisms = ["anonymous"]\ngroups = ["x"]',
            4,
            "rule 1, groups",
            "never holds for anonymous, which is among the mechanisms",
        ),
        # What tomllib finds.
        ("\n[[rule]\n", 2, "", "at column 7"),
        ('x = "\x01"', 1, "", "at column 6"),
        ("a = 1\na = 2\nb = 3", 2, "", "at column 6"),
        ("[[rule]]\nallow = [\n", 2, "", "at the end of the text"),
    ],
)
def test_errors_name_line_and_key(text: str, line: int, key: str, fact: str) -> None:
    with pytest.raises(RulesError) as caught:
        read_rules(text, "rules.toml")
    error = caught.value
    assert (error.source, error.line, error.key) == ("rules.toml", line, key)
    place = f"rules.toml, line {line}: " + (f"{key}: {fact}" if key else "")
    assert str(error).startswith(place)
    assert str(error).endswith(fact)


@pytest.mark.parametrize(
    "key", ["realms", "principals", "sids", "groups", "channel_bound"]
)
def test_nobody_anonymous_is_somebody(key: str) -> None:
    text = f'[[rule]]\nallow = ["*"]\nmechanisms = ["tls", "anonymous"]\n{key} = 1'
    with pytest.raises(RulesError, match="never holds for anonymous"):
        read_rules(text, "x")


@pytest.mark.parametrize(
    "pattern", ["bank", "bank/", "/x", "*/x", "b*/x", "bank/x*", "bank//x", "a/b/c", ""]
)
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(RulesError, match="rule 1, allow"):
        read_rules(f'[[rule]]\nallow = ["{pattern}"]', "x")


_TEXTS = st.sampled_from(
    ["*", "a.B/c", "kerberos", "ntlm", "R", "a@R", "seal", "", "x"]
)
_VALUES = st.recursive(
    st.one_of(_TEXTS, st.booleans(), st.integers(-9, 9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["mechanism", "name", "x"]), inner, max_size=2),
    ),
    max_leaves=4,
)
_KEYS = st.sampled_from(
    "allow deny mechanisms realms principals sids groups protection x".split()
)


def _toml(value: object) -> str:
    match value:
        case list():
            items = ",\n".join(map(_toml, cast("list[object]", value)))
            return f"[\n{items}\n]" if items else "[]"
        case dict():
            table = cast("dict[str, object]", value)
            pairs = (f"{key} = {_flat(each)}" for key, each in table.items())
            return f"{{ {', '.join(pairs)} }}"
        case _:
            return json.dumps(value)


def _flat(value: object) -> str:
    return _toml(value).replace("\n", "")  # no text here has a line end


@given(st.lists(st.dictionaries(_KEYS, _VALUES, max_size=4), max_size=3))
def test_whatever_is_written_gives_rules_or_a_line(
    written: list[dict[str, object]],
) -> None:
    text, lines = "", dict[str, int]()
    for position, rule in enumerate(written, 1):
        lines[f"rule {position}"] = text.count("\n") + 1
        text += "[[rule]]\n"
        for key, value in rule.items():
            lines[f"rule {position}, {key}"] = text.count("\n") + 1
            text += f"{key} = {_toml(value)}\n"
    try:
        file = read_rules(text, "x")
    except RulesError as error:
        assert error.line == lines[error.key]
    else:
        assert len(file.rules) == len(written)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(b"# one\n# two \xff\n")
    with pytest.raises(RulesError, match=r"rules\.toml, line 2: not UTF-8$"):
        Rules.from_toml(path)
    with pytest.raises(FileNotFoundError):
        Rules.from_toml(tmp_path / "none.toml")
