"""The rules that say which local user a caller is."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc import Identity, Mechanism
from signetrpc.rpc._mapping import (
    AuthToLocal,
    DomainNames,
    MappingError,
    NameMapping,
    UserTable,
    first_match,
)
from signetrpc.transport import ANONYMOUS
from signetrpc.transport._local_names import LocalNameError
from tests.support.parts import Part, require

KERBEROS, NTLM, TLS = Mechanism.KERBEROS, Mechanism.NTLM, Mechanism.TLS


def caller(mechanism: Mechanism, realm: str, name: str) -> Identity:
    """Return an identity."""
    return Identity(mechanism=mechanism, realm=realm, name=name)


ALICE = caller(KERBEROS, "EXAMPLE.COM", "alice")

# Several rules.


def always(name: str | None) -> NameMapping:
    """Return a rule that knows everybody as one user, or nobody."""

    def rule(caller: Identity, /) -> str | None:
        return name

    return rule


def test_the_first_rule_that_knows_decides() -> None:
    assert first_match([always(None), always("a"), always("b")], ALICE) == "a"
    assert first_match(always("a"), ALICE) == "a"
    assert first_match([], ALICE) is None
    assert first_match(always(None), ALICE) is None


def test_an_empty_name_is_an_answer() -> None:
    assert first_match([always(""), always("b")], ALICE) == ""


def test_an_error_is_not_passed_over() -> None:
    def broken(caller: Identity, /) -> str | None:
        raise OSError("no directory")

    with pytest.raises(OSError, match="no directory"):
        first_match([broken, always("b")], ALICE)


# auth_to_local.


@pytest.fixture
def krb5_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have EXAMPLE.COM be the default realm."""
    require(Part.GSSAPI)  # which stands on libkrb5
    path = tmp_path / "krb5.conf"
    path.write_text("[libdefaults]\ndefault_realm = EXAMPLE.COM\n")
    monkeypatch.setenv("KRB5_CONFIG", str(path))
    return path


def test_auth_to_local_is_for_kerberos_alone(krb5_config: Path) -> None:
    rule = AuthToLocal()
    assert rule(ALICE) == "alice"
    assert rule(caller(KERBEROS, "EXAMPLE.NET", "alice")) is None
    assert rule(caller(KERBEROS, "EXAMPLE.COM", "alice/admin")) is None
    for mechanism in (NTLM, TLS):
        assert rule(caller(mechanism, "EXAMPLE.COM", "alice")) is None
    # As a certificate's subject may read.
    assert rule(caller(TLS, "", "alice@EXAMPLE.COM")) is None
    assert rule(ANONYMOUS) is None
    assert repr(rule) == "AuthToLocal()"


def test_a_principal_without_realm_gets_no_default_one(krb5_config: Path) -> None:
    assert AuthToLocal()(caller(KERBEROS, "", "alice")) is None
    assert AuthToLocal()(caller(KERBEROS, "", "alice@EXAMPLE.COM")) is None


def test_a_broken_configuration_is_an_error(krb5_config: Path) -> None:
    krb5_config.write_text("[realms\n")
    with pytest.raises(LocalNameError):
        AuthToLocal()(ALICE)


# Tables.

TABLE = UserTable(
    {
        (KERBEROS, "EXAMPLE.COM", "alice"): "alice",
        (KERBEROS, "EXAMPLE.ORG", "alice"): "alice-org",
        (KERBEROS, "EXAMPLE.COM", r"a\/b"): "quoted",
        (KERBEROS, "EXAMPLE.COM", "a/b"): "two-parts",
        (NTLM, "Corp", "Alice"): "corp-alice",
        (NTLM, "", "guest1"): "no-domain",
        (TLS, "CN=Our CA", "CN=alice,O=Us"): "certified",
    }
)


