"""A throw-away certificate authority, and certificates of every kind of badness."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from signetrpc.transport import ClientTls, ServerTls

__all__ = ["Authority", "Certified"]

_Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_Hash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate and its key, each in a file.

    Attributes:
        file: The certificate, PEM.
        key: Its private key, PEM.
        der: The certificate, DER.
    """

    file: Path
    key: Path
    der: bytes


class Authority:
    """Signs certificates for tests.

    Attributes:
        file: Its own certificate, PEM: what to trust.
    """

    def __init__(
        self, folder: Path, name: str = "Test CA", *, ed25519_key: bool = False
    ) -> None:
        """Make one that keeps its files in a folder."""
        self._folder = folder
        self._count = 0
        self._name = _subject(name)
        self._key: _Key = _new_key(ed25519_key=ed25519_key)
        own = self._sign(
            self._name, self._key, names=(), authority=True, digest=hashes.SHA256()
        )
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        subject: str = "localhost",
        *,
        names: tuple[str, ...] = ("localhost", "127.0.0.1"),
        digest: _Hash | None = None,
        ends: timedelta = timedelta(hours=1),
    ) -> Certified:
        """Return a new certificate.

        Args:
            subject: Its common name; empty for a subject without any.
            names: Hosts and IP addresses it is for.
            digest: The hash of its signature.
            ends: From now; it began a day before that.
        """
        key = _new_key()
        certificate = self._sign(
            _subject(subject),
            key,
            names=names,
            digest=digest or hashes.SHA256(),
            ends=ends,
        )
        self._count += 1
        file = self._folder / f"{self.file.stem}-{self._count}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file = file.with_suffix(".key")
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        der = certificate.public_bytes(serialization.Encoding.DER)
        return Certified(file, key_file, der)

    def _sign(
        self,
        subject: x509.Name,
        key: _Key,
        *,
        names: tuple[str, ...],
        digest: _Hash,
        authority: bool = False,
        ends: timedelta = timedelta(hours=1),
    ) -> x509.Certificate:
        end = datetime.now(UTC) + ends
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=1))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]),
                critical=False,
            )
        signer = self._key
        if isinstance(signer, ed25519.Ed25519PrivateKey):
            return builder.sign(signer, None)
        return builder.sign(signer, digest)

    def server(
        self, certified: Certified | None = None, *, require_client: bool | None = None
    ) -> ServerTls:
        """Return how a server does TLS.

        Args:
            certified: Its certificate; None for a good one.
            require_client: None: clients are not asked for a certificate.
        """
        own = certified or self.issue()
        return ServerTls(
            certificate=own.file,
            key=own.key,
            client_ca=None if require_client is None else self.file,
            require_client=bool(require_client),
        )

    def client(
        self, certified: Certified | None = None, *, server_name: str | None = None
    ) -> ClientTls:
        """Return how a client does TLS that trusts this authority."""
        return ClientTls(
            ca=self.file,
            server_name=server_name,
            certificate=None if certified is None else certified.file,
            key=None if certified is None else certified.key,
        )


def _subject(name: str) -> x509.Name:
    named = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else []
    return x509.Name(named)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _new_key(*, ed25519_key: bool = False) -> _Key:
    if ed25519_key:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())
