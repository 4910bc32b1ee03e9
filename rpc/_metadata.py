"""Metadata: the pairs that travel beside a call's arguments and results."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, cast

__all__ = [
    "DEFAULT_MAX_METADATA_BYTES",
    "Metadata",
    "MetadataInput",
    "MetadataTooLarge",
    "metadata",
]

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
"""Checked pairs of key and value, in the order given; keys may repeat."""

MetadataInput: TypeAlias = (
    Mapping[str, str]
    | Mapping[str, bytes]
    | Mapping[str, str | bytes]
    | Iterable[tuple[str, str | bytes]]
)
"""What users may give: a mapping, or pairs where a key repeats."""

DEFAULT_MAX_METADATA_BYTES: Final = 16 * 1024
"""What all keys and values of a call or an answer may have together, in UTF-8."""

_MOST_PAIRS: Final = 1024
"""Of one call or answer; docs/wire.md#calls."""

_KEY = re.compile(r"[0-9a-z_.-]+")
_RESERVED = "signet-"
_BINARY = "-bin"


class MetadataTooLarge(ValueError):
    """Metadata is over a limit."""


def metadata(
    given: MetadataInput | None,
    limit: int | None = DEFAULT_MAX_METADATA_BYTES,
    what: str = "metadata",
) -> Metadata:
    """Check metadata and return it in its one internal form.

    The rules are gRPC's: keys are of `0-9 a-z _ . -`; a key that ends in `-bin` has
    bytes for its value and any other key has text. Keys that start with `signet-` are
    this library's own.

    Args:
        given: A mapping or pairs; None is no metadata.
        limit: Bytes that all of it may have; None where that is checked elsewhere.
        what: The word for it.

    Returns:
        The pairs in the order given.

    Raises:
        MetadataTooLarge: It is over the limit, or has more than 1,024 pairs.
        ValueError: A rule is broken. The message names the key, never the value.

    Source: https://grpc.io/docs/guides/metadata/.
    """
    if not given:
        return ()
    pairs = cast(
        "Iterable[tuple[str, str | bytes]]",
        given.items() if isinstance(given, Mapping) else given,
    )
    try:
        checked = tuple((key, value) for key, value in pairs)
    except (TypeError, ValueError) as error:
        kind = type(cast("object", given)).__name__
        raise ValueError(
            f"{what} is a mapping, or pairs of a key and a value; this is a {kind}"
        ) from error
    size = sum(_checked_size(key, value) for key, value in checked)
    if limit is not None:
        if size > limit:
            raise MetadataTooLarge(f"{what} of {size} bytes, limit {limit}")
        if len(checked) > _MOST_PAIRS:
            number = len(checked)
            raise MetadataTooLarge(f"{what} of {number} pairs, limit {_MOST_PAIRS}")
    return checked


def _checked_size(key: object, value: object) -> int:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(
            f"metadata key {_shown(key)} has other characters than 0-9 a-z _ . -"
        )
    if key.startswith(_RESERVED):
        raise ValueError(f"metadata key {_shown(key)} starts with the reserved signet-")
    if key.endswith(_BINARY):
        if not isinstance(value, bytes):
            raise ValueError(
                f"metadata key {_shown(key)} ends in -bin, so its value must be bytes"
            )
        return len(key) + len(value)
    if not isinstance(value, str):
        raise ValueError(
            f"metadata value of {_shown(key)} must be str; "
            "for bytes the key must end in -bin"
        )
    try:
        return len(key) + len(value.encode())
    except UnicodeEncodeError:
        # Without the cause: its text would show the value.
        raise ValueError(f"metadata value of {_shown(key)} is not Unicode") from None


def _shown(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 80 else f"{text[:77]}..."
