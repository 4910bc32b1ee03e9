"""Suite `aes256gcm`: AES-256-GCM under keys of the session, with forward secrecy.

    PRK  = HKDF-Extract(salt = T, u16 length | session_key | X25519 shared secret)
    key  = HKDF-Expand(PRK, "signetrpc1 aes256gcm " + "c2s"/"s2c" + " sign"/" seal", 32)
    seal = AES-256-GCM(plaintext), associated data: the frame header
    sign = plaintext | tag, everything as associated data (GMAC)

T is the transcript's hash, so keys of another handshake fit nothing.  The exchange
means that a password cracked or a keytab stolen later opens no recorded traffic.

Nonces are one 64-bit counter for each direction, and before it in 32 bits how many of
the frames it counted were unprotected.  Every frame advances the counter, whatever its
key, and nothing resets it: no nonce is ever used twice, and a frame that is dropped,
repeated or moved breaks the count.  So does one that is replaced by an unprotected one,
which the counter alone would not show: that is what the 32 bits are for.

After 2^24 records or 64 GiB the sender ratchets its keys with a REKEY frame, long
before AES-GCM's bounds (RFC 5116, NIST SP 800-38D section 8.3).

Wire: docs/wire.md#suite-aes256gcm.  Precedent: SMB 3.1.1 keys from the session key.
"""

import hmac
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from ._frames import HEADER, Frame, FrameType
from ._protection import Protection, SuiteName
from .errors import IntegrityError, RemoteProtocolError

__all__ = ["AeadSuite", "REKEY_BYTES", "REKEY_FRAMES", "public_key", "shared_secret"]

REKEY_FRAMES: Final = 1 << 24
"""Frames after which a sender must take new keys."""
REKEY_BYTES: Final = 64 << 30
"""Plaintext bytes after which a sender must take new keys."""
_FEWEST_FRAMES: Final = 1 << 16
"""A REKEY sooner than so many frames after the last is somebody's attack."""

_LENGTH: Final = Struct(">H")
_NONCE: Final = Struct(">IQ")
_TAG: Final = 16
_LABEL: Final = b"signetrpc1 aes256gcm "
_NONE, _SIGN, _SEAL = Protection.NONE, Protection.SIGN, Protection.SEAL


