"""The client's NTLM messages, read before gss-ntlmssp is given them.

gss-ntlmssp keeps to itself what it took: a response of NTLMv1, an AUTHENTICATE without
a message integrity code.  It is also C that reads a peer's bytes before anybody is
authenticated, and copies sixteen of a session key that the client may have left out.
So each message is read here first, with every length checked, and what cannot come to
a strong exchange goes no further: winbind is not asked, and nobody learns from the
answer whether a password was right.

Source: MS-NLMP sections 2.2.1.1, 2.2.1.3, 2.2.2.1, 2.2.2.7 and 3.1.5.1.2.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from spnego._ntlm_raw.messages import NegotiateFlags

from .errors import AuthenticationFailed, FailureReason

__all__ = ["Authenticate", "check_negotiate", "flags_of_challenge", "read_authenticate"]

_SIGNATURE: Final = b"NTLMSSP\0"
_NEGOTIATE, _AUTHENTICATE = 1, 3
_NEGOTIATE_LENGTH: Final = 32

# LM response, NT response, domain, user, workstation, encrypted session key.
_FIELDS: Final = range(12, 60, 8)
_FLAGS: Final = 60
_MIC: Final = slice(72, 88)
_PAYLOAD: Final = 88

# An NTLMv2 response: the proof, then a client challenge whose pairs begin at its 28th
# byte.  NTLMv1's has 24 bytes in all (section 2.2.2.6).
_CHALLENGE: Final = 16
_PAIRS: Final = _CHALLENGE + 28
_SESSION_KEY: Final = 16

_END, _AV_FLAGS, _BINDINGS = 0, 6, 10
_MIC_PRESENT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """What an AUTHENTICATE message says; nothing of it is proven yet.

    Attributes:
        domain: As the client writes it.
        user: As the client writes it; not empty.
        flags: The `NegotiateFlags` that the client settled on.
        bindings: The hash of the channel bindings that the client saw, 16 bytes; empty
            if it presents none.
        encrypted_key: The session key of the client's making, 16 bytes, under a key
            that only the password opens.
        mic: The message integrity code, 16 bytes.
        covered: The message as the code covers it, with zeros in the code's place.
    """

    domain: str
    user: str
    flags: int
    bindings: bytes
    encrypted_key: bytes = field(repr=False)
    mic: bytes = field(repr=False)
    covered: bytes = field(repr=False)


def check_negotiate(token: bytes) -> None:
    """Raise unless `token` is a NEGOTIATE message of a connection.

    Raises:
        AuthenticationFailed: It is not, or asks for datagrams, which have no order.
    """
    _check_kind(token, _NEGOTIATE, _NEGOTIATE_LENGTH)
    if _number(token, 12) & NegotiateFlags.datagram:
        raise _malformed("it is for datagrams")


def flags_of_challenge(token: bytes) -> int:
    """Return the flags of our own CHALLENGE: those that gss-ntlmssp goes by."""
    return _number(token, 20)


def read_authenticate(token: bytes) -> Authenticate:
    """Read the client's last message.

    Raises:
        AuthenticationFailed: MALFORMED if it is not well formed; REFUSED if it is of a
            form that is not taken, whatever the password.
    """
    _check_kind(token, _AUTHENTICATE, _PAYLOAD)
    lm, nt, domain, user, _, key = (_payload(token, at) for at in _FIELDS)
    flags = _number(token, _FLAGS)
    if not flags & NegotiateFlags.version or not flags & NegotiateFlags.unicode:
        # Without a version the code would stand elsewhere, or nowhere.
        raise _malformed("it has no version, or its names are not Unicode")
    if len(key) != _SESSION_KEY:
        raise _malformed(f"its session key has {len(key)} bytes")
    names = [_text(domain), _text(user)]
    if not names[1]:
        raise _weak("it names no user")
    if any(lm):
        # Zeros, or nothing: the challenge has a time stamp (section 3.1.5.1.2).
        raise _weak("it has an LM response")
    pairs = _read_response(nt)
    return Authenticate(
        domain=names[0],
        user=names[1],
        flags=flags,
        # Sixteen zero bytes say that there are none (section 2.2.2.1).
        bindings=pairs.get(_BINDINGS, b"").strip(b"\0") and pairs[_BINDINGS],
        encrypted_key=key,
        mic=token[_MIC],
        covered=token[: _MIC.start] + bytes(16) + token[_MIC.stop :],
    )


def _read_response(response: bytes) -> dict[int, bytes]:
    """Return the pairs of a response that is NTLMv2 and announces an integrity code.

    The domain controller verifies the proof over all that follows it, so whoever is
    on the way cannot take the announcement out.
    """
    if len(response) < _PAIRS or response[_CHALLENGE : _CHALLENGE + 2] != b"\1\1":
        raise _weak("its response is not NTLMv2")
    pairs: dict[int, bytes] = {}
    for number, value in _pairs(response[_PAIRS:]):
        if number in pairs:
            raise _malformed("a pair is there twice")
        pairs[number] = value
    flags = pairs.get(_AV_FLAGS, b"")
    if len(flags) != 4 or not _number(flags, 0) & _MIC_PRESENT:
        raise _weak("it has no message integrity code")
    return pairs


def _pairs(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        number, length = struct.unpack_from("<HH", data, at)
        value = data[at + 4 : at + 4 + length]
        at += 4 + length
        if number == _END:
            return
        if at > len(data):
            break
        yield number, value
    raise _malformed("its list of pairs does not end")


def _check_kind(token: bytes, kind: int, shortest: int) -> None:
    if len(token) < shortest:
        raise _malformed(f"it has {len(token)} bytes")
    if not token.startswith(_SIGNATURE) or _number(token, 8) != kind:
        raise _malformed("it is of another kind")


def _payload(token: bytes, at: int) -> bytes:
    length, _, start = struct.unpack_from("<HHI", token, at)
    if length == 0:
        return b""
    if start < _PAYLOAD or start + length > len(token):
        raise _malformed("a field lies outside it")
    return token[start : start + length]


def _text(field_value: bytes) -> str:
    try:
        text = field_value.decode("utf-16-le")
    except UnicodeDecodeError:
        raise _malformed("a name is not UTF-16") from None
    if "\0" in text:
        # C would end the name there.
        raise _malformed("a name has a NUL")
    return text


def _number(data: bytes, at: int) -> int:
    number: int = struct.unpack_from("<I", data, at)[0]
    return number


def _malformed(what: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"the client's NTLM message cannot be taken: {what}",
        reason=FailureReason.MALFORMED,
    )


def _weak(what: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"too weak a form of NTLM: {what}", reason=FailureReason.REFUSED
    )
