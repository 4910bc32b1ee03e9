"""How much metadata one call or one answer may have, and what is said of more."""

from typing import Final

from ._metadata import (
    DEFAULT_MAX_METADATA_BYTES,
    Metadata,
    MetadataInput,
    MetadataTooLarge,
    metadata,
)
from ._status import StatusCode
from .errors import RpcError

__all__ = ["MOST_METADATA_BYTES", "checked_limit", "limited", "metadata_too_large"]

MOST_METADATA_BYTES: Final = 48 * 1024
"""The most that can be allowed.

A message has 128 KiB, and metadata shares it with the first 64 KiB of a body.
"""


def checked_limit(given: int) -> int:
    """Return what a user wants for a limit, in bytes.

    Raises:
        ValueError: It is not from 0 to `MOST_METADATA_BYTES`.
    """
    if not 0 <= given <= MOST_METADATA_BYTES:
        raise ValueError(
            f"max_metadata_bytes is {given}; it must be 0 to {MOST_METADATA_BYTES}"
        )
    return given


def limited(
    given: MetadataInput | None,
    limit: int = DEFAULT_MAX_METADATA_BYTES,
    what: str = "metadata",
) -> Metadata:
    """Return metadata, checked.

    Args:
        given: As for `metadata`.
        limit: Bytes that all of it may have.
        what: The word for it.

    Raises:
        RpcError: RESOURCE_EXHAUSTED: it is more.
        ValueError: A rule is broken.
    """
    try:
        return metadata(given, limit, what)
    except MetadataTooLarge as error:
        raise metadata_too_large(error) from None


def metadata_too_large(error: MetadataTooLarge, after: str = "") -> RpcError:
    """Return what a call ends with for metadata over a limit.

    Args:
        error: Says what is over which.
        after: How the call had ended, where that is lost by it.
    """
    text = f"{error}; the call had ended with {after}" if after else str(error)
    return RpcError(StatusCode.RESOURCE_EXHAUSTED, text)
