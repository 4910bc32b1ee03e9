"""What both ends authenticate with."""

import pytest

from signetrpc.transport._credentials import (
    AccountFile,
    Keytab,
    Password,
    TicketCache,
)
from signetrpc.transport._identity import DelegatedCredential, DelegationKind


@pytest.mark.parametrize(
    ("user", "asks_ntlm", "account", "principal"),
    [
        ("alice@EXAMPLE.COM", False, ("", "alice@EXAMPLE.COM"), "alice@EXAMPLE.COM"),
        (r"CORP\alice", True, ("CORP", "alice"), None),
        (r"example.com\alice", True, ("example.com", "alice"), "alice@EXAMPLE.COM"),
        ("alice", True, ("", "alice"), "alice"),
        (r"\alice", True, ("", "alice"), None),
        (r"CORP\a@b", True, ("CORP", "a@b"), None),
        (r"ad.corp\a/b@c", True, ("ad.corp", "a/b@c"), r"a\/b\@c@AD.CORP"),
    ],
)
def test_the_form_of_a_name_says_what_it_is_for(
    user: str, asks_ntlm: bool, account: tuple[str, str], principal: str | None
) -> None:
    password = Password(user, "secret")
    assert password.asks_ntlm is asks_ntlm
    assert password.account == account
    assert password.principal == principal


@pytest.mark.parametrize("user", ["", "CORP\\", "\\"])
def test_a_name_is_not_empty(user: str) -> None:
    # pyspnego would take the first account of the user's file for it.
    with pytest.raises(ValueError, match="user name is empty"):
        Password(user, "secret")


def test_a_password_is_not_shown() -> None:
    password = Password("alice", "s3cret-Wonder1and")
    for text in (repr(password), str(password), f"{password}"):
        assert "alice" in text
        assert "s3cret" not in text


def test_only_account_files_and_passwords_ask_for_ntlm() -> None:
    assert AccountFile("accounts").asks_ntlm
    assert not Keytab("service.keytab").asks_ntlm
    assert not TicketCache().asks_ntlm
    credential = DelegatedCredential(
        principal="alice@R", kind=DelegationKind.FORWARDED, expires_at=0, token=b""
    )
    assert not credential.asks_ntlm


def test_where_a_service_may_act_for_its_callers_is_a_tuple() -> None:
    assert Keytab("service.keytab", delegate_to=("host/a",)).delegate_to == ("host/a",)
    with pytest.raises(ValueError, match="a tuple of names, not one name"):
        Keytab("service.keytab", delegate_to="host/a")  # type: ignore[arg-type]  # pyright: ignore
