"""Two users and a file tree: what the README shows, and what is said elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.examples.programs import EXAMPLES, run
from tests.support.parts import Part, require

PROGRAM = "impersonation/run_two_users.py"


def _normal(text: str) -> str:
    return re.sub(r"in process \d+", "in process N", text)


def _calls(text: str) -> list[str]:
    return re.findall(r"^CORP\\.*", _normal(text), re.MULTILINE)


def test_the_kernel_decides() -> None:
    require(Part.NAMESPACES)
    before = Path("/etc/passwd").read_bytes(), os.listdir("/run")
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    shown = (EXAMPLES / "impersonation" / "README.md").read_text()
    assert _calls(done.stdout) == _calls(shown)
    assert "server   handlers run as their callers\n" in done.stdout
    # As root sees the files that the handlers made.
    assert re.search(r"^  -rw------- 1 alice alice +8 .* of-alice$", done.stdout, re.M)
    assert re.search(r"^  -rw------- 1 bob +bob +6 .* of-bob$", done.stdout, re.M)
    assert "CORP\\carol cannot be impersonated: no mapping knows" in done.stdout
    assert (Path("/etc/passwd").read_bytes(), os.listdir("/run")) == before


def test_the_readme_has_the_command_that_runs() -> None:
    text = (EXAMPLES / PROGRAM).read_text()
    readme = (EXAMPLES / "impersonation" / "README.md").read_text()
    assert "$ signet serve files:Files --impersonate --users users.toml" in readme
    for option in ("--impersonate", "--users", "users.toml", "--ntlm-accounts"):
        assert f'"{option}"' in text


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program as a module, to be run without being root, or without namespaces."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("two_users", EXAMPLES / PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_whoever_is_not_root_learns_the_line_to_run(
    program: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert program.outside() == 2
    said = capsys.readouterr().err
    assert "only root may run programs as other users" in said
    assert said.endswith(f": sudo {sys.executable} {EXAMPLES / PROGRAM}\n")


def test_a_machine_without_namespaces_says_so(
    program: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        said = "unshare: unshare failed: Operation not permitted\n"
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", refused)
    assert program.outside() == 2
    assert "no namespace here: unshare: unshare failed" in capsys.readouterr().err


def test_another_system_is_told_so(
    program: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert program.outside() == 2
    assert "this needs Linux" in capsys.readouterr().err
