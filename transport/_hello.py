"""HELLO and REJECT: what the ends say before they know each other.

Both HELLOs are msgpack maps.  Nothing in them is believed for good until FINISHED
has proved that both ends saw the same bytes.

Wire: docs/wire.md#hello.
"""

from enum import IntEnum
from typing import Annotated, Final, TypeVar

import msgpack
import msgspec
from msgspec import Meta

from ._protection import Protection
from .errors import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
    HandshakeTimeout,
    InsufficientProtection,
    RemoteProtocolError,
    TransportError,
)

__all__ = [
    "HELLO_LIMIT",
    "MAGIC",
    "SIZES",
    "VERSION",
    "ClientHello",
    "RejectCode",
    "ServerHello",
    "decode_hello",
    "encode_hello",
    "lowest",
    "reject_code",
    "rejection",
]

MAGIC: Final = "signetrpc"
VERSION: Final = 1
HELLO_LIMIT: Final = 4096

SIZES: Final = (1024, 1 << 30)
"""The least and the most that a limit in a HELLO may be, in bytes."""

_Name = Annotated[str, Meta(max_length=32)]
_Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Level = Annotated[int, Meta(ge=0, le=2)]
_Size = Annotated[int, Meta(ge=SIZES[0], le=SIZES[1])]


class ClientHello(msgspec.Struct, frozen=True, kw_only=True):
    """What the client offers.

    Attributes:
        versions: Protocol versions, best first.
        suites: Suites, best first.
        levels: Levels of protection the client can live with.
        max_record: Bytes a frame body may have towards the client.
        max_message: Bytes one message may have towards the client.
        protocol: The form of its tokens: `negotiate`, `kerberos`, `ntlm`; empty
            for suite `channel`, which has none.
        target: The service principal it wants to talk to, `host/name`, or empty.
        impersonation: 0 identify, 1 impersonate, 2 delegate.
        nonce: 32 random bytes.
        key: X25519 public key, for suites that need one.
        features: Names of optional features; unknown ones are passed over.
    """

    magic: _Name
    versions: Annotated[list[int], Meta(min_length=1, max_length=16)]
    suites: Annotated[list[_Name], Meta(min_length=1, max_length=16)]
    levels: Annotated[list[_Level], Meta(min_length=1, max_length=3)]
    max_record: _Size
    max_message: _Size
    protocol: _Name
    target: Annotated[str, Meta(max_length=512)]
    impersonation: _Level
    nonce: _Bytes32
    key: _Bytes32 | None = None
    features: Annotated[list[_Name], Meta(max_length=32)] = []


class ServerHello(msgspec.Struct, frozen=True, kw_only=True):
    """What the server chose of the client's offer.

    Attributes:
        minimum: Lowest level of protection in this session.
        max_record: Bytes a frame body may have towards the server.
        max_message: Bytes one message may have towards the server.
    """

    magic: _Name
    version: int
    suite: _Name
    minimum: _Level
    max_record: _Size
    max_message: _Size
    nonce: _Bytes32
    key: _Bytes32 | None = None
    features: Annotated[list[_Name], Meta(max_length=32)] = []


H = TypeVar("H", ClientHello, ServerHello)

# What any part of a HELLO can hold at most.
_LONGEST: Final = 512
_MOST: Final = 64


def encode_hello(hello: ClientHello | ServerHello) -> bytes:
    """Return the body of a HELLO frame."""
    return msgpack.packb(msgspec.to_builtins(hello, builtin_types=(bytes,)))


