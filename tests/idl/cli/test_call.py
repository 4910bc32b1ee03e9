"""`signet call` against a server in another process."""

import getpass
import json
import warnings
from collections.abc import Generator

import pytest

from signetrpc.idl.cli._call import Level
from signetrpc.rpc import Protection
from tests.idl.cli.conftest import Signet
from tests.support.kdc import SERVICE, Kdc
from tests.support.parts import Part, require

INTERFACE = ("--interface", "bank:Accounts")
ALICE = ("--user", r"CORP\alice", "--password-file", "password.txt")


@pytest.fixture
def address(signet: Signet) -> Generator[str]:
    """Return the address of a server of `bank.py`."""
    options = ("--listen", "127.0.0.1:0", "--ntlm-accounts", "accounts.txt")
    with signet.beside("serve", "bank:Accounts", *options) as process:
        assert process.stderr is not None
        yield process.stderr.readline().split()[-1]


def test_results_and_statuses(signet: Signet, address: str) -> None:
    balance = ("call", address, "bank.Accounts/balance")
    assert signet(*balance, "account=42", *INTERFACE, *ALICE) == 0
    assert (signet.output, signet.errors) == ('"42 of CORP\\\\alice"\n', "")
    assert signet(*balance, "account=0", *INTERFACE, *ALICE) == 69
    assert (signet.output, signet.errors) == ("", "NOT_FOUND: no account 0\n")


def test_typed_arguments(signet: Signet, address: str) -> None:
    arguments = ("account=42", "year=2026", 'kinds=["a"]', "day=2026-01-02")
    method = "bank.Accounts/statement"
    assert signet("call", address, method, *arguments, *INTERFACE, *ALICE) == 0
    assert "<Kind.A: 'a'>" in signet.output
    assert '"2026-01-02"' in signet.output


def test_options_of_the_call(signet: Signet, address: str) -> None:
    command = ("call", address, "bank.Accounts/context", *INTERFACE, *ALICE)
    options = ("--metadata", "a=b", "--metadata", "k-bin=AP8=", "--timeout", "20")
    assert signet(*command, *options, "--protection", "seal") == 0
    assert (
        signet.output
        == '[\n  "SEAL",\n  "a=\'b\'",\n  "k-bin=b\'\\\\x00\\\\xff\'"\n]\n'
    )


