"""TLS below the frames: over any pipe, with the server always verified.

The certificate's subject is the peer's identity where TLS alone authenticates; under
Negotiate it is what the proof is bound to.
"""

import hashlib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, Final

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream
from cryptography import x509

from ._identity import ANONYMOUS, Identity, Mechanism
from ._pipes import Pipe, StreamPipe
from .errors import (
    AuthenticationFailed,
    ConnectionClosed,
    FailureReason,
    HandshakeError,
)

__all__ = [
    "ClientTls",
    "ServerTls",
    "TlsPipe",
    "certificate_hash",
    "end_point_binding",
    "wrap_client",
    "wrap_server",
]

_Path = str | PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """How a client does TLS.  The server is always verified.

    Attributes:
        ca: File of the certificates to trust, PEM.  None: the system's.
        server_name: The name the server's certificate must have.  None: the host as
            typed; a unix socket needs it.
        certificate: The client's own certificate chain, PEM, if it has one.
        key: Its private key, PEM; None if it is in the same file.
    """

    ca: _Path | None = None
    server_name: str | None = None
    certificate: _Path | None = None
    key: _Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return an SSL context.

        Raises:
            OSError: A file cannot be read.
        """
        cafile = None if self.ca is None else fspath(self.ca)
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=cafile)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            _load(context, self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """How a server does TLS.

    Attributes:
        certificate: Its certificate chain, PEM.
        key: Its private key, PEM; None if it is in the same file.
        client_ca: File of the certificates that clients' are verified against, PEM.
            None: clients are not asked for one.
        require_client: Refuse clients without a certificate; needs `client_ca`.
    """

    certificate: _Path
    key: _Path | None = None
    client_ca: _Path | None = None
    require_client: bool = False

    def __post_init__(self) -> None:
        if self.require_client and self.client_ca is None:
            raise ValueError("require_client needs client_ca to verify clients against")

    def context(self) -> ssl.SSLContext:
        """Return an SSL context.

        Raises:
            OSError: A file cannot be read.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(context, self.certificate, self.key)
        if self.client_ca is not None:
            context.load_verify_locations(fspath(self.client_ca))
            required = self.require_client
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return context

    def own_certificate(self) -> bytes:
        """Return the server's certificate, DER: the first in its file."""
        with open(self.certificate, "rb") as file:
            found = x509.load_pem_x509_certificates(file.read())
        return _der(found[0])


def _load(context: ssl.SSLContext, certificate: _Path, key: _Path | None) -> None:
    context.load_cert_chain(fspath(certificate), None if key is None else fspath(key))


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def certificate_hash(der: bytes) -> bytes:
    """Return what FINISHED binds to: SHA-256 of the server's certificate."""
    return hashlib.sha256(der).digest()


def end_point_binding(der: bytes) -> bytes:
    """Return the application data for the mechanism's channel bindings.

    Source: RFC 5929 section 4.1: the hash is that of the certificate's signature, but
    SHA-256 for MD5 and SHA-1, and for a signature without one.
    """
    used = x509.load_der_x509_certificate(der).signature_hash_algorithm
    name = "sha256" if used is None or used.name in {"md5", "sha1"} else used.name
    return b"tls-server-end-point:" + hashlib.new(name, der).digest()


def _identity(der: bytes | None, *, mutual: bool) -> Identity:
    if der is None:
        return ANONYMOUS
    certificate = x509.load_der_x509_certificate(der)
    return Identity(
        mechanism=Mechanism.TLS,
        name=certificate.subject.rfc4514_string(),
        realm=certificate.issuer.rfc4514_string(),
        mutual=mutual,
        expires_at=certificate.not_valid_after_utc.timestamp(),
    )


@dataclass(frozen=True, slots=True)
class TlsPipe:
    """A pipe over TLS, and what TLS proved.

    Attributes:
        pipe: Carries what TLS opened.
        peer: The peer by its certificate; anonymous without one.
        server_certificate: DER.
    """

    pipe: Pipe
    peer: Identity
    server_certificate: bytes = field(repr=False)


class _PipeStream(ByteStream):
    """A pipe as the byte stream that anyio's TLS wants."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            data = await self._pipe.receive()
        except ConnectionClosed as error:
            raise anyio.BrokenResourceError from error
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        self._pipe.write(item)
        try:
            await self._pipe.drain()
        except ConnectionClosed as error:
            raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        raise NotImplementedError("TLS cannot close one direction")

    async def aclose(self) -> None:
        await self._pipe.aclose(linger=False)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}


_PEER: Final = TLSAttribute.peer_certificate_binary


async def wrap_client(
    pipe: Pipe, tls: ClientTls, context: ssl.SSLContext, host: str
) -> TlsPipe:
    """Shake hands as a client.

    Args:
        pipe: The connection.
        tls: How.
        context: Of `tls.context()`.
        host: The host as typed; empty on a unix socket.

    Raises:
        AuthenticationFailed: The server's certificate is not good.
        HandshakeError: TLS failed otherwise.
        ConnectionClosed: The peer went away.
    """
    name = tls.server_name or host
    if not name:
        raise HandshakeError("TLS on a unix socket needs server_name to verify")
    stream = await _shake_hands(pipe, context, server_side=False, hostname=name)
    certificate: bytes | None = stream.extra(_PEER)
    assert certificate is not None  # the context verifies, so there is one
    peer = _identity(certificate, mutual=tls.certificate is not None)
    return TlsPipe(StreamPipe(stream), peer, certificate)


async def wrap_server(
    pipe: Pipe, context: ssl.SSLContext, certificate: bytes
) -> TlsPipe:
    """Shake hands as a server.

    Args:
        pipe: The connection.
        context: Of `ServerTls.context()`.
        certificate: The server's own, DER.

    Raises:
        AuthenticationFailed: The client's certificate is missing or not good.
        HandshakeError: TLS failed otherwise.
        ConnectionClosed: The peer went away.
    """
    stream = await _shake_hands(pipe, context, server_side=True, hostname=None)
    peer = _identity(stream.extra(_PEER, None), mutual=True)
    return TlsPipe(StreamPipe(stream), peer, certificate)


async def _shake_hands(
    pipe: Pipe, context: ssl.SSLContext, *, server_side: bool, hostname: str | None
) -> TLSStream:
    try:
        return await TLSStream.wrap(
            _PipeStream(pipe),
            server_side=server_side,
            hostname=hostname,
            ssl_context=context,
            # Truncation is found by CLOSE, which is authenticated all the same.
            standard_compatible=False,
        )
    except ssl.SSLCertVerificationError as error:
        raise AuthenticationFailed(
            f"the peer's certificate is not good: {error.verify_message}",
            reason=FailureReason.NOT_PROVEN,
        ) from error
    except ssl.SSLError as error:
        if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            raise AuthenticationFailed(
                "the client has no certificate", reason=FailureReason.NO_CREDENTIALS
            ) from error
        raise HandshakeError(f"TLS failed: {error.reason or error}") from error
    except (anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise ConnectionClosed(
            "the connection ended during the TLS handshake", clean=False
        ) from error
