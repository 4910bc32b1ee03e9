"""The commands, put together."""

from importlib.metadata import version
from typing import Annotated

import typer

from ._call import call
from ._generate import generate
from ._serve import serve

__all__ = ["app"]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"signet {version('signetrpc')}")
        raise typer.Exit


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    # A traceback of ours is for us; a pretty one would show local variables.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_idl = typer.Typer(no_args_is_help=True)


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Services over a Negotiate-secured transport."""


@_idl.callback()
def _interfaces() -> None:
    """Work with interfaces."""


app.add_typer(_idl, name="idl")
_idl.command("generate")(generate)
app.command("serve")(serve)
app.command("call")(call)
