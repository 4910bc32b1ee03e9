"""`signet idl generate`."""

from pathlib import Path
from typing import Annotated

import typer

from signetrpc.idl._python import client_source
from signetrpc.rpc import SchemaError

from ._exits import ExitCode, fail
from ._interfaces import load_definition

__all__ = ["generate"]


def generate(
    targets: Annotated[
        list[str],
        typer.Argument(metavar="MODULE:CLASS", help="Service classes."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file to write. Standard output without it."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; exit with 1 if the file would change."
        ),
    ] = False,
) -> None:
    """Write a typed client module for one or more services.

    It has an async and a blocking client for each service, and all their types.
    """
    schemas = [load_definition(target).schema for target in targets]
    try:
        source = client_source(*schemas)
    except SchemaError as error:
        fail(error.message, hint=error.hint)
    if output is None:
        if check:
            fail("--check needs a file", hint="name it with -o")
        typer.echo(source, nl=False)
        return
    if check:
        if _text(output) != source:
            fail(
                f"{output} is not what {' '.join(targets)} gives",
                hint=f"signet idl generate {' '.join(targets)} -o {output}",
                code=ExitCode.FAILED,
            )
        return
    try:
        output.write_text(source, encoding="utf-8", newline="\n")
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}", code=ExitCode.FAILED)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read {path}: {error}", code=ExitCode.FAILED)
