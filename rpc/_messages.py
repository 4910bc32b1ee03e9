"""Call messages: small msgpack arrays, the kind first.

    CALL   [1, id, method, timeout_us | nil, metadata | nil, more, body]
    PART   [2, id, more, chunk]
    REPLY  [5, id, trailers | nil, more, body]      status OK and the result of a call
    STATUS [6, id, code, message, trailers | nil]   any other end of a call
    CANCEL [7, id]
    GOAWAY [12, drain_ms]                           no new calls on this connection

A body is itself one msgpack value, carried as `bin`, so that a relay passes it on
without looking.  `more` says that PARTs of the same call follow with its rest.

Reading checks every element's type and range in one pass; writing on the hot path
joins bytes of which the method's were made once.

Wire: docs/wire.md#calls.
"""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from signetrpc.transport import RemoteProtocolError

from ._metadata import Metadata

__all__ = [
    "PART_BYTES",
    "Call",
    "Cancel",
    "GoAway",
    "Message",
    "Part",
    "Reply",
    "Status",
    "decode_message",
    "encode_call",
    "encode_cancel",
    "encode_go_away",
    "encode_metadata",
    "encode_reply",
    "encode_status",
    "parts_of",
]

PART_BYTES: Final = 64 * 1024
"""The longest piece of a body that one message carries."""

CallId = Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]
# str or bytes; which of the two depends on the key, and `metadata` checks it.
_Pairs = Annotated[list[tuple[str, Any]], Meta(max_length=1024)] | None
_Body = Annotated[bytes, Meta(max_length=PART_BYTES)]


class _Message(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array of exactly its elements."""


class Call(_Message, tag=1, gc=False):
    """A caller starts a call."""

    id: CallId
    method: Annotated[str, Meta(max_length=512)]
    timeout_us: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None
    metadata: _Pairs
    more: bool
    body: _Body


class Part(_Message, tag=2, gc=False):
    """The next piece of a body."""

    id: CallId
    more: bool
    chunk: Annotated[memoryview, Meta(max_length=PART_BYTES)]


class Reply(_Message, tag=5, gc=False):
    """A call ended with OK and this result."""

    id: CallId
    trailers: _Pairs
    more: bool
    body: _Body


class Status(_Message, tag=6, gc=False):
    """A call ended with another status than OK."""

    id: CallId
    code: Annotated[int, Meta(ge=1, le=16)]
    message: Annotated[str, Meta(max_length=8192)]
    trailers: _Pairs


class Cancel(_Message, tag=7, gc=False):
    """The caller no longer wants an answer."""

    id: CallId


class GoAway(_Message, tag=12, gc=False):
    """The server will close: make new calls on another connection."""

    drain_ms: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


Message = Call | Part | Reply | Status | Cancel | GoAway

_decode: Callable[[bytes | memoryview], Message] = msgspec.msgpack.Decoder(
    Message
).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def decode_message(data: bytes | memoryview) -> Message:
    """Read one transport message.

    Raises:
        RemoteProtocolError: It is not a call message; the text names the element.
    """
    try:
        return _decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"malformed call message: {error}") from error


_NIL: Final = b"\xc0"
_HEAD: Final = Struct(">BBBI").pack  # length of the array, kind, uint32 id
_TIMEOUT: Final = Struct(">BQ").pack
_LONGEST_TIMEOUT: Final = (1 << 63) - 1
_BODY8: Final = Struct(">BBB").pack  # more, bin 8
_BODY16: Final = Struct(">BBH").pack
_BODY32: Final = Struct(">BBI").pack


def _body_head(size: int, more: bool) -> bytes:
    flag = 0xC3 if more else 0xC2
    if size < 1 << 8:
        return _BODY8(flag, 0xC4, size)
    if size < 1 << 16:
        return _BODY16(flag, 0xC5, size)
    return _BODY32(flag, 0xC6, size)


def encode_metadata(metadata: Metadata) -> bytes:
    """Return metadata as an element of CALL, REPLY or STATUS."""
    return _encode(metadata) if metadata else _NIL


def _microseconds(seconds: float) -> int:
    # As a float 2^63 - 1 is 2^63, hence the order of the comparisons.
    microseconds = seconds * 1e6
    if microseconds >= _LONGEST_TIMEOUT:
        return _LONGEST_TIMEOUT
    return int(microseconds) if microseconds > 0 else 0


def encode_call(
    call_id: int,
    method: bytes,
    timeout: float | None,
    metadata: bytes,
    body: bytes,
    more: bool = False,
) -> bytes:
    """Return a CALL.

    Args:
        call_id: 1 to 2^32 - 1.
        method: The method's full name, already as msgpack.
        timeout: Seconds from now, or None.
        metadata: From `encode_metadata`.
        body: At most `PART_BYTES`.
        more: True if PARTs follow.
    """
    return b"".join(
        (
            _HEAD(0x97, 1, 0xCE, call_id),
            method,
            _NIL if timeout is None else _TIMEOUT(0xCF, _microseconds(timeout)),
            metadata,
            _body_head(len(body), more),
            body,
        )
    )


def encode_reply(
    call_id: int, trailers: bytes, body: bytes, more: bool = False
) -> bytes:
    """Return a REPLY; the arguments are those of `encode_call`."""
    return b"".join(
        (
            _HEAD(0x95, 5, 0xCE, call_id),
            trailers,
            _body_head(len(body), more),
            body,
        )
    )


def encode_status(
    call_id: int, code: int, message: str, trailers: Metadata = ()
) -> bytes:
    """Return a STATUS.

    A message of over 8,192 characters is cut, and what is not Unicode in it replaced.
    """
    if len(message) > 8192:
        message = message[:8189] + "..."
    message = message.encode(errors="replace").decode()
    return _encode(Status(call_id, code, message, list(trailers) or None))


def encode_cancel(call_id: int) -> bytes:
    """Return a CANCEL."""
    return _encode(Cancel(call_id))


def encode_go_away(drain_seconds: float) -> bytes:
    """Return a GOAWAY; calls are still answered for so many seconds."""
    return _encode(GoAway(int(drain_seconds * 1000)))


def parts_of(call_id: int, body: bytes) -> Iterator[bytes]:
    """Give the PARTs that carry what of a body is over `PART_BYTES`."""
    size = len(body)
    view = memoryview(body)
    for start in range(PART_BYTES, size, PART_BYTES):
        chunk = view[start : start + PART_BYTES]
        more = start + PART_BYTES < size
        head = _HEAD(0x94, 2, 0xCE, call_id)
        yield b"".join((head, _body_head(len(chunk), more), chunk))
