"""The command as a whole, with and without what it needs."""

import re
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from signetrpc.idl import cli
from tests.idl.cli.conftest import Signet


def test_help(signet: Signet) -> None:
    assert signet("--help") == 0
    for name in ("serve", "call", "idl"):
        assert name in signet.output
    assert signet("call", "-h") == 0
    assert "69 is NOT_FOUND" in signet.output


def test_the_page_of_the_command_has_its_options_and_no_others(
    signet: Signet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    page = Path(__file__).parents[3] / "docs" / "command.md"
    there: set[str] = set()
    for command in (["serve"], ["call"], ["idl", "generate"]):
        assert signet(*command, "--help") == 0
        there.update(re.findall(r"^\W*(--[a-z-]+)", signet.output, re.M))
    assert there > {"--keytab", "--tls-ca", "--check"}
    told = set(re.findall(r"--[a-z][a-z-]+", page.read_text()))
    assert told | {"--help"} == there


@pytest.mark.parametrize("command", [[], ["idl"]])
def test_nothing_asked(signet: Signet, command: list[str]) -> None:
    assert signet(*command) == 2
    assert "Usage:" in signet.output + signet.errors


def test_version(signet: Signet) -> None:
    assert signet("--version") == 0
    assert signet.output == f"signet {version('signetrpc')}\n"


def test_without_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(name: str) -> object:
        return None if name == "typer" else find_spec(name)

    monkeypatch.setattr(cli, "find_spec", find)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "error: signet needs typer\nhint: pip install 'signetrpc[cli]'\n"
    )


def test_main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["signet", "--version"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("signet ")


def test_in_a_process_of_its_own(signet: Signet) -> None:
    with signet.beside("--version") as process:
        output, _ = process.communicate(timeout=30)
        assert (process.returncode, output[:7]) == (0, "signet ")