def test_passwords(
    signet: Signet, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("call", address, "bank.Accounts/balance", "account=42", *INTERFACE)
    user = ("--user", r"CORP\alice")
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "secret"

    monkeypatch.setattr(getpass, "getpass", answer)
    assert signet(*command, *user) == 0
    assert asked == ["Password of CORP\\alice: "]
    assert signet(*command, *user, "--password-file", "-", given="secret\n") == 0
    (signet.folder / "wrong.txt").write_text("hunter2\n")
    assert signet(*command, *user, "--password-file", "wrong.txt") == 3
    assert "wrong user, password or ticket" in signet.errors
    assert "hunter2" not in signet.errors


def test_a_password_is_not_asked_for_where_it_would_be_seen(
    signet: Signet, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(prompt: str) -> str:
        warnings.warn("it may be echoed", getpass.GetPassWarning, stacklevel=1)
        raise AssertionError("asked all the same")

    monkeypatch.setattr(getpass, "getpass", ask)
    command = ("call", address, "bank.Accounts/balance", "account=42", *INTERFACE)
    assert signet(*command, "--user", r"CORP\alice") == 2
    assert signet.errors == "error: no password\nhint: give --password-file FILE\n"


def test_no_ntlm_where_it_is_not_wanted(signet: Signet, address: str) -> None:
    host = f"localhost:{address.rpartition(':')[2]}"
    command = ("call", host, "bank.Accounts/balance", "account=42", *INTERFACE)
    assert signet(*command, *ALICE) == 0
    assert signet(*command, *ALICE, "--kerberos-only") == 3
    assert "error: 'CORP\\\\alice' names no Kerberos realm" in signet.errors


LEVELS = """
from signetrpc.rpc import current_caller, method, service


@service("test.Levels")
class Levels:
    @method
    def allowed(self) -> list[str]:
        caller = current_caller()
        held = caller.delegated
        return [caller.impersonation.name, "" if held is None else held.kind.value]
"""
ALLOWED = ("test.Levels/allowed", "--interface", "levels:Levels")


def test_what_the_server_may_do_with_an_identity(signet: Signet) -> None:
    (signet.folder / "levels.py").write_text(LEVELS)
    options = ("--listen", "127.0.0.1:0", "--ntlm-accounts", "accounts.txt")
    with signet.beside("serve", "levels:Levels", *options) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        for more, name in (
            ([], "IMPERSONATE"),
            (["--impersonation", "identify"], "IDENTIFY"),
            (["--impersonation", "impersonate"], "IMPERSONATE"),
            (["--impersonation", "delegate"], "DELEGATE"),
            (["--delegate"], "DELEGATE"),
            (["--delegate", "--impersonation", "delegate"], "DELEGATE"),
        ):
            assert signet("call", address, *ALLOWED, *ALICE, *more) == 0
            # By NTLM there is nothing to delegate.
            assert json.loads(signet.output) == [name, ""]


def test_a_ticket_goes_along(
    signet: Signet, kdc: Kdc, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(Part.GSSAPI)
    (signet.folder / "levels.py").write_text(LEVELS)
    for name, value in kdc.variables().items():
        monkeypatch.setenv(name, value)
    options = ("--listen", "127.0.0.1:0", "--keytab", str(kdc.keytab_file))
    with signet.beside("serve", "levels:Levels", *options) as process:
        assert process.stderr is not None
        port = process.stderr.readline().rpartition(":")[2].strip()
        tickets = kdc.kinit("alice", forwardable=True)
        monkeypatch.setenv("KRB5CCNAME", f"FILE:{tickets}")
        call = (f"localhost:{port}", *ALLOWED, "--service-principal", SERVICE)
        assert signet("call", *call, "--delegate") == 0
        assert json.loads(signet.output) == ["DELEGATE", "forwarded"]
        assert signet("call", *call) == 0
        assert json.loads(signet.output) == ["IMPERSONATE", ""]


def test_two_levels_at_once(signet: Signet) -> None:
    given = ("--delegate", "--impersonation", "identify")
    context = ("bank.Accounts/context", *INTERFACE, *ALICE)
    assert signet("call", "127.0.0.1:1", *context, *given) == 2
    assert "--delegate and --impersonation identify are not the same" in signet.errors


def test_nobody_there(signet: Signet) -> None:
    command = ("call", "127.0.0.1:1", "bank.Accounts/balance", "account=42")
    assert signet(*command, *INTERFACE, *ALICE) == 3
    assert "error: cannot connect to tcp://127.0.0.1:1: " in signet.errors
    assert signet(*command, *INTERFACE) == 3
    assert "hint: without --user the call is made with the Kerberos" in signet.errors


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["bank.Accounts/nothing"],
            "the interface has no method bank.Accounts/nothing",
        ),
        (["bank.Accounts/balance"], "balance needs account"),
        (["bank.Accounts/balance", "account=1", "--metadata", "K=v"], "key 'K' has"),
        (["bank.Accounts/balance", "account=1", "--user", ""], "--user: the user name"),
        (["bank.Accounts/context", "--password-file", "x"], "--password-file needs"),
    ],
)
def test_wrong_commands(signet: Signet, options: list[str], says: str) -> None:
    given = ["--password-file", "password.txt"] if "--user" in options else []
    assert signet("call", "127.0.0.1:1", *options, *INTERFACE, *given) == 2
    assert says in signet.errors


def test_wrong_address(signet: Signet) -> None:
    context = "bank.Accounts/context"
    assert signet("call", "nowhere", context, *INTERFACE, *ALICE) == 2
    assert "not an address: 'nowhere'" in signet.errors


def test_wrong_password_files(signet: Signet, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ("call", "127.0.0.1:1", "bank.Accounts/context", *INTERFACE)
    user = ("--user", "alice")
    (signet.folder / "binary").write_bytes(b"\xffhunter2")
    assert signet(*context, *user, "--password-file", "binary") == 2
    assert "password file binary: it is not UTF-8" in signet.errors
    assert "hunter2" not in signet.errors
    assert signet(*context, *user, "--password-file", "no") == 2
    assert "password file no: No such file" in signet.errors

    def nothing(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", nothing)
    assert signet(*context, *user) == 2
    assert "no password\nhint: give --password-file FILE" in signet.errors


def test_no_password_on_the_command_line(signet: Signet) -> None:
    context = ("call", "127.0.0.1:1", "bank.Accounts/context", *INTERFACE)
    assert signet(*context, "--user", "alice", "--password", "secret") == 2
    assert "No such option" in signet.errors


def test_levels() -> None:
    assert [each.protection for each in Level] == list(Protection)
