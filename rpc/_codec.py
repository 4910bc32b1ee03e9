"""Bodies: typed values to msgpack and back, with errors fit for the other end.

msgspec does the work in one call. Added here is what it does not refuse, timestamps
without a time zone, and the wording of what it does.

Encodings: docs/types.md.
"""

from typing import Any, Generic, TypeAlias, TypeVar, cast

import msgspec

from ._status import StatusCode
from ._timestamps import naive_timestamp
from ._wording import Subject, decode_problem, encode_problem, placed
from .errors import RpcError

__all__ = ["Body", "Codec", "encode_value"]

T = TypeVar("T")

Body: TypeAlias = bytes | bytearray | memoryview
"""One whole msgpack value."""

# Decimals, UUIDs, dates and durations as text: what msgspec does unasked, said here
# because the wire depends on it.
_ENCODER = msgspec.msgpack.Encoder(decimal_format="string", uuid_format="canonical")
_NAIVE = "a timestamp without a time zone"

# What msgspec raises; anything else comes from the value's own code.
_ENCODE_ERRORS = (OverflowError, RecursionError, TypeError, UnicodeEncodeError)
_DECODE_ERRORS = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

# Wrong arguments are the caller's fault, a wrong result is the method's.
_STATUS = {
    Subject.ARGUMENTS: StatusCode.INVALID_ARGUMENT,
    Subject.ITEM: StatusCode.INVALID_ARGUMENT,
    Subject.RESULT: StatusCode.INTERNAL,
    Subject.RESULT_ITEM: StatusCode.INTERNAL,
}

encode_value = _ENCODER.encode
"""Encode any value that travels, without wording for errors."""


class Codec(Generic[T]):
    """Encodes and decodes the bodies of one type."""

    __slots__ = ("_decode", "_subject", "_timestamps")

    def __init__(self, type_: object, *, subject: Subject, timestamps: bool) -> None:
        """Prepare for a type.

        Args:
            type_: The type, which the schema has been read from.
            subject: What the bodies hold, for messages and statuses.
            timestamps: Whether timestamps occur anywhere in the type. Types without
                them are spared the search for naive ones.
        """
        self._decode = cast(
            "msgspec.msgpack.Decoder[T]", msgspec.msgpack.Decoder(cast("Any", type_))
        ).decode
        self._subject = subject
        self._timestamps = timestamps

    def encode(self, value: T) -> bytes:
        """Return a value's body.

        Raises:
            RpcError: The value cannot travel; the message names the part.
        """
        try:
            body = _ENCODER.encode(value)
            if self._timestamps:
                self._refuse_naive(value)
        except _ENCODE_ERRORS as error:
            path = _path_of_failure(value)
            message = encode_problem(error, path, self._subject)
            # Without the cause: a UnicodeEncodeError carries the value.
            raise RpcError(_STATUS[self._subject], message) from None
        return body

    def decode(self, body: Body) -> T:
        """Return the value of a body.

        Raises:
            RpcError: The body is not msgpack or not of the type; the message names
                the part. What a type's own `__post_init__` raises comes through, but
                for ValueError and TypeError, which count as a wrong body.
        """
        try:
            value = self._decode(body)
            if self._timestamps:
                self._refuse_naive(value)
        except _DECODE_ERRORS as error:
            message = decode_problem(error, self._subject)
            raise RpcError(_STATUS[self._subject], message) from None
        return value

    def _refuse_naive(self, value: T) -> None:
        path = naive_timestamp(value)
        if path is not None:
            message = placed(_NAIVE, path, self._subject)
            raise RpcError(_STATUS[self._subject], message)


def _path_of_failure(value: object) -> str:
    """Return which top-level part of a value it is that cannot be encoded."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            try:
                _ENCODER.encode(getattr(value, name))
            except _ENCODE_ERRORS:
                return f"$.{name}"
    return "$"
