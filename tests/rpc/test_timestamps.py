"""Naive timestamps are found wherever they hide."""

import dataclasses
from datetime import UTC, date, datetime, tzinfo

import msgspec
import pytest

from signetrpc.rpc._timestamps import naive_timestamp

NAIVE = datetime(2026, 1, 2)
AWARE = datetime(2026, 1, 2, tzinfo=UTC)


class Nowhere(tzinfo):
    """A zone that does not know its offset: as good as none."""

    def utcoffset(self, dt: datetime | None) -> None:
        return None

    def dst(self, dt: datetime | None) -> None:
        return None

    def tzname(self, dt: datetime | None) -> None:
        return None


class Row(msgspec.Struct):
    at: datetime
    other: object = None


@dataclasses.dataclass
class Entry:
    when: datetime


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (NAIVE, "$"),
        (NAIVE.replace(tzinfo=Nowhere()), "$"),
        ([AWARE, NAIVE], "$[1]"),
        ((AWARE, (NAIVE,)), "$[1][0]"),
        ({"a": NAIVE}, "$[...]"),
        ({NAIVE: "a"}, "$[...]"),
        ({NAIVE}, "$[0]"),
        (frozenset({NAIVE}), "$[0]"),
        (Row(AWARE, Entry(NAIVE)), "$.other.when"),
        (Row(NAIVE), "$.at"),
    ],
)
def test_found(value: object, path: str) -> None:
    assert naive_timestamp(value) == path


@pytest.mark.parametrize(
    "value",
    [
        AWARE,
        None,
        "2026-01-02T00:00:00",
        date(2026, 1, 2),
        Entry,
        [AWARE, {AWARE: AWARE}, Row(AWARE, Entry(AWARE)), {1, 2}],
    ],
)
def test_not_found(value: object) -> None:
    assert naive_timestamp(value) is None


def test_endless_values_end() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(RecursionError):
        naive_timestamp(loop)
