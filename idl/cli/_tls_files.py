"""TLS of the command line: its options are files, and any of them asks for it."""

from pathlib import Path
from typing import Annotated

import typer

from signetrpc.rpc import ClientTls, ServerTls

from ._exits import fail

__all__ = ["CertificateFile", "KeyFile", "check_file", "client_tls", "server_tls"]


CertificateFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Over TLS, with this certificate chain of its own; PEM."
    ),
]
"""`--tls-certificate`, which both commands have."""

KeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The certificate's private key, PEM. Without it: in the same file.",
    ),
]
"""`--tls-key`, which both commands have."""


def server_tls(
    certificate: Path | None, key: Path | None, client_ca: Path | None
) -> ServerTls | None:
    """Return how to serve, None without TLS; exit if the options do not fit."""
    if certificate is None:
        for option, path in (("--tls-key", key), ("--tls-client-ca", client_ca)):
            if path is not None:
                fail(f"{option} needs --tls-certificate")
        return None
    for path in (certificate, key, client_ca):
        check_file(path)
    return ServerTls(
        certificate=certificate,
        key=key,
        client_ca=client_ca,
        # To ask for a certificate and do without would be of no use: it is Negotiate
        # that says who calls.
        require_client=client_ca is not None,
    )


def client_tls(
    asked: bool,
    ca: Path | None,
    server_name: str | None,
    certificate: Path | None,
    key: Path | None,
) -> ClientTls | None:
    """Return how to call, None without TLS; exit if the options do not fit."""
    if key is not None and certificate is None:
        fail("--tls-key needs --tls-certificate")
    if not asked and ca is None and server_name is None and certificate is None:
        return None
    for path in (ca, certificate, key):
        check_file(path)
    return ClientTls(ca=ca, server_name=server_name, certificate=certificate, key=key)


def check_file(path: Path | None) -> None:
    """Exit if an option names a file that is not there."""
    if path is not None and not path.is_file():
        fail(f"there is no file {path}")
