"""Files of who callers are and what they may; as whom handlers run."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from signetrpc.idl.cli import _serve
from signetrpc.idl.cli._callers import AuditFile, runs_as
from signetrpc.idl.cli._interfaces import load_definition
from signetrpc.rpc import (
    AuditRecord,
    AuthToLocal,
    DomainNames,
    ImpersonationError,
    LinuxImpersonation,
    LocalUsers,
    Mechanism,
    Protection,
    Rules,
    SchemaError,
    StatusCode,
    UserTable,
)
from signetrpc.rpc._template import check_platform
from tests.idl.cli.conftest import RUN, Signet

NTLM = ("--ntlm-accounts", "accounts.txt")
KEYTAB = ("--keytab", "bank.py")
TABLE = '[ntlm.CORP]\nalice = "root"\n'
GROUPS = '[[rule]]\nallow = ["*"]\ngroups = ["staff"]\n'
ALICE = ("--user", r"CORP\alice", "--password-file", "password.txt")

MIXED = """
from signetrpc.rpc import Impersonation, method, service


@service("test.Mixed", impersonate=Impersonation.REQUIRED)
class Mixed:
    @method
    def act(self) -> None: ...

    @method(impersonate=Impersonation.NOT_ALLOWED)
    def count(self) -> None: ...


@service("test.Own", impersonate=Impersonation.NOT_ALLOWED)
class Own:
    @method
    def count(self) -> None: ...
"""


@pytest.fixture(autouse=True)
def files(signet: Signet) -> None:
    """Write a table of users, rules and services of more kinds."""
    for name, text in (
        ("users.toml", TABLE),
        ("groups.toml", GROUPS),
        ("mixed.py", MIXED),
    ):
        (signet.folder / name).write_text(text)


class Given(list[dict[str, Any]]):
    """What `Server` was given, in place of a server."""

    def server(self, services: object, **options: Any) -> None:
        """Note the options."""
        self.append(options)
        raise SchemaError("seen")


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Take the place of `Server`."""
    found = Given()
    monkeypatch.setattr(_serve, "TellingServer", found.server)
    return found


def test_a_table_alone_says_who_callers_are(signet: Signet, given: Given) -> None:
    command = ("serve", "bank:Accounts", *NTLM, *KEYTAB, "--impersonate")
    assert signet(*command, "--users", "users.toml") == 2
    (options,) = given
    config = options["impersonate"]
    assert isinstance(config, LinuxImpersonation)
    assert [type(each) for each in config.mapping] == [UserTable]  # type: ignore[union-attr]


def test_without_a_table_the_machine_says_it(signet: Signet, given: Given) -> None:
    command = ("serve", "bank:Accounts", *KEYTAB, "--winbind", "--impersonate")
    assert signet(*command) == 2
    (options,) = given
    mapping = options["impersonate"].mapping
    assert [type(each) for each in mapping] == [AuthToLocal, DomainNames]
    assert "local_users" not in options


def test_rules_about_groups_need_to_know_who_callers_are(
    signet: Signet, given: Given
) -> None:
    command = ("serve", "bank:Accounts", *KEYTAB, "--authorize", "groups.toml")
    assert signet(*command) == 2
    (options,) = given
    assert isinstance(options["authorize"], Rules)
    assert isinstance(options["local_users"], LocalUsers)
    assert "impersonate" not in options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            [*NTLM, "--impersonate"],
            "no account of --ntlm-accounts is a user of this machine by itself\n"
            "hint: give --users FILE",
        ),
        ([*NTLM, "--authorize", "groups.toml"], "no account of --ntlm-accounts is"),
        ([*NTLM, "--users", "users.toml"], "--users needs --impersonate, or --auth"),
        ([*NTLM, "--impersonate", "--users", "no.toml"], "there is no file no.toml"),
        ([*NTLM, "--authorize", "no.toml"], "there is no file no.toml"),
        ([*NTLM, "--impersonate", "--users", "groups.toml"], "groups.toml, line"),
        ([*NTLM, "--authorize", "users.toml"], "users.toml, line 1"),
    ],
)
def test_files_that_do_not_fit(signet: Signet, options: list[str], says: str) -> None:
    assert signet("serve", "bank:Accounts", *options) == 2
    assert says in signet.errors


def test_a_rule_about_what_is_not_served(signet: Signet) -> None:
    (signet.folder / "rules.toml").write_text('[[rule]]\nallow = ["bank.Acounts/*"]\n')
    command = ("serve", "bank:Accounts", *NTLM, "--authorize", "rules.toml")
    assert signet(*command) == 2
    assert "rules.toml, line 2" in signet.errors
    assert "did you mean 'bank.Accounts/*'?" in signet.errors


def test_a_handler_that_has_to_run_as_its_caller(signet: Signet) -> None:
    assert signet("serve", "mixed:Mixed", *NTLM) == 2
    assert signet.errors == (
        "error: test.Mixed/act has to run as its caller\nhint: add --impersonate\n"
    )


