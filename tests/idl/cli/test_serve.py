"""`signet serve`, in a process of its own, and what it refuses."""

import os
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from signetrpc.idl.cli import _serve
from signetrpc.idl.cli._serve import Backend
from signetrpc.rpc import Keytab, SchemaError, Winbind
from tests.idl.cli.conftest import Signet

NTLM = ("--ntlm-accounts", "accounts.txt")


@pytest.mark.parametrize("backend", [each.value for each in Backend])
def test_serves_until_told_to_stop(signet: Signet, backend: str) -> None:
    command = ("serve", "bank:Accounts", "--listen", "127.0.0.1:0", *NTLM)
    with signet.beside(*command, "--backend", backend) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("serving bank.Accounts at tcp://127.0.0.1:"), line
        address = line.split()[-1]
        code = signet(
            *("call", address, "bank.Accounts/balance", "account=42"),
            *("--interface", "bank:Accounts", "--user", r"CORP\alice"),
            *("--password-file", "password.txt"),
        )
        assert (code, signet.output) == (0, '"42 of CORP\\\\alice"\n')
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == (
            f"handlers run as this process (uid {os.getuid()}); --impersonate runs "
            "them as their callers\n"
        )


STUCK = """
import sys, threading
from signetrpc.rpc import method, service

@service("test.Stuck")
class Stuck:
    @method
    def wait(self) -> None:
        print("waiting", file=sys.stderr, flush=True)
        threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("backend", [each.value for each in Backend])
def test_a_second_signal_does_not_wait_for_a_handler(
    signet: Signet, backend: str, number: signal.Signals
) -> None:
    Path("stuck.py").write_text(STUCK)
    command = ("serve", "stuck:Stuck", "--listen", "127.0.0.1:0", *NTLM)
    with signet.beside(*command, "--backend", backend) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        call = (
            *("call", address, "test.Stuck/wait", "--interface", "stuck:Stuck"),
            *("--user", r"CORP\alice", "--password-file", "password.txt"),
        )
        with signet.beside(*call):
            assert process.stderr.readline().startswith("handlers run as this process")
            assert process.stderr.readline() == "waiting\n"
            for _ in range(300):  # the first may still be on its way
                process.send_signal(number)
                try:
                    assert process.wait(timeout=0.1) == -number
                    return
                except subprocess.TimeoutExpired:
                    continue
            raise AssertionError("it does not end")


def test_a_taken_address(signet: Signet) -> None:
    command = ("serve", "bank:Accounts", *NTLM, "--listen")
    with signet.beside(*command, "127.0.0.1:0") as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        assert signet(*command, address) == 1
        assert signet.errors.startswith(f"error: cannot listen on {address}: Address")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ([], 2, "nobody could be authenticated\nhint: give --keytab FILE"),
        ([*NTLM, "--winbind"], 2, "by --ntlm-accounts or --winbind, not both"),
        (["--ntlm-accounts", "no.txt"], 2, "there is no file no.txt"),
        (["--keytab", "no.keytab"], 2, "there is no file no.keytab"),
        (
            ["--service-principal", "host/x", *NTLM],
            2,
            "--service-principal needs --key",
        ),
        ([*NTLM, "--listen", "nowhere"], 2, "not an address: 'nowhere'"),
        (["--ntlm-accounts", "bank.py"], 1, "cannot serve at 127.0.0.1:7420: account"),
        (["--keytab", "bank.py", "--listen", "127.0.0.1:0"], 1, "cannot serve at"),
    ],
)
def test_refusals(signet: Signet, options: list[str], code: int, says: str) -> None:
    assert signet("serve", "bank:Accounts", *options) == code
    assert says in signet.errors


def test_the_domain_verifies(signet: Signet, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    class Recorder:
        def __init__(self, services: object, **options: object) -> None:
            given.append(options["accept"])
            raise SchemaError("seen")

    monkeypatch.setattr(_serve, "TellingServer", Recorder)
    assert signet("serve", "bank:Accounts", "--winbind", "--keytab", "bank.py") == 2
    assert given == [[Keytab(Path("bank.py")), Winbind()]]


def test_services_that_do_not_fit_together(signet: Signet) -> None:
    assert signet("serve", "bank:Accounts", "bank:Accounts", *NTLM) == 2
    assert "two services are named bank.Accounts" in signet.errors


def test_services_that_cannot_be_made(signet: Signet) -> None:
    (signet.folder / "stubborn.py").write_text(
        "from signetrpc.rpc import method, service\n"
        '@service("s")\n'
        "class Stubborn:\n"
        "    def __init__(self) -> None:\n"
        '        raise OSError("no database")\n'
        "    @method\n"
        "    def work(self) -> None: ...\n"
    )
    assert signet("serve", "stubborn:Stubborn", *NTLM) == 2
    assert "a service cannot be made: OSError: no database" in signet.errors


def test_backends_that_are_not_there(
    signet: Signet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str) -> object:
        return None if name == "uvloop" else find_spec(name)

    monkeypatch.setattr(_serve, "find_spec", find)
    assert signet("serve", "bank:Accounts", *NTLM, "--backend", "uvloop") == 2
    assert "hint: pip install 'signetrpc[uvloop]'" in signet.errors
