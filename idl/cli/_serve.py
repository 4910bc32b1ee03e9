"""`signet serve`."""

import logging
import signal
import ssl
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from signetrpc.rpc import (
    AccountFile,
    ChannelBinding,
    ImpersonationError,
    Keytab,
    SchemaError,
    SecurityPolicy,
    Server,
    ServerCredentials,
    Winbind,
)
from signetrpc.transport.errors import TransportError

from ._callers import caller_options, runs_as
from ._exits import ExitCode, fail
from ._interfaces import load_class, load_definition
from ._tls_files import CertificateFile, KeyFile, check_file, server_tls

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
    winbind: Annotated[
        bool,
        typer.Option(
            "--winbind", help="Accept NTLM; this machine's domain knows the accounts."
        ),
    ] = False,
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
    tls_certificate: CertificateFile = None,
    tls_key: KeyFile = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Refuse clients without a certificate of these authorities; PEM.",
        ),
    ] = None,
    channel_binding: Annotated[
        ChannelBinding,
        typer.Option(help="Whether a caller's proof must be bound to the TLS channel."),
    ] = ChannelBinding.WHEN_SUPPORTED,
    impersonate: Annotated[
        bool,
        typer.Option(
            "--impersonate",
            help="Run handlers as their callers' local users, in processes of theirs.",
        ),
    ] = False,
    users: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Which local user a caller is; TOML. Without it: what krb5.conf says "
            "with Kerberos, what winbind says with NTLM.",
        ),
    ] = None,
    authorize: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Who may call what; TOML. Without it: everybody who authenticated.",
        ),
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append a line of JSON for each call."),
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.0,
            help="What calls under way have to finish when the server is stopped.",
        ),
    ] = 30.0,
    backend: Annotated[Backend, typer.Option(help="The event loop.")] = Backend.ASYNCIO,
) -> None:
    """Serve one or more service classes until interrupted.

    Callers have to authenticate: by Kerberos against a keytab, by NTLM against an
    account file or the domain.
    """
    definitions = [load_definition(target) for target in targets]
    classes = [load_class(target) for target in targets]
    accept = _accepted(ntlm_accounts, winbind, keytab, service_principal)
    tls = server_tls(tls_certificate, tls_key, tls_client_ca)
    if tls is None and channel_binding is ChannelBinding.ALWAYS:
        fail("--channel-binding always needs --tls-certificate")
    _check_backend(backend)
    started = runs_as(definitions, impersonate=impersonate)
    options = caller_options(
        definitions, accept, impersonate, users=users, authorize=authorize, audit=audit
    )
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        policy = SecurityPolicy(channel_binding=channel_binding)
        server = TellingServer(
            classes, accept=accept, policy=policy, tls=tls, **options
        )
    except SchemaError as error:
        fail(error.message, hint=error.hint)
    except ImpersonationError as error:
        fail(str(error), code=ExitCode.FAILED)
    except Exception as error:
        fail(f"a service cannot be made: {type(error).__name__}: {error}")
    loop: dict[str, Any] = {"backend": backend.value}
    if backend is Backend.UVLOOP:
        loop = {"backend": "asyncio", "backend_options": {"use_uvloop": True}}
    try:
        anyio.run(_serve, server, listen, started, grace, **loop)
    except ValueError as error:
        fail(str(error), hint="like 127.0.0.1:7420 or unix:///run/bank.sock")
    except ssl.SSLError as error:
        fail(
            f"cannot serve with the certificate {tls_certificate}: "
            f"{error.reason or error}",
            hint="each file is PEM, and the key is that of the first certificate",
            code=ExitCode.FAILED,
        )
    except ImpersonationError as error:
        fail(str(error), code=ExitCode.FAILED)
    except OSError as error:
        # With the address in it, where it is of the address.
        fail(error.strerror or str(error), code=ExitCode.FAILED)
    except TransportError as error:
        fail(f"cannot serve at {listen}: {error}", code=ExitCode.FAILED)


class TellingServer(Server):
    """A server that says what it waits for when it stops."""

    async def drain(self, grace: float = 30.0) -> None:
        if self.busy:
            typer.echo(
                f"finishing calls within {grace:g} seconds; "
                "another signal ends at once",
                err=True,
            )
        await super().drain(grace)


async def _serve(server: Server, listen: str, started: str, grace: float) -> None:
    stop = (signal.SIGINT, signal.SIGTERM)
    try:
        async with anyio.create_task_group() as group:
            serve = partial(server.serve, drain_on=stop, grace=grace)
            address = await group.start(serve, listen)
            names = ", ".join(server.service_names)
            typer.echo(f"serving {names} at {address}", err=True)
            typer.echo(started, err=True)
    except BaseExceptionGroup as errors:
        # Of one task, so of one error; but a group all the same.
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from None
        raise


def _accepted(
    ntlm_accounts: Path | None,
    winbind: bool,
    keytab: Path | None,
    service_principal: str | None,
) -> list[ServerCredentials]:
    accept: list[ServerCredentials] = []
    if keytab is not None:
        accept.append(Keytab(keytab, principal=service_principal))
    elif service_principal is not None:
        fail("--service-principal needs --keytab")
    if ntlm_accounts is not None and winbind:
        fail("NTLM is verified by --ntlm-accounts or --winbind, not both")
    if ntlm_accounts is not None:
        accept.append(AccountFile(ntlm_accounts))
    if winbind:
        accept.append(Winbind())
    if not accept:
        fail(
            "nobody could be authenticated",
            hint="give --keytab FILE, --ntlm-accounts FILE or --winbind",
        )
    for path in (ntlm_accounts, keytab):
        check_file(path)
    return accept


def _check_backend(backend: Backend) -> None:
    module = {Backend.TRIO: "trio", Backend.UVLOOP: "uvloop"}.get(backend)
    if module is not None and find_spec(module) is None:
        fail(
            f"{backend.value} is not installed",
            hint=f"pip install 'signetrpc[{module}]'",
        )