def public_key(secret: bytes) -> bytes:
    """Return the X25519 public key of 32 secret random bytes."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def shared_secret(secret: bytes, peer: bytes) -> bytes:
    """Return the X25519 shared secret.

    Raises:
        RemoteProtocolError: The peer's key forces an all-zero one (RFC 7748
            section 6.1).
    """
    private = X25519PrivateKey.from_private_bytes(secret)
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:
        shared = b""
    if not any(shared):
        raise RemoteProtocolError("the peer's X25519 key gives an all-zero secret")
    return shared


def _extract(transcript: bytes, session_key: bytes, shared: bytes) -> bytes:
    material = _LENGTH.pack(len(session_key)) + session_key + shared
    return hmac.digest(transcript, material, "sha256")


def _expand(key: bytes, label: bytes) -> bytes:
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=label).derive(key)


class _Direction:
    """The keys and the count of one direction."""

    __slots__ = ("counter", "frames", "keys", "seal", "sign", "total", "unprotected")

    def __init__(self, sign: bytes, seal: bytes) -> None:
        self.counter = 0
        self.unprotected = 0
        self._take(sign, seal)

    def _take(self, sign: bytes, seal: bytes) -> None:
        self.keys = (sign, seal)
        self.sign = AESGCM(sign)
        self.seal = AESGCM(seal)
        self.frames = 0
        self.total = 0

    def ratchet(self) -> None:
        """Take the next keys; the old ones cannot be had from them."""
        sign, seal = self.keys
        label = b"signetrpc1 rekey"
        self._take(_expand(sign, label), _expand(seal, label))

    @property
    def worn(self) -> bool:
        return self.frames >= REKEY_FRAMES or self.total >= REKEY_BYTES

    def next_nonce(self, size: int) -> bytes:
        """Count a protected frame of `size` plaintext bytes and return its nonce."""
        nonce = _NONCE.pack(self.unprotected & 0xFFFFFFFF, self.counter)
        self._count(size)
        return nonce

    def pass_over(self, size: int) -> None:
        """Count an unprotected frame."""
        self.unprotected += 1
        self._count(size)

    def _count(self, size: int) -> None:
        self.counter += 1
        self.frames += 1
        self.total += size


class AeadSuite:
    """Protects frames with AES-256-GCM."""

    name = SuiteName.AES256GCM
    guards = True
    control_level = Protection.SIGN
    overhead = _TAG
    exhausted = False

    def __init__(
        self, *, initiator: bool, transcript: bytes, session_key: bytes, shared: bytes
    ) -> None:
        """Derive the keys.

        Args:
            initiator: True on the client's side.
            transcript: The final T, 32 bytes.
            session_key: The security context's.
            shared: The X25519 shared secret.
        """
        prk = _extract(transcript, session_key, shared)
        client, server = (
            _Direction(
                _expand(prk, _LABEL + way + b" sign"),
                _expand(prk, _LABEL + way + b" seal"),
            )
            for way in (b"c2s", b"s2c")
        )
        self._out, self._in = (client, server) if initiator else (server, client)

    def effective(self, level: Protection) -> Protection:
        """Every level is to be had, and counts as itself."""
        return level

    def protect(self, kind: FrameType, level: Protection, plaintext: bytes) -> bytes:
        """Return the whole frame, with a REKEY before it when one is due."""
        out = self._out
        if out.worn:
            rekey = self._protect(FrameType.REKEY, _SIGN, b"")
            out.ratchet()
            return rekey + self._protect(kind, level, plaintext)
        return self._protect(kind, level, plaintext)

    def _protect(self, kind: FrameType, level: Protection, plaintext: bytes) -> bytes:
        out = self._out
        size = len(plaintext)
        if level == _NONE:
            out.pass_over(size)
            return HEADER.pack(kind, level, 0, size) + plaintext
        nonce = out.next_nonce(size)
        header = HEADER.pack(kind, level, 0, size + _TAG)
        if level == _SEAL:
            return header + out.seal.encrypt(nonce, plaintext, header)
        signed = header + plaintext
        return signed + out.sign.encrypt(nonce, b"", signed)

    def unprotect(self, frame: Frame) -> bytes:
        """Return the plaintext of the next frame."""
        kind, level, header, body = frame
        into = self._in
        if into.worn and kind is not FrameType.REKEY:
            raise RemoteProtocolError("the peer went on past the life of its keys")
        if level == _NONE:
            into.pass_over(len(body))
            return bytes(body)
        nonce = into.next_nonce(max(0, len(body) - _TAG))
        try:
            if level == _SEAL:
                return into.seal.decrypt(nonce, body, header)
            signed = b"".join((header, body[:-_TAG]))
            into.sign.decrypt(nonce, body[-_TAG:], signed)
        except (InvalidTag, ValueError) as error:
            name = Protection(level).name
            raise IntegrityError(
                f"{kind.name} frame of level {name} fails its check"
            ) from error
        return signed[len(header) :]

    def rekey(self, frame: Frame) -> None:
        """Take the peer's next keys, as its REKEY says.

        Raises:
            IntegrityError: It is not the peer's.
            RemoteProtocolError: It is too early, or carries something.
        """
        into = self._in
        if frame.level != _SIGN:
            raise IntegrityError(f"REKEY frame of level {frame.level}, not 1")
        taken = into.frames
        if self.unprotect(frame):
            raise RemoteProtocolError("a REKEY frame carries no data")
        if taken < _FEWEST_FRAMES:
            raise RemoteProtocolError(
                f"REKEY frame after {taken} frames, at least {_FEWEST_FRAMES}"
            )
        into.ratchet()
