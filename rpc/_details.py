"""What an error says beside its status: typed details, after google.rpc's.

A detail travels in STATUS as its type's name and its body.  Types that this end does
not know, and bodies that are not of their type, are kept as they came.

Nothing of the server's insides is among the types (google.rpc.DebugInfo is not here):
stack traces hold secrets, and belong into the server's log.

Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/
error_details.proto.  Wire: docs/wire.md#details.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias, cast

import msgspec

__all__ = [
    "MAX_DETAILS",
    "MAX_DETAILS_BYTES",
    "BadRequest",
    "Detail",
    "ErrorInfo",
    "FieldViolation",
    "Help",
    "HelpLink",
    "LocalizedMessage",
    "PreconditionFailure",
    "PreconditionViolation",
    "QuotaFailure",
    "QuotaViolation",
    "RequestInfo",
    "ResourceInfo",
    "RetryInfo",
    "UnknownDetail",
    "cut",
    "encoded_detail",
    "read_details",
    "written_details",
]

MAX_DETAILS: Final = 16
"""The most details of one error that travel."""

MAX_DETAILS_BYTES: Final = 16 * 1024
"""The most bytes that they have together, names included."""

_MAX_NAME_CHARACTERS: Final = 200

_log: Final = logging.getLogger("signetrpc.rpc")


class _Detail(msgspec.Struct, frozen=True, kw_only=True):
    """A typed detail: a map by its fields' names."""


class FieldViolation(_Detail, frozen=True):
    """One wrong part of a request.

    Attributes:
        field: The path to it: `transfer.amount`, `items[3].name`.
        description: What is wrong with it.
    """

    field: str
    description: str = ""


class BadRequest(_Detail, frozen=True):
    """Which parts of a request are wrong.

    Attributes:
        field_violations: Each of them.
    """

    field_violations: list[FieldViolation]


class RetryInfo(_Detail, frozen=True):
    """When to try again.

    Attributes:
        retry_delay: How long to wait at least.
    """

    retry_delay: timedelta


class ErrorInfo(_Detail, frozen=True):
    """The cause of an error, for programs.

    Attributes:
        reason: Unique within the domain and unchanging: `ACCOUNT_CLOSED`.
        domain: Who defined the reason: `bank.example.com`.
        metadata: Further facts.
    """

    reason: str
    domain: str = ""
    metadata: dict[str, str] = {}


class LocalizedMessage(_Detail, frozen=True):
    """A message that may be shown to the user.

    Attributes:
        locale: A language tag of BCP 47: `en-US`, `fr-CH`.
        message: The text.
    """

    locale: str
    message: str


class PreconditionViolation(_Detail, frozen=True):
    """A condition that does not hold.

    Attributes:
        type: What kind of condition, by a word of the service's: `TOS`.
        subject: Of what it is: `example.com/account/42`.
        description: How it fails to hold, and what would help.
    """

    type: str
    subject: str = ""
    description: str = ""


class PreconditionFailure(_Detail, frozen=True):
    """Which conditions do not hold.

    Attributes:
        violations: Each of them.
    """

    violations: list[PreconditionViolation]


class QuotaViolation(_Detail, frozen=True):
    """A quota that is used up.

    Attributes:
        subject: Whose it is: `account:42`.
        description: Which it is and what would help.
    """

    subject: str
    description: str = ""


class QuotaFailure(_Detail, frozen=True):
    """Which quotas are used up.

    Attributes:
        violations: Each of them.
    """

    violations: list[QuotaViolation]


class RequestInfo(_Detail, frozen=True):
    """By what to find the request in the server's log.

    Attributes:
        request_id: A word that the server understands.
        serving_data: Whatever else helps there.
    """

    request_id: str
    serving_data: str = ""


class ResourceInfo(_Detail, frozen=True):
    """What the error is about.

    Attributes:
        resource_type: The kind: `account`.
        resource_name: Which one.
        owner: Whose it is.
        description: What went wrong with it.
    """

    resource_type: str
    resource_name: str
    owner: str = ""
    description: str = ""


