"""TLS below the frames: over any pipe, with the server always verified.

The certificate's subject is the peer's identity where TLS alone authenticates; under
Negotiate it is what the proof is bound to.
"""

import hashlib
import ssl
from dataclasses import dataclass, field
from os import PathLike, fspath

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from ._frames import HEADER, FrameType
from ._hello import rejection
from ._identity import ANONYMOUS, Identity, Mechanism
from ._pipes import Pipe
from ._pipes_tls import PipeOverTls
from ._security import SecurityPolicy
from .errors import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
    LocalProtocolError,
)

__all__ = [
    "ClientTls",
    "ServerTls",
    "TlsPipe",
    "certificate_hash",
    "check_tls",
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
    return certificate.public_bytes(Encoding.DER)


def check_tls(policy: SecurityPolicy) -> None:
    """Refuse a policy that does not allow TLS by itself to authenticate.

    Raises:
        LocalProtocolError: It allows other mechanisms only.
    """
    allowed = policy.mechanisms
    if allowed is not None and Mechanism.TLS not in allowed:
        raise LocalProtocolError(
            f"the policy allows {', '.join(sorted(allowed)) or 'no mechanism'}; "
            "TLS by itself authenticates by certificates"
        )


def certificate_hash(der: bytes) -> bytes:
    """Return what FINISHED binds to: SHA-256 of the server's certificate."""
    return hashlib.sha256(der).digest()


def end_point_binding(der: bytes) -> bytes:
    """Return the application data for the mechanism's channel bindings.

    Source: RFC 5929 section 4.1: the hash is that of the certificate's signature, but
    SHA-256 for MD5 and SHA-1, and for a signature without one.

    Raises:
        HandshakeError: The certificate's signature has a form that is not known.
    """
    try:
        used = x509.load_der_x509_certificate(der).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm) as error:
        raise HandshakeError(
            f"there is no channel binding to the server's certificate: {error}"
        ) from error
    name = "sha256" if used is None or used.name in {"md5", "sha1"} else used.name
    return b"tls-server-end-point:" + hashlib.new(name, der).digest()


def _identity(der: bytes | None, *, mutual: bool, name: str = "") -> Identity:
    """Return who a certificate names.

    Args:
        der: The certificate, verified; None if there is none.
        mutual: Whether each end proved itself.
        name: Stands for a subject that is empty: the host that was verified.

    Raises:
        AuthenticationFailed: It cannot be read, or it names nobody.
    """
    if der is None:
        return ANONYMOUS
    try:
        # OpenSSL takes some certificates that this stricter reader does not.
        certificate = x509.load_der_x509_certificate(der)
        subject = certificate.subject.rfc4514_string()
        issuer = certificate.issuer.rfc4514_string()
    except ValueError as error:
        raise AuthenticationFailed(
            "the peer's certificate cannot be read", reason=FailureReason.MALFORMED
        ) from error
    if not (subject or name):
        # All who have such a certificate would be one and the same caller.
        raise AuthenticationFailed(
            "the client's certificate has no subject", reason=FailureReason.NOT_PROVEN
        )
    return Identity(
        mechanism=Mechanism.TLS,
        name=subject or name,
        realm=issuer,
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


class _Client(PipeOverTls):
    """A client's end, which knows the answer of a server that has no room."""

    _begun = False

    def first_bytes(self, data: bytes) -> None:
        """Raise what a REJECT says that came in place of TLS.

        A full server says so before it spends a handshake on anybody.  The frame
        cannot be taken for a TLS record, whose types are 20 and up.
        """
        begun, self._begun = self._begun, True
        if not begun and data[0] == FrameType.REJECT:
            raise rejection(data[HEADER.size :])


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
    try:
        over = _Client(pipe, context, server_side=False, hostname=name)
    except ValueError as error:
        raise HandshakeError(f"{name!r} is no host name: {error}") from error
    await _shake_hands(over)
    certificate = over.peer_certificate
    assert certificate is not None  # the context verifies, so there is one
    peer = _identity(certificate, mutual=tls.certificate is not None, name=name)
    return TlsPipe(over, peer, certificate)


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
    over = PipeOverTls(pipe, context, server_side=True)
    await _shake_hands(over)
    peer = _identity(over.peer_certificate, mutual=True)
    return TlsPipe(over, peer, certificate)


async def _shake_hands(over: PipeOverTls) -> None:
    try:
        await over.shake_hands()
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