def test_as_whom_handlers_run(signet: Signet) -> None:
    itself = f"this process (uid {os.getuid()})"
    bank, mixed, own = map(
        load_definition, ("bank:Accounts", "mixed:Mixed", "mixed:Own")
    )
    assert runs_as([bank], impersonate=False) == (
        f"handlers run as {itself}; --impersonate runs them as their callers"
    )
    assert runs_as([bank], impersonate=True) == "handlers run as their callers"
    assert runs_as([mixed, own], impersonate=True) == (
        f"handlers run as their callers; as {itself}: test.Mixed/count, test.Own/count"
    )
    assert runs_as([own], impersonate=True) == (
        f"handlers run as {itself}: all methods are declared NOT_ALLOWED"
    )


def test_where_nobody_can_be_impersonated(
    signet: Signet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_server(services: object, **options: object) -> None:
        raise ImpersonationError("impersonation needs Linux; this is win32")

    monkeypatch.setattr(_serve, "TellingServer", no_server)
    command = ("serve", "bank:Accounts", *KEYTAB, "--impersonate")
    assert signet(*command) == 1
    assert signet.errors == "error: impersonation needs Linux; this is win32\n"


def test_workers_that_cannot_start(signet: Signet) -> None:
    (signet.folder / "busy.py").write_text(
        "import threading\n"
        "from signetrpc.rpc import method, service\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        '@service("test.Busy")\n'
        "class Busy:\n"
        "    @method\n"
        "    def work(self) -> None: ...\n"
    )
    command = ("serve", "busy:Busy", "--listen", "127.0.0.1:0", *NTLM)
    who = ("--impersonate", "--users", "users.toml")
    with signet.beside(*command, *who) as process:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
    try:
        check_platform()
        expected = "identity workers cannot start: RuntimeError: importing the services"
    except ImpersonationError as error:
        expected = f"error: {error}\n"  # it does not get as far
    assert expected in said


def test_a_process_that_may_not_become_others(signet: Signet) -> None:
    setpriv = shutil.which("setpriv")
    # Root's capabilities are given up; whoever is not root has none.
    without = [setpriv, "--inh-caps=-all", "--bounding-set=-all"] if setpriv else []
    command = ["serve", "bank:Accounts", *NTLM, "--impersonate"]
    done = subprocess.run(
        [
            *(without if os.geteuid() == 0 else ()),
            *(sys.executable, "-c", RUN),
            *(*command, "--users", "users.toml"),
        ],
        cwd=signet.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert (
        "error: impersonation needs CAP_SETGID and CAP_SETUID: run the" in done.stderr
    )


def test_rules_and_audit_of_calls(signet: Signet) -> None:
    (signet.folder / "rules.toml").write_text(
        "[[rule]]\nallow = [\"bank.Accounts/balance\"]\nprincipals = ['CORP\\alice']\n"
    )
    files = ("--authorize", "rules.toml", "--audit", "audit.jsonl")
    command = ("serve", "bank:Accounts", "--listen", "127.0.0.1:0", *NTLM, *files)
    with signet.beside(*command) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        call = ("--interface", "bank:Accounts", *ALICE)
        assert signet("call", address, "bank.Accounts/balance", "account=4", *call) == 0
        assert signet("call", address, "bank.Accounts/context", *call) == 64 + 7
        process.terminate()
        assert process.wait(timeout=30) == 0
    lines = (signet.folder / "audit.jsonl").read_text().splitlines()
    balance, context = map(json.loads, lines)
    assert balance["principal"] == r"CORP\alice"
    assert (balance["method"], balance["status"]) == ("bank.Accounts/balance", "OK")
    assert (balance["protection"], balance["mechanism"]) == ("SIGN", "ntlm")
    assert (balance["impersonated_as"], balance["reason"]) == (None, "")
    assert context["status"] == "PERMISSION_DENIED"
    assert context["reason"] == "rules.toml: no rule allows it"


def _record(number: int) -> AuditRecord:
    return AuditRecord(
        time=1764000000.5,
        session_id="00",
        principal="alice\n",
        mechanism=Mechanism.NTLM,
        protection=Protection.SEAL,
        channel_bound=False,
        impersonated_as="alice",
        delegated=False,
        method=f"s/{number}",
        status=StatusCode.NOT_FOUND,
        seconds=0.25,
        reason="",
    )


def test_the_audit_file_is_its_owners_and_grows(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number in range(2):
        AuditFile(path)(_record(number))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines()[1] == (
        '{"time":1764000000.5,"session_id":"00","principal":"alice\\n",'
        '"mechanism":"ntlm","protection":"SEAL","channel_bound":false,'
        '"impersonated_as":"alice","delegated":false,"method":"s/1",'
        '"status":"NOT_FOUND","seconds":0.25,"reason":""}'
    )


def test_an_audit_file_that_is_moved_away_is_left_alone(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.1"
    write = AuditFile(path)
    write(_record(1))
    path.rename(old)
    write(_record(2))
    path.unlink()
    path.write_text("")
    write(_record(3))
    assert json.loads(old.read_text())["method"] == "s/1"
    assert json.loads(path.read_text())["method"] == "s/3"


def test_an_audit_file_that_cannot_be(signet: Signet) -> None:
    command = ("serve", "bank:Accounts", *NTLM, "--audit", "no/audit.jsonl")
    assert signet(*command) == 1
    assert "cannot write no/audit.jsonl: No such file or directory" in signet.errors