class HelpLink(_Detail, frozen=True):
    """Where to read on.

    Attributes:
        description: What is there.
        url: Where that is.
    """

    description: str
    url: str


class Help(_Detail, frozen=True):
    """Where to read on about an error.

    Attributes:
        links: Each place.
    """

    links: list[HelpLink]


class UnknownDetail(msgspec.Struct, frozen=True):
    """A detail of a type that this end does not know, or not of its type's form.

    Attributes:
        name: The type's name, from the peer: escape it before showing it.
        body: One msgpack value, as it came and unchecked.
    """

    name: str
    body: bytes = b"\xc0"

    def __repr__(self) -> str:
        return f"UnknownDetail({self.name!r}, {len(self.body)} bytes)"


Detail: TypeAlias = (
    BadRequest
    | ErrorInfo
    | Help
    | LocalizedMessage
    | PreconditionFailure
    | QuotaFailure
    | RequestInfo
    | ResourceInfo
    | RetryInfo
    | UnknownDetail
)
"""What an error may carry."""

_TYPES: Final[tuple[type[_Detail], ...]] = (
    BadRequest,
    ErrorInfo,
    Help,
    LocalizedMessage,
    PreconditionFailure,
    QuotaFailure,
    RequestInfo,
    ResourceInfo,
    RetryInfo,
)
_NAMES: Final = {each: f"signet.{each.__name__}" for each in _TYPES}
_encode: Final = msgspec.msgpack.Encoder().encode
_READERS: Final = {name: msgspec.msgpack.Decoder(each) for each, name in _NAMES.items()}


def encoded_detail(detail: object) -> tuple[str, bytes]:
    """Return a detail's name and body.

    Raises:
        TypeError: It is none, or one of its fields is not of its type.
    """
    if isinstance(detail, UnknownDetail):
        return str(detail.name), bytes(detail.body)
    name = _NAMES.get(cast("Any", type(detail)))
    if name is None:
        raise TypeError(f"{type(detail).__name__} is no detail of an error")
    body = _encode(detail)
    try:
        # What does not read back would reach the caller as something else.
        _READERS[name].decode(body)
    except msgspec.ValidationError:
        raise TypeError(f"a {name} whose fields are not of their types") from None
    return name, body


def written_details(details: Iterable[object]) -> list[tuple[str, bytes]]:
    """Return details as they travel, but for those that cannot; the log says which."""
    written: list[tuple[str, bytes]] = []
    for each in details:
        try:
            written.append(encoded_detail(each))
        except Exception as error:
            # Its fields may hold anything; the type is what tells.
            kind = type(error).__name__
            _log.error("a %s cannot travel: %s", type(each).__name__, kind)
    return written


def cut(pairs: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Return the details that may travel together: first come, first served."""
    kept: list[tuple[str, bytes]] = []
    left = MAX_DETAILS_BYTES
    for name, body in pairs:
        size = len(name.encode(errors="replace")) + len(body)
        if size > left or len(name) > _MAX_NAME_CHARACTERS or len(kept) == MAX_DETAILS:
            _log.warning(
                "detail %.60r of %d bytes left out: the limit is %d of %d bytes "
                "together",
                name,
                size,
                MAX_DETAILS,
                MAX_DETAILS_BYTES,
            )
            continue
        left -= size
        kept.append((name, body))
    return kept


def read_details(pairs: Iterable[tuple[str, bytes]]) -> tuple[Detail, ...]:
    """Return the details of a STATUS; whatever they are, the error stands."""
    return tuple(_read(name, body) for name, body in pairs)


def _read(name: str, body: bytes) -> Detail:
    reader = _READERS.get(name)
    if reader is not None:
        try:
            return cast("Detail", reader.decode(body))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            pass
    return UnknownDetail(name, bytes(body))
