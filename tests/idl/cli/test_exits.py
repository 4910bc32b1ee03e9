"""Exit codes and last words."""

import pytest
import typer

from signetrpc.idl.cli._exits import ExitCode, fail, printable, status_exit
from signetrpc.rpc import StatusCode


def test_last_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end:
        fail("it is wrong", hint="do it right")
    assert end.value.exit_code == 2
    assert capsys.readouterr().err == "error: it is wrong\nhint: do it right\n"


def test_no_hint(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end:
        fail("it is wrong", code=ExitCode.FAILED)
    assert end.value.exit_code == 1
    assert capsys.readouterr().err == "error: it is wrong\n"


def test_statuses() -> None:
    assert status_exit(StatusCode.NOT_FOUND) == 69


def test_a_servers_text_commands_no_terminal() -> None:
    said = "no file \x1b]0;gone\x07\x9b2J\r\u202e\n\tsee \u00e9"
    assert printable(said) == (
        "no file \\x1b]0;gone\\x07\\x9b2J\\r\\u202e\n\tsee \u00e9"
    )