def decode_hello(kind: type[H], body: bytes) -> H:
    """Read a HELLO body.

    Raises:
        RemoteProtocolError: It is not a HELLO of this protocol.
    """
    try:
        unpacked: object = msgpack.unpackb(
            body,
            max_str_len=_LONGEST,
            max_bin_len=_LONGEST,
            max_array_len=_MOST,
            max_map_len=_MOST,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise RemoteProtocolError("malformed HELLO: not one msgpack map") from error
    try:
        hello = msgspec.convert(unpacked, kind, builtin_types=(bytes,))
    except (msgspec.ValidationError, RecursionError) as error:
        # msgspec names the field and the rule, never the value.
        raise RemoteProtocolError(f"malformed HELLO: {error}") from error
    if hello.magic != MAGIC:
        raise RemoteProtocolError("HELLO of another protocol")
    return hello


class RejectCode(IntEnum):
    """Why a handshake was refused.  The text to each is fixed: `rejection`."""

    PROTOCOL = 1
    NOTHING_COMMON = 2
    PROTECTION = 3
    CREDENTIALS = 4
    MECHANISM = 5
    SERVICE = 6
    CLOCK_SKEW = 7
    EXPIRED = 8
    TIMEOUT = 9
    BUSY = 10


_BY_REASON: Final = {
    FailureReason.CLOCK_SKEW: RejectCode.CLOCK_SKEW,
    FailureReason.EXPIRED: RejectCode.EXPIRED,
    FailureReason.UNKNOWN_SERVICE: RejectCode.SERVICE,
    FailureReason.MECHANISM: RejectCode.MECHANISM,
}


def reject_code(error: Exception) -> RejectCode:
    """Return what the peer may know of a failure of the handshake.

    Everything about names and passwords becomes CREDENTIALS, so that nobody can find
    out which users exist.
    """
    match error:
        case AuthenticationFailed():
            return _BY_REASON.get(error.reason, RejectCode.CREDENTIALS)
        case InsufficientProtection():
            return RejectCode.PROTECTION
        case HandshakeTimeout():
            return RejectCode.TIMEOUT
        case HandshakeError():
            return RejectCode.NOTHING_COMMON
        case _:
            return RejectCode.PROTOCOL


_SAID: Final = "the peer refused the handshake: "


def rejection(body: bytes) -> TransportError:
    """Return the error that a REJECT frame stands for.

    REJECT is not authenticated: it ends this attempt and must lead to no weaker one.
    """
    code = body[0] if len(body) == 1 else 0
    match code:
        case RejectCode.CREDENTIALS:
            return AuthenticationFailed(
                _SAID + "wrong user, password or ticket", reason=FailureReason.REFUSED
            )
        case RejectCode.MECHANISM:
            return AuthenticationFailed(
                _SAID + "it does not allow this mechanism",
                reason=FailureReason.MECHANISM,
            )
        case RejectCode.SERVICE:
            return AuthenticationFailed(
                _SAID + "it does not serve under this service principal",
                reason=FailureReason.UNKNOWN_SERVICE,
            )
        case RejectCode.CLOCK_SKEW:
            return AuthenticationFailed(
                _SAID + "the clocks of the two machines differ too much",
                reason=FailureReason.CLOCK_SKEW,
            )
        case RejectCode.EXPIRED:
            return AuthenticationFailed(
                _SAID + "the ticket has expired", reason=FailureReason.EXPIRED
            )
        case RejectCode.PROTECTION:
            return InsufficientProtection(_SAID + "too little protection offered")
        case RejectCode.NOTHING_COMMON:
            return HandshakeError(_SAID + "no version, suite or protocol in common")
        case RejectCode.TIMEOUT:
            return HandshakeTimeout(_SAID + "it took too long")
        case RejectCode.BUSY:
            return HandshakeError(
                _SAID + "it is busy, or has seen too many failures from here"
            )
        case _:
            return RemoteProtocolError(_SAID + "it could not understand this end")


def lowest(levels: list[int], *, floor: Protection) -> Protection:
    """Return the lowest of the levels in a HELLO that is not under `floor`.

    Raises:
        InsufficientProtection: There is none.
    """
    enough = [level for level in levels if level >= floor]
    if not enough:
        raise InsufficientProtection(
            f"the client offers {Protection(max(levels)).name} at most; "
            f"this end's minimum is {floor.name}"
        )
    return Protection(min(enough))
