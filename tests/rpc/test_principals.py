"""How callers are written in files, and which spellings are one caller."""

import pytest

from signetrpc.rpc._principals import folded, parse_principal, principal_key
from signetrpc.transport import Mechanism

KERBEROS, NTLM, TLS = Mechanism.KERBEROS, Mechanism.NTLM, Mechanism.TLS


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("alice@EXAMPLE.COM", (KERBEROS, "EXAMPLE.COM", "alice")),
        ("host/a.example.com@R", (KERBEROS, "R", "host/a.example.com")),
        ("Corp\\Bob", (NTLM, "CORP", "BOB")),
        ("Corp\\bänd", (NTLM, "CORP", "BäND")),
        (
            {"mechanism": "kerberos", "realm": "R", "name": "a\\/b@c"},
            (KERBEROS, "R", "a\\/b@c"),
        ),
        ({"mechanism": "ntlm", "realm": "", "name": "bob"}, (NTLM, "", "BOB")),
        (
            {"mechanism": "tls", "realm": "CN=CA", "name": "CN=alice"},
            (TLS, "CN=CA", "CN=alice"),
        ),
    ],
)
def test_a_caller_as_files_have_it(
    given: object, expected: tuple[Mechanism, str, str]
) -> None:
    assert parse_principal(given) == expected


@pytest.mark.parametrize(
    ("given", "fact"),
    [
        ("alice", r"^a name alone may be anybody's: write name@REALM or DOMAIN\\name$"),
        ("", "a name alone"),
        ("alice@", "the realm is missing"),
        ("@R", "the name is missing"),
        ("\\bob", "the domain is missing; if it has none, write {"),
        ("CORP\\", "the name is missing"),
        ("a@b@R", "in more ways than one"),
        ("CORP\\bob@R", "in more ways than one"),
        ("CORP\\sales\\bob", "in more ways than one"),
        (7, "^text or { mechanism = .* }, not int$"),
        ({}, "a table has the form"),
        ({"mechanism": "ntlm", "name": "bob"}, "a table has the form"),
        (
            {"mechanism": "ntlm", "realm": "", "name": "bob", "x": 1},
            "a table has the form",
        ),
        ({"mechanism": "ntlm", "realm": 1, "name": "bob"}, "realm and name are texts"),
        ({"mechanism": "ntlm", "realm": "", "name": 1}, "realm and name are texts"),
        ({"mechanism": "ldap", "realm": "R", "name": "a"}, "kerberos, ntlm, tls"),
        ({"mechanism": [], "realm": "R", "name": "a"}, "kerberos, ntlm, tls"),
        ({"mechanism": "tls", "realm": "", "name": "CN=a"}, "the realm is missing"),
        ({"mechanism": "kerberos", "realm": "", "name": "a"}, "the realm is missing"),
        ({"mechanism": "anonymous", "realm": "R", "name": "a"}, "nobody in particular"),
    ],
)
def test_nobody_in_particular(given: object, fact: str) -> None:
    with pytest.raises(ValueError, match=fact):
        parse_principal(given)


def test_kerberos_compares_exactly_and_ntlm_without_case() -> None:
    assert principal_key(KERBEROS, "r", "Alice") == (KERBEROS, "r", "Alice")
    assert principal_key(TLS, "CN=ca", "CN=a") == (TLS, "CN=ca", "CN=a")
    assert principal_key(NTLM, "corp", "Bob") == principal_key(NTLM, "CORP", "bOB")
    # A long s is no "s" to Windows, though its capital is.
    assert principal_key(NTLM, "", "ſ") != principal_key(NTLM, "", "s")


def test_folded_are_all_that_may_be_one() -> None:
    assert folded((KERBEROS, "r", "Alice")) == (KERBEROS, "R", "ALICE")
    assert folded((KERBEROS, "R", "ſé")) == (KERBEROS, "R", "ſé")
    assert folded((KERBEROS, "R", "a")) != folded((NTLM, "R", "a"))
