"""`signet serve`."""

import logging
import signal
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from signetrpc.rpc import (
    AccountFile,
    Keytab,
    SchemaError,
    Server,
    ServerCredentials,
)
from signetrpc.transport.errors import TransportError

from ._exits import ExitCode, fail
from ._interfaces import load_class, load_definition

__all__ = ["Backend", "serve"]


class Backend(StrEnum):
    """The event loops there are."""

    ASYNCIO = "asyncio"
    TRIO = "trio"
    UVLOOP = "uvloop"


def serve(
    targets: Annotated[
        list[str],
        typer.Argument(metavar="MODULE:CLASS", help="Service classes."),
    ],
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="HOST:PORT or unix:///path. Port 0 is any that is free.",
        ),
    ] = "127.0.0.1:7420",
    ntlm_accounts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Accept NTLM; each line of the file is DOMAIN:user:password.",
        ),
    ] = None,
    keytab: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Accept Kerberos with the keys in this file."
        ),
    ] = None,
    service_principal: Annotated[
        str | None,
        typer.Option(
            metavar="SPN",
            help="Accept Kerberos for this principal only, like host/server.example.",
        ),
    ] = None,
    backend: Annotated[Backend, typer.Option(help="The event loop.")] = Backend.ASYNCIO,
) -> None:
    """Serve one or more service classes until interrupted.

    Callers have to authenticate: give an account file, a keytab or both.
    """
    names = [load_definition(target).name for target in targets]
    classes = [load_class(target) for target in targets]
    accept = _accepted(ntlm_accounts, keytab, service_principal)
    _check_backend(backend)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        server = Server(classes, accept=accept)
    except SchemaError as error:
        fail(error.message, hint=error.hint)
    except Exception as error:
        fail(f"a service cannot be made: {type(error).__name__}: {error}")
    options: dict[str, Any] = {"backend": backend.value}
    if backend is Backend.UVLOOP:
        options = {"backend": "asyncio", "backend_options": {"use_uvloop": True}}
    try:
        anyio.run(_serve, server, listen, ", ".join(names), **options)
    except ValueError as error:
        fail(str(error), hint="like 127.0.0.1:7420 or unix:///run/bank.sock")
    except (OSError, TransportError) as error:
        fail(f"cannot serve at {listen}: {error}", code=ExitCode.FAILED)


async def _serve(server: Server, listen: str, names: str) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        try:
            async with anyio.create_task_group() as group:
                address = await group.start(server.serve, listen)
                typer.echo(f"serving {names} at {address}", err=True)
                async for _ in signals:
                    group.cancel_scope.cancel()
                    break
        except BaseExceptionGroup as errors:
            # Of one task, so of one error; but a group all the same.
            if len(errors.exceptions) == 1:
                raise errors.exceptions[0] from None
            raise


def _accepted(
    ntlm_accounts: Path | None, keytab: Path | None, service_principal: str | None
) -> list[ServerCredentials]:
    accept: list[ServerCredentials] = []
    if keytab is not None:
        accept.append(Keytab(keytab, principal=service_principal))
    elif service_principal is not None:
        fail("--service-principal needs --keytab")
    if ntlm_accounts is not None:
        accept.append(AccountFile(ntlm_accounts))
    if not accept:
        fail(
            "nobody could be authenticated",
            hint="give --ntlm-accounts FILE, --keytab FILE or both",
        )
    for path in (ntlm_accounts, keytab):
        if path is not None and not path.is_file():
            fail(f"there is no file {path}")
    return accept


def _check_backend(backend: Backend) -> None:
    module = {Backend.TRIO: "trio", Backend.UVLOOP: "uvloop"}.get(backend)
    if module is not None and find_spec(module) is None:
        fail(
            f"{backend.value} is not installed",
            hint=f"pip install 'signetrpc[{module}]'",
        )