@pytest.mark.parametrize(
    ("mechanism", "realm", "name", "local"),
    [
        (KERBEROS, "EXAMPLE.COM", "alice", "alice"),
        (KERBEROS, "EXAMPLE.ORG", "alice", "alice-org"),
        (KERBEROS, "EXAMPLE.NET", "alice", None),
        (KERBEROS, "example.com", "alice", None),
        (KERBEROS, "EXAMPLE.COM", "Alice", None),
        (KERBEROS, "CORP", "ALICE", None),
        (KERBEROS, "EXAMPLE.COM", r"a\/b", "quoted"),
        (KERBEROS, "EXAMPLE.COM", "a/b", "two-parts"),
        (KERBEROS, "", "alice", None),
        (NTLM, "CORP", "alice", "corp-alice"),
        (NTLM, "corp", "ALICE", "corp-alice"),
        (NTLM, "EXAMPLE.COM", "alice", None),
        (NTLM, "", "alice", None),
        (NTLM, "", "guest1", "no-domain"),
        (NTLM, "CORP", "guest1", None),
        (TLS, "CN=Our CA", "CN=alice,O=Us", "certified"),
        (TLS, "CN=Other CA", "CN=alice,O=Us", None),
        (TLS, "EXAMPLE.COM", "alice", None),
    ],
)
def test_a_table_looks_at_all_three(
    mechanism: Mechanism, realm: str, name: str, local: str | None
) -> None:
    assert TABLE(caller(mechanism, realm, name)) == local


def test_nobody_in_particular_is_in_no_table() -> None:
    assert TABLE(ANONYMOUS) is None
    with pytest.raises(ValueError, match="nobody in particular"):
        UserTable({(Mechanism.ANONYMOUS, "", "x"): "alice"})


@pytest.mark.parametrize("other", ["ſam", "SAM\u0131", "ﬁsam", "sam ", "s\u0307am"])
def test_only_ascii_letters_fold(other: str) -> None:
    table = UserTable({(NTLM, "CORP", "sam"): "sam", (NTLM, "CORP", "strasse"): "x"})
    assert table(caller(NTLM, "CORP", other)) is None
    assert table(caller(NTLM, "CORP", "straße")) is None
    assert table(caller(NTLM, "CORP", "SAM")) == "sam"


@given(st.text(max_size=8), st.text(max_size=8))
def test_folding_never_moves_the_border_of_realm_and_name(a: str, b: str) -> None:
    table = UserTable({(NTLM, a, b + "x"): "found"})
    assert table(caller(NTLM, a, b + "X")) == "found"
    assert table(caller(NTLM, a + b, "x")) == ("found" if not b else None)


