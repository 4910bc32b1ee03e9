"""Each example does what its README shows."""

import re
from pathlib import Path

import pytest

from tests.examples.programs import EXAMPLES, run, running
from tests.support.kdc import SERVICE, Kdc
from tests.support.parts import Part, require


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the accounts of the READMEs."""
    accounts = tmp_path / "accounts.txt"
    accounts.touch(mode=0o600)
    accounts.write_text("CORP:alice:secret\nCORP:bob:hidden\n")
    return tmp_path


def _shown(example: str, command: str) -> str:
    """Return what a README shows as the output of a command."""
    text = (EXAMPLES / example / "README.md").read_text()
    found = re.search(
        rf"^\$ {re.escape(command)}\n(.*?)^(?:```|\$ )", text, re.MULTILINE | re.DOTALL
    )
    assert found is not None, command
    return re.sub(r"^Password of .*\n", "", found[1])


def test_hello(folder: Path) -> None:
    with running("hello/hello.py", "127.0.0.1:0", folder=folder) as server:
        first = server.line()
        address = first.split()[-1]
        called = run("hello/call_hello.py", address)
    assert _shown("hello", "python hello.py").startswith(first.rpartition(":")[0])
    assert called.stdout == _shown("hello", "python call_hello.py")
    assert called.stderr == ""


def test_bank(folder: Path) -> None:
    with running(
        "bank/bank_server.py",
        "--listen=127.0.0.1:0",
        "--ntlm-accounts=accounts.txt",
        folder=folder,
    ) as server:
        first = server.line()
        address = first.split()[-1]
        alice = (address, r"--user=CORP\alice")
        called = run("bank/call_bank.py", *alice, BANK_PASSWORD="secret")
        blocking = run("bank/call_bank_blocking.py", *alice, BANK_PASSWORD="secret")
        bob = run(
            "bank/call_bank.py", address, r"--user=CORP\bob", BANK_PASSWORD="hidden"
        )
        wrong = run("bank/call_bank.py", *alice, BANK_PASSWORD="hidden")
    served = _shown("bank", "python bank_server.py --ntlm-accounts accounts.txt")
    assert served.startswith(first.rpartition(":")[0])
    command = r"python call_bank.py --user 'CORP\{}'"
    assert called.stdout == _shown("bank", command.format("alice"))
    assert (called.returncode, called.stderr) == (0, "")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d 0\.99 from a thread\nSEAL, for CORP\\alice\n",
        blocking.stdout,
    )
    assert (bob.returncode, bob.stdout) == (1, "")
    assert bob.stderr == _shown("bank", command.format("bob"))
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "wrong user, password or ticket" in wrong.stderr


def test_bank_over_kerberos(kdc: Kdc, folder: Path) -> None:
    require(Part.GSSAPI)
    with running(
        "bank/bank_server.py",
        "--listen=127.0.0.1:0",
        f"--keytab={kdc.keytab_file}",
        folder=folder,
        **kdc.variables(),
    ) as server:
        port = server.line().rpartition(":")[2]
        called = run(
            "bank/call_bank.py",
            f"localhost:{port}",
            **kdc.variables(ccache=kdc.kinit("alice", service=SERVICE)),
        )
    alice = kdc.principal("alice")
    assert f"balance    12.50    SIGN, {alice} by kerberos\n" in called.stdout
    assert f"statement  1 entry  SEAL, {alice} by kerberos\n" in called.stdout
    assert (called.returncode, called.stderr) == (0, "")


def test_bank_server_says_what_is_wrong(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    done = run("bank/bank_server.py", f"--ntlm-accounts={missing}")
    assert done.returncode == 1
    assert done.stderr == (
        f"bank_server: account file '{missing}' cannot be read: "
        "No such file or directory\n"
    )
    done = run("bank/bank_server.py")
    assert done.returncode == 2
    assert "give --ntlm-accounts, --keytab or both" in done.stderr


def test_transport_only(folder: Path) -> None:
    with running(
        "transport_only/stream_receiver.py", "127.0.0.1:0", folder=folder
    ) as receiver:
        address = receiver.line().split()[-1]
        sent = run("transport_only/stream_sender.py", address)
        printed = "".join(f"{receiver.line()}\n" for _ in range(5))
    assert sent.stdout == _shown("transport_only", "python stream_sender.py")
    assert sent.stderr == ""
    readme = (EXAMPLES / "transport_only" / "README.md").read_text()
    assert f"```text\n{printed}```\n" in readme


def test_transport_only_needs_no_calls() -> None:
    for program in (EXAMPLES / "transport_only").glob("*.py"):
        assert "signetrpc.rpc" not in program.read_text()
