"""How a command ends: its exit code, and what it says first."""

from enum import IntEnum
from typing import NoReturn

import typer

from signetrpc.rpc import StatusCode

__all__ = ["ExitCode", "fail", "printable", "status_exit"]


class ExitCode(IntEnum):
    """The exit codes, but for those of calls: 64 and the status code."""

    OK = 0
    FAILED = 1
    """A file is not up to date, an address cannot be listened on."""
    USAGE = 2
    """The command cannot mean anything: an option, a module, an argument."""
    NO_CONNECTION = 3
    """The server was not reached, or one end did not accept the other."""
    STATUS = 64
    """The call came back with a status other than OK: this plus its number."""


def fail(message: str, *, hint: str = "", code: int = ExitCode.USAGE) -> NoReturn:
    """Say on standard error what is wrong, and exit."""
    typer.secho("error: ", err=True, fg="red", bold=True, nl=False)
    typer.echo(message, err=True)
    if hint:
        typer.secho("hint: ", err=True, fg="cyan", nl=False)
        typer.echo(hint, err=True)
    raise typer.Exit(code)


def printable(text: str) -> str:
    """Return a server's text without what would command a terminal."""
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def status_exit(status: StatusCode) -> int:
    """Return the exit code for a call's status, as grpcurl has it."""
    return ExitCode.STATUS + status
