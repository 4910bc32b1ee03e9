"""Call messages: small msgpack arrays, the kind first.

    CALL    [1, id, method, timeout_us | nil, metadata | nil, more, body]
    PART    [2, id, more, chunk]
    ITEM    [3, id, more, body]                     one message of a stream
    END     [4, id]                                 no further items of the caller's
    REPLY   [5, id, trailers | nil, more, body]     status OK and the result of a call
    STATUS  [6, id, code, message, trailers | nil, details | nil]    any other end
    CANCEL  [7, id] or [7, id, cause]               the handler is to stop
    CREDIT  [8, id | 0, bytes]                      room for so much more
    HEADERS [9, id, metadata]                       what goes ahead of an answer
    PING    [10, number]
    PONG    [11, number]                            the answer to that PING
    GOAWAY  [12, drain_ms, last_id]                 no new calls on this connection

A body is itself one msgpack value, carried as `bin`, so that a relay passes it on
without looking.  `more` says that PARTs of the same call follow with its rest, before
any other body of that call in that direction.

Reading checks every element's type and range in one pass; writing on the hot path
joins bytes of which the method's were made once.

Wire: docs/wire.md#calls.
"""

from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from signetrpc.transport import RemoteProtocolError

from ._flow import MOST_CREDIT
from ._metadata import Metadata

__all__ = [
    "PART_BYTES",
    "Call",
    "Cancel",
    "Credit",
    "Details",
    "End",
    "GoAway",
    "Headers",
    "Item",
    "Message",
    "Part",
    "Ping",
    "Pong",
    "Reply",
    "Status",
    "decode_message",
    "encode_call",
    "encode_cancel",
    "encode_credit",
    "encode_end",
    "encode_go_away",
    "encode_headers",
    "encode_item",
    "encode_metadata",
    "encode_part",
    "encode_ping",
    "encode_pong",
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
_Details = (
    Annotated[
        list[tuple[Annotated[str, Meta(max_length=200)], _Body]], Meta(max_length=32)
    ]
    | None
)


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


class Item(_Message, tag=3, gc=False):
    """One message of a stream, in either direction."""

    id: CallId
    more: bool
    body: _Body


class End(_Message, tag=4, gc=False):
    """The caller's stream has ended."""

    id: CallId


class Reply(_Message, tag=5, gc=False):
    """A call ended with OK and this result."""

    id: CallId
    trailers: _Pairs
    more: bool
    body: _Body


class Status(_Message, tag=6, gc=False):
    """A call ended without a result: a stream with any status, another with an error.

    `details` are pairs of a type's name and a body, for errors that say more.
    """

    id: CallId
    code: Annotated[int, Meta(ge=0, le=16)]
    message: Annotated[str, Meta(max_length=8192)]
    trailers: _Pairs
    details: _Details = None


class Cancel(_Message, tag=7, gc=False):
    """The caller no longer wants an answer; `cause` is a `CancellationCause`."""

    id: CallId
    cause: Annotated[int, Meta(ge=0, le=4)] = 0


class Credit(_Message, tag=8, gc=False):
    """The peer has room again: for a call's direction, or with id 0 for all of them."""

    id: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    size: Annotated[int, Meta(ge=1, le=MOST_CREDIT)]


class Headers(_Message, tag=9, gc=False):
    """Metadata that a server sends ahead of its answer, at most once."""

    id: CallId
    metadata: _Pairs


class Ping(_Message, tag=10, gc=False):
    """Is anybody there?"""

    number: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


class Pong(_Message, tag=11, gc=False):
    """Yes."""

    number: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


class GoAway(_Message, tag=12, gc=False):
    """The server will close: make new calls on another connection.

    Calls after `last_id` are not carried out.  There is a reason only where the client
    asks too often.
    """

    drain_ms: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    last_id: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    reason: Annotated[str, Meta(max_length=200)] = ""


Message = (
    Call
    | Part
    | Item
    | End
    | Reply
    | Status
    | Cancel
    | Credit
    | Headers
    | Ping
    | Pong
    | GoAway
)

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


def encode_item(call_id: int, body: bytes, more: bool = False) -> bytes:
    """Return an ITEM; a body of at most `PART_BYTES`."""
    return b"".join((_HEAD(0x94, 3, 0xCE, call_id), _body_head(len(body), more), body))


def encode_part(call_id: int, chunk: bytes | memoryview, more: bool) -> bytes:
    """Return a PART; a chunk of at most `PART_BYTES`."""
    return b"".join(
        (_HEAD(0x94, 2, 0xCE, call_id), _body_head(len(chunk), more), chunk)
    )


Details = Sequence[tuple[str, bytes]]
"""Names of types and bodies of them."""


def encode_status(
    call_id: int,
    code: int,
    message: str,
    trailers: Metadata = (),
    details: Details = (),
) -> bytes:
    """Return a STATUS.

    A message of over 8,192 characters is cut, and what is not Unicode in it replaced.
    """
    if len(message) > 8192:
        message = message[:8189] + "..."
    message = message.encode(errors="replace").decode()
    pairs, more = list(trailers) or None, list(details) or None
    return _encode(Status(call_id, code, message, pairs, more))


def encode_end(call_id: int) -> bytes:
    """Return an END."""
    return _encode(End(call_id))


def encode_credit(call_id: int, size: int) -> bytes:
    """Return a CREDIT of so many bytes, for a call or, with 0, for the connection."""
    return _encode(Credit(call_id, size))


def encode_headers(call_id: int, metadata: Metadata) -> bytes:
    """Return HEADERS."""
    return _encode(Headers(call_id, list(metadata) or None))


def encode_ping(number: int) -> bytes:
    """Return a PING."""
    return _encode(Ping(number))


def encode_pong(number: int) -> bytes:
    """Return the PONG to a PING."""
    return _encode(Pong(number))


def encode_cancel(call_id: int, cause: int = 0) -> bytes:
    """Return a CANCEL; a cause of 0, the usual one, goes without saying."""
    return _encode((7, call_id, cause) if cause else (7, call_id))


def encode_go_away(
    drain_seconds: float, last_id: int = 0xFFFFFFFF, reason: str = ""
) -> bytes:
    """Return a GOAWAY; calls up to `last_id` are still answered for so many seconds.

    Args:
        drain_seconds: What is more than 2^32 - 1 milliseconds is cut.
        last_id: The last call that is carried out.
        reason: At most 200 characters; none goes without saying.
    """
    drain_ms = int(min(drain_seconds * 1000, 0xFFFFFFFF))
    return _encode((12, drain_ms, last_id, *([reason] if reason else ())))


def parts_of(call_id: int, body: bytes) -> Iterator[bytes]:
    """Give the PARTs that carry what of a body is over `PART_BYTES`."""
    size = len(body)
    view = memoryview(body)
    for start in range(PART_BYTES, size, PART_BYTES):
        chunk = view[start : start + PART_BYTES]
        yield encode_part(call_id, chunk, start + PART_BYTES < size)
