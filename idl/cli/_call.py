"""`signet call`."""

import getpass
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from signetrpc.rpc import (
    ImpersonationLevel,
    Password,
    Protection,
    RpcError,
    SecurityPolicy,
    connect_blocking,
)
from signetrpc.rpc._handlers import Handler, ServiceDefinition
from signetrpc.rpc._metadata import metadata as checked_metadata
from signetrpc.transport.errors import TransportError

from ._arguments import parse_arguments, parse_metadata
from ._exits import ExitCode, fail, status_exit
from ._failures import told
from ._interfaces import load_definition
from ._making import AnyMethod, make_call
from ._tls_files import CertificateFile, KeyFile, client_tls

__all__ = ["Allowed", "Level", "call"]


_NO_USER = (
    "without --user the call is made with the Kerberos tickets of the signed-in user; "
    "kinit gets them, --service-principal says whom they are for"
)


class Level(StrEnum):
    """The levels by the names of the command line."""

    NONE = "none"
    SIGN = "sign"
    SEAL = "seal"

    @property
    def protection(self) -> Protection:
        """The level itself."""
        return Protection[self.name]


class Allowed(StrEnum):
    """What a server may do with an identity, by the names of the command line."""

    IDENTIFY = "identify"
    IMPERSONATE = "impersonate"
    DELEGATE = "delegate"

    @property
    def level(self) -> ImpersonationLevel:
        """The level itself."""
        return ImpersonationLevel[self.name]


def call(
    target: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="HOST:PORT or unix:///path.")
    ],
    method: Annotated[
        str,
        typer.Argument(metavar="SERVICE/METHOD", help="Such as bank.Accounts/balance."),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE",
            help="Plain for texts, numbers, dates and enums; JSON for the rest.",
        ),
    ] = None,
    *,
    interface: Annotated[
        str,
        typer.Option(metavar="MODULE:CLASS", help="The class of the service."),
    ],
    user: Annotated[
        str | None,
        typer.Option(
            metavar="USER",
            help=r"Such as CORP\alice or alice@EXAMPLE.COM. "
            "Without it: the Kerberos tickets of the signed-in user.",
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its first line is the password; - is standard input. "
            "Without it the password is asked for.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="How long the call may take."),
    ] = None,
    protection: Annotated[
        Level | None,
        typer.Option(help="Ask for a higher level than the method declares."),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="May be repeated; base64 for keys in -bin."
        ),
    ] = None,
    service_principal: Annotated[
        str | None,
        typer.Option(
            metavar="SPN",
            help="The server's Kerberos principal. Default: host/HOST.",
        ),
    ] = None,
    kerberos_only: Annotated[
        bool,
        typer.Option(
            "--kerberos-only",
            help="Refuse NTLM, and so a server that does not prove itself.",
        ),
    ] = False,
    impersonation: Annotated[
        Allowed | None,
        typer.Option(
            help="What the server may do with your identity. Default: impersonate."
        ),
    ] = None,
    delegate: Annotated[
        bool,
        typer.Option(
            "--delegate",
            help="Let the server call others as you: --impersonation delegate.",
        ),
    ] = False,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls", help="Over TLS, trusting the system's certificate authorities."
        ),
    ] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Over TLS, trusting these; PEM."),
    ] = None,
    tls_server_name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Over TLS, to the name in the server's certificate. Default: HOST.",
        ),
    ] = None,
    tls_certificate: CertificateFile = None,
    tls_key: KeyFile = None,
) -> None:
    """Call a method and print its result as JSON.

    Of a stream that the method takes, standard input has an item in JSON on each line.

    Of a stream that it gives, each item is printed on a line, as it comes.

    Exit codes: 0, the call succeeded; 2, the command is wrong;

    3, the server was not reached, or one end did not accept the other;

    64 and more, the call failed with the status code 64 less: 69 is NOT_FOUND.
    """
    definition = load_definition(interface)
    handler = _handler(definition, method)
    if handler.method.kind.takes_items and str(password_file) == "-":
        fail(
            "--password-file - reads standard input, which has the items of the stream",
            hint="give --password-file FILE",
        )
    prepared = parse_arguments(arguments or [], handler, definition.schema)
    pairs = parse_metadata(metadata or [])
    try:
        checked_metadata(pairs)
    except ValueError as error:
        fail(str(error))
    channel: dict[str, Any] = {
        "tls": client_tls(tls, tls_ca, tls_server_name, tls_certificate, tls_key),
        "credentials": _credentials(user, password_file),
        "service_principal": service_principal,
        "impersonation": _allowed(impersonation, delegate).level,
    }
    if kerberos_only:
        channel["policy"] = SecurityPolicy.kerberos_only()
    options: dict[str, Any] = {
        "timeout": timeout,
        "metadata": pairs,
        "protection": None if protection is None else protection.protection,
    }
    try:
        with connect_blocking(target, **channel) as connected:
            make_call(connected, cast("AnyMethod", handler.method), prepared, options)
    except RpcError as error:
        typer.echo(told(error), err=True)
        raise typer.Exit(status_exit(error.status)) from None
    except ValueError as error:
        fail(str(error))
    except BrokenPipeError:  # whoever read the output has enough
        raise
    except (OSError, TransportError) as error:
        fail(
            str(error) or type(error).__name__,
            hint="" if user is not None else _NO_USER,
            code=ExitCode.NO_CONNECTION,
        )


def _allowed(impersonation: Allowed | None, delegate: bool) -> Allowed:
    if not delegate:
        return impersonation or Allowed.IMPERSONATE
    if impersonation not in (None, Allowed.DELEGATE):
        fail(f"--delegate and --impersonation {impersonation} are not the same")
    return Allowed.DELEGATE


def _handler(definition: ServiceDefinition, method: str) -> Handler:
    found = definition.handlers.get(method)
    if found is None:
        fail(
            f"the interface has no method {method}",
            hint=f"it has {', '.join(definition.handlers)}",
        )
    return found


def _credentials(user: str | None, password_file: Path | None) -> Password | None:
    if user is None:
        if password_file is not None:
            fail("--password-file needs --user")
        return None
    try:
        return Password(user, _password(user, password_file))
    except ValueError as error:
        fail(f"--user: {error}")


def _password(user: str, path: Path | None) -> str:
    if path is None:
        try:
            with warnings.catch_warnings(
                action="error", category=getpass.GetPassWarning
            ):
                return getpass.getpass(f"Password of {user}: ")
        except (EOFError, getpass.GetPassWarning):  # where it would be seen, too
            fail("no password", hint="give --password-file FILE")
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # A decoding error would show the file's bytes.
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        fail(f"cannot read the password file {path}: {reason}")
    return text.partition("\n")[0].removesuffix("\r")
