"""A folder with an interface in it, and the command, in this process or another."""

import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from signetrpc.idl.cli._app import app

BANK = """
import enum
from datetime import date

from signetrpc.rpc import (
    Protection, RpcError, StatusCode, current_call, current_caller, method, service
)


class Kind(enum.Enum):
    A = "a"


@service("bank.Accounts")
class Accounts:
    @method(Protection.SIGN)
    async def balance(self, account: str) -> str:
        if account == "0":
            raise RpcError(StatusCode.NOT_FOUND, "no account 0")
        return f"{account} of {current_caller().principal}"

    @method
    def statement(
        self,
        account: str,
        year: int,
        kinds: tuple[Kind, ...] = (),
        day: date | None = None,
    ) -> list[str]:
        return [account, str(year), str(kinds), str(day)]

    @method
    def context(self) -> list[str]:
        call = current_call()
        return [call.protection.name, *(f"{k}={v!r}" for k, v in call.metadata)]


class NoService:
    pass
"""


RUN = "from signetrpc.idl.cli import main; main()"


class Signet:
    """Runs the command in a folder.

    Attributes:
        patience: Seconds that a command may run beside the test.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.patience = 60.0
        self.output = ""
        self.errors = ""

    def __call__(self, *arguments: str, given: str | None = None) -> int:
        """Run a command in this process, and return its exit code."""
        result = CliRunner().invoke(app, arguments, input=given)
        # Anything but an exit is a bug, and is to be seen as one.
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.output, self.errors = result.stdout, result.stderr
        return result.exit_code

    @contextmanager
    def beside(self, *arguments: str) -> Generator[subprocess.Popen[str]]:
        """Run a command in a process of its own, as long as the context lasts.

        It is killed after `patience`: whoever waits for what it does not say reads the
        end of its output then.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        deadline = threading.Timer(self.patience, process.kill)
        with process:
            deadline.start()
            try:
                yield process
            finally:
                deadline.cancel()
                deadline.join()
                process.kill()


@pytest.fixture
def signet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Signet]:
    """Return the command, in a folder with `bank.py` and an account file."""
    (tmp_path / "bank.py").write_text(BANK)
    accounts = tmp_path / "accounts.txt"
    accounts.write_text("CORP:alice:secret\n")
    accounts.chmod(0o600)
    (tmp_path / "password.txt").write_text("secret\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("NO_COLOR", "1")
    before = set(sys.modules)
    yield Signet(tmp_path)
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
