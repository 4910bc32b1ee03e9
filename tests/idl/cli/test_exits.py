"""Exit codes and last words."""

import pytest
import typer

from signetrpc.idl.cli._exits import ExitCode, fail, status_exit
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