def test_a_table_does_not_follow_its_source() -> None:
    source = {(KERBEROS, "EXAMPLE.COM", "alice"): "alice"}
    table = UserTable(source)
    source[KERBEROS, "EXAMPLE.COM", "alice"] = "root"
    assert table(ALICE) == "alice"
    assert repr(table) == "UserTable(<1 users>)"


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ({(KERBEROS, "", "alice"): "alice"}, "realm is missing"),
        ({(KERBEROS, "R", ""): "alice"}, "name is empty"),
        ({(KERBEROS, "R", "alice"): ""}, "local user is empty"),
        ({(NTLM, "R", "a"): "x", (NTLM, "r", "A"): "y"}, "twice"),
    ],
)
def test_a_wrong_table_is_refused(
    users: dict[tuple[Mechanism, str, str], str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        UserTable(users)


# Tables from files.

_FILE = r"""
# Who is who here.
[kerberos."EXAMPLE.COM"]
alice = "alice"
"backup/files.example.com" = "backup"
'a\/b' = "quoted"

[ntlm]
corp = { alice = "corp-alice" }

[tls."CN=Our CA"]
"CN=alice,O=Us" = "certified"
"""


def table_of(folder: Path, text: str) -> UserTable:
    """Return the table of a file."""
    path = folder / "users.toml"
    path.write_bytes(text.encode())
    return UserTable.from_file(path)


def test_a_table_from_a_file(tmp_path: Path) -> None:
    table = table_of(tmp_path, _FILE)
    assert table(ALICE) == "alice"
    backup = caller(KERBEROS, "EXAMPLE.COM", "backup/files.example.com")
    assert table(backup) == "backup"
    assert table(caller(KERBEROS, "EXAMPLE.COM", r"a\/b")) == "quoted"
    assert table(caller(NTLM, "CORP", "Alice")) == "corp-alice"
    assert table(caller(TLS, "CN=Our CA", "CN=alice,O=Us")) == "certified"
    assert table(caller(NTLM, "EXAMPLE.COM", "alice")) is None
    assert table_of(tmp_path, "")(ALICE) is None


_WRONG = [
    ('[kerberos."A"]\nx = 5\n', 2, "kerberos.A.x: a local user is text, not int"),
    ('[kerberos."A"]\nx = ""\n', 2, "kerberos.A.x: the local user is empty"),
    ('[kerberos.""]\nx = "x"\n', 2, "the realm is missing"),
    ('\n[kerberos."A"]\n"" = "x"\n', 3, "the caller's name is empty"),
    ('[kerberos]\nalice = "alice"\n', 2, "kerberos.alice: not a table; write [kerb"),
    ('alice = "alice"\n', 1, "alice: not a table; write [kerberos."),
    ('[kerberus."A"]\nx = "x"\n', 2, "no mechanism; there are kerberos, ntlm, "),
    ('[anonymous."A"]\nx = "x"\n', 2, "nobody in particular is anonymous"),
    ('[ntlm.C]\nx = "x"\n[ntlm.c]\nX = "y"\n', 4, "ntlm.c.X: the caller is there alr"),
    ('[ntlm.C]\nx = "x"\nx = "y"\n', 3, "overwrite"),
    ('[ntlm.C]\nx = """\nx\n"""\ny = 1\n', 5, "not int"),
    ("[ntlm.C]\nx = [\n  1,\n]", 2, "not list"),
    ("[ntlm.C.x]\ny = 1\n", 1, "not dict"),
    ("[ntlm.C", 1, ""),
]


@pytest.mark.parametrize(("text", "line", "said"), _WRONG)
def test_errors_name_file_line_and_key(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(MappingError) as caught:
        table_of(tmp_path, text)
    words = str(caught.value)
    assert words.startswith(str(tmp_path / "users.toml"))
    assert f"line {line}" in words or "end of document" in words
    assert said in words


def test_a_mistake_in_a_long_file_is_found_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    loads = tomllib.loads

    def counting(text: str) -> dict[str, Any]:
        nonlocal read
        read += len(text)
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", counting)
    users = "".join(f'u{number} = "u"\n' for number in range(500))
    text = f"[ntlm.C]\n{users}z = 1\n"
    with pytest.raises(MappingError, match="line 502: ntlm.C.z"):
        table_of(tmp_path, text)
    assert read < 3 * len(text)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_bytes(b'[ntlm.C]\nx = "\xff"\n')
    with pytest.raises(MappingError, match="utf-8"):
        UserTable.from_file(path)
    with pytest.raises(FileNotFoundError):
        UserTable.from_file(tmp_path / "none.toml")


# Domain names.


def test_the_names_of_a_domain() -> None:
    rule = DomainNames({"CORP.EXAMPLE.COM": "CORP"})
    assert rule(caller(NTLM, "CORP", "alice")) == r"CORP\alice"
    assert rule(caller(KERBEROS, "CORP.EXAMPLE.COM", "alice")) == r"CORP\alice"
    assert rule(caller(KERBEROS, "CORP.EXAMPLE.COM", "pc7$")) == r"CORP\pc7$"
    assert repr(rule) == "DomainNames({'CORP.EXAMPLE.COM': 'CORP'})"


@pytest.mark.parametrize(
    ("mechanism", "realm", "name"),
    [
        (KERBEROS, "EXAMPLE.COM", "alice"),
        (KERBEROS, "corp.example.com", "alice"),
        (KERBEROS, "CORP", "alice"),
        (KERBEROS, "", "alice"),
        (KERBEROS, "CORP.EXAMPLE.COM", "host/files"),
        (KERBEROS, "CORP.EXAMPLE.COM", r"OTHER\\alice"),
        (KERBEROS, "CORP.EXAMPLE.COM", r"alice\@other.com"),
        (KERBEROS, "CORP.EXAMPLE.COM", "alice@x"),
        (KERBEROS, "CORP.EXAMPLE.COM", ""),
        (NTLM, "", "alice"),
        (NTLM, "", r"CORP\alice"),
        (NTLM, r"CORP\x", "alice"),
        (NTLM, "CORP", r"x\alice"),
        (NTLM, "CORP", ""),
        (TLS, "CORP", "alice"),
        (Mechanism.ANONYMOUS, "CORP", "alice"),
    ],
)
def test_everybody_else_is_in_no_domain(
    mechanism: Mechanism, realm: str, name: str
) -> None:
    rule = DomainNames({"CORP.EXAMPLE.COM": "CORP"})
    assert rule(caller(mechanism, realm, name)) is None


def test_without_realms_nobody_comes_by_kerberos() -> None:
    assert DomainNames()(caller(NTLM, "CORP", "alice")) == r"CORP\alice"
    assert DomainNames()(caller(KERBEROS, "CORP", "alice")) is None


@pytest.mark.parametrize("realms", [{"": "CORP"}, {"R": ""}, {"R": "A\\B"}])
def test_a_wrong_domain_is_refused(realms: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot have the domain"):
        DomainNames(realms)
