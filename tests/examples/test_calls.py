"""The examples of streams and errors do what their READMEs show."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.programs import EXAMPLES, SECONDS, run, running

NAMES = {"streaming": "room", "errors": "shop"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the accounts of the READMEs."""
    accounts = tmp_path / "accounts.txt"
    accounts.touch(mode=0o600)
    accounts.write_text("CORP:alice:secret\nCORP:bob:hidden\n")
    return tmp_path


def _shown(example: str, command: str) -> str:
    text = (EXAMPLES / example / "README.md").read_text()
    found = re.search(
        rf"^\$ {re.escape(command)}\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )
    assert found is not None, command
    return found[1]


@pytest.mark.parametrize(("example", "name"), NAMES.items())
def test_the_programs_do_what_the_readme_shows(
    example: str, name: str, folder: Path
) -> None:
    server = f"{name}_server.py"
    with running(f"{example}/{server}", "127.0.0.1:0", folder=folder) as serving:
        first = serving.line()
        called = run(f"{example}/call_{name}.py", first.split()[-1])
    assert _shown(example, f"python {server}").startswith(first.rpartition(":")[0])
    assert called.stdout == _shown(example, f"python call_{name}.py")
    assert (called.returncode, called.stderr) == (0, "")


def test_only_the_log_has_what_an_unforeseen_exception_says(folder: Path) -> None:
    with running("errors/shop_server.py", "127.0.0.1:0", folder=folder) as serving:
        called = run("errors/call_shop.py", serving.line().split()[-1])
    log = (folder / "log").read_text()
    assert "ZeroDivisionError" in log and "ZeroDivisionError" not in called.stdout
    assert "10.0.0.17" not in called.stdout


@pytest.mark.parametrize(("example", "name"), NAMES.items())
def test_the_clients_are_as_they_are_generated(
    example: str, name: str, tmp_path: Path
) -> None:
    made = tmp_path / "made.py"
    cls = name.capitalize()
    readme = (EXAMPLES / example / "README.md").read_text()
    assert f"`signet idl generate {name}:{cls} -o {name}_client.py`" in readme
    subprocess.run(
        [sys.executable, "-c", "from signetrpc.idl.cli import main; main()"]
        + ["idl", "generate", f"{name}:{cls}", "-o", str(made)],
        cwd=EXAMPLES / example,
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    assert made.read_text() == (EXAMPLES / example / f"{name}_client.py").read_text()
