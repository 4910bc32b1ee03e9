"""The search for timestamps without a time zone, which msgspec lets through."""

import dataclasses
import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import msgspec

__all__ = ["naive_timestamp"]


def naive_timestamp(value: object, path: str = "$") -> str | None:
    """Return where in a value a timestamp lacks its time zone.

    Args:
        value: Anything that travels. Only needed for types that hold timestamps.
        path: What to call the value itself.

    Returns:
        The path of the first one in msgspec's notation, `$.entries[0].when`; None if
        there is none.

    Raises:
        RecursionError: The value is nested too deeply, or contains itself.
    """
    if isinstance(value, datetime.datetime):
        return path if value.utcoffset() is None else None
    for place, part in _parts(value):
        found = naive_timestamp(part, f"{path}{place}")
        if found is not None:
            return found
    return None


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield f".{name}", getattr(value, name)
    elif isinstance(value, list | tuple | set | frozenset):
        items = cast("Iterable[object]", value)
        for index, item in enumerate(items):
            yield f"[{index}]", item
    elif isinstance(value, dict):
        # Keys too: a map by time is a fair thing to send.
        entries = cast("Mapping[object, object]", value)
        for key, entry in entries.items():
            yield "[...]", key
            yield "[...]", entry
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name)
