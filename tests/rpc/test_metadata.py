"""The rules of metadata."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc._metadata import (
    DEFAULT_MAX_METADATA_BYTES,
    MetadataTooLarge,
    metadata,
)


def test_nothing_is_empty() -> None:
    assert metadata(None) == metadata({}) == metadata([]) == ()


def test_mappings_and_pairs() -> None:
    pairs = (("a", "1"), ("b-bin", b"\0"), ("a", "2"))
    assert metadata(pairs) == pairs
    assert metadata(iter(pairs)) == pairs
    assert metadata({"x-y_z.0": "ä"}) == (("x-y_z.0", "ä"),)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("Key", "v", "'Key' has other characters"),
        ("", "v", "'' has other characters"),
        ("a b", "v", "has other characters"),
        ("a\n", "v", "has other characters"),
        ("k" * 99 + "!", "v", r"\.\.\. has other characters"),
        (7, "v", "7 has other characters"),
        ("signet-x", "v", "reserved signet-"),
        ("k-bin", "v", "'k-bin' ends in -bin, so its value must be bytes"),
        ("k", b"v", "'k' must be str; for bytes the key must end in -bin"),
        ("k", 1, "'k' must be str"),
        ("k", "\ud800", "'k' is not Unicode"),
    ],
)
def test_broken_rules(key: str, value: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        metadata({key: value})


@pytest.mark.parametrize("wrong", [5, [{"k": "v"}], [("k",)], ["key"], [7]])
def test_what_is_neither_a_mapping_nor_pairs(wrong: Any) -> None:
    kind = type(wrong).__name__
    with pytest.raises(ValueError, match=f"pairs of a key .*; this is a {kind}"):
        metadata(wrong)


def test_size_counts_bytes_of_keys_and_values() -> None:
    most = DEFAULT_MAX_METADATA_BYTES - 1
    assert metadata({"k": "v" * most})
    with pytest.raises(ValueError, match="metadata of 16385 bytes, limit 16384"):
        metadata({"k": "v" * (most + 1)})
    with pytest.raises(ValueError, match="limit 16384"):
        metadata({"k": "ä" * (most // 2 + 1)})


def test_the_limit_can_be_another() -> None:
    most = DEFAULT_MAX_METADATA_BYTES
    assert metadata({"k": "v" * most}, None) == metadata({"k": "v" * most}, most + 1)
    assert metadata({"k": ""}, 1) and metadata({}, 0) == ()
    with pytest.raises(MetadataTooLarge, match="trailers of 3 bytes, limit 2"):
        metadata({"k": "vv"}, 2, "trailers")


def test_there_are_no_more_pairs_than_a_message_may_have() -> None:
    pairs = [("k", "")] * 1025
    assert metadata(pairs[1:])
    with pytest.raises(MetadataTooLarge, match="metadata of 1025 pairs, limit 1024"):
        metadata(pairs)


def test_values_are_never_shown() -> None:
    with pytest.raises(ValueError, match="must be str") as caught:
        metadata({"token": b"hunter2"})
    assert "hunter2" not in str(caught.value)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[0-9a-z_.][0-9a-z_.-]{0,8}x", fullmatch=True),
            st.text(max_size=20, alphabet=st.characters(codec="utf-8")),
        )
        | st.tuples(
            st.from_regex(r"[0-9a-z_.]{1,8}-bin", fullmatch=True),
            st.binary(max_size=20),
        ),
        max_size=20,
    )
)
def test_good_metadata_stays(pairs: list[tuple[str, str | bytes]]) -> None:
    good = [pair for pair in pairs if not pair[0].startswith("signet-")]
    assert metadata(good) == tuple(good)
    assert metadata(metadata(good)) == tuple(good)
