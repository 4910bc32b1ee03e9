"""Bodies in parts: whole again, and never more memory than the limits say."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc import RpcError, StatusCode
from signetrpc.rpc._assembly import (
    DEFAULT_MAX_BODY_BYTES,
    Assemblies,
    Buffers,
    check_size,
)


def assemblies(limit: int, what: str = "reply") -> Assemblies:
    """Return an empty set of bodies with buffers of its own."""
    return Assemblies(limit, what, Buffers())


def test_a_body_is_its_pieces_in_order() -> None:
    bodies = assemblies(100, "reply")
    bodies.add(1, b"one ")
    bodies.add(2, b"other")
    assert 1 in bodies and 2 in bodies and 3 not in bodies
    bodies.add(1, b"and ")
    assert bodies.finish(1, b"all", bytes) == b"one and all"
    assert 1 not in bodies and 2 in bodies
    assert bodies.finish(2, b"", bytes) == b"other"


def test_the_limit_is_the_last_size_that_passes() -> None:
    bodies = assemblies(10, "reply")
    bodies.add(1, bytes(4))
    assert bodies.finish(1, bytes(6), bytes) == bytes(10)
    bodies.add(2, bytes(4))
    with pytest.raises(RpcError) as caught:
        bodies.finish(2, bytes(7), bytes)
    assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.message == "reply of 11 bytes, limit 10"
    assert 2 not in bodies


def test_a_first_piece_can_be_too_long() -> None:
    bodies = assemblies(10, "arguments")
    with pytest.raises(RpcError, match="arguments of 11 bytes, limit 10"):
        bodies.add(1, bytes(11))
    assert 1 not in bodies


def test_all_bodies_together_are_bounded_and_room_comes_back() -> None:
    bodies = assemblies(10, "arguments")
    for call_id in range(19):
        bodies.add(call_id, b"")  # what comes with a call is not counted
    for call_id in range(16):
        bodies.add(call_id, bytes(10))
    with pytest.raises(
        RpcError, match="half-received bodies of 161 bytes, limit 160"
    ) as caught:
        bodies.add(16, b"x")
    assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
    assert 16 not in bodies
    bodies.discard(3)
    bodies.discard(3)
    bodies.add(16, b"")
    bodies.add(16, b"x")
    assert bodies.finish(4, b"", bytes) == bytes(10)
    bodies.add(17, bytes(10))
    with pytest.raises(RpcError):
        bodies.add(18, bytes(10))


@pytest.mark.parametrize("piece", [b"", b"xy"])
def test_short_pieces_cost_no_more_than_their_bytes(piece: bytes) -> None:
    bodies = assemblies(1 << 20, "arguments")
    tracemalloc.start()
    try:
        for _ in range(100_000):
            bodies.add(1, bytes(bytearray(piece)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * (100_000 * len(piece) + 1024)


def test_a_body_is_gathered_in_memory_used_before() -> None:
    buffers = Buffers()
    bodies = Assemblies(100, "reply", buffers)
    bodies.add(1, b"a longer one")
    assert bodies.finish(1, b"", bytes) == b"a longer one"
    used = buffers.take()
    assert used.startswith(b"a longer one")
    buffers.give_back(used)
    bodies.add(2, b"short")
    assert buffers.take() is not used
    assert bodies.finish(2, b"er", bytes) == b"shorter"


def test_few_buffers_are_kept() -> None:
    buffers = Buffers()
    for _ in range(100):
        buffers.give_back(bytearray(10))
    kept = [buffer for _ in range(100) if len(buffer := buffers.take()) == 10]
    assert len(kept) == 4


def test_a_body_that_cannot_be_decoded_is_dropped() -> None:
    bodies = assemblies(100)
    bodies.add(1, b"x")

    def refuse(body: object) -> None:
        raise RpcError(StatusCode.INTERNAL, "not what it should be")

    with pytest.raises(RpcError, match="not what it should be"):
        bodies.finish(1, b"y", refuse)
    assert 1 not in bodies


def test_the_default_is_grpcs() -> None:
    assert DEFAULT_MAX_BODY_BYTES == 4 << 20
    check_size(DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_BODY_BYTES, "reply")


@given(st.lists(st.tuples(st.integers(1, 4), st.binary(max_size=8), st.booleans())))
def test_the_bodies_of_many_calls_do_not_mix(
    pieces: list[tuple[int, bytes, bool]],
) -> None:
    bodies = assemblies(1 << 16, "reply")
    model: dict[int, bytes] = {}
    for call_id, piece, last in pieces:
        whole = model.get(call_id, b"") + piece
        if last:
            assert bodies.finish(call_id, piece, bytes) == whole
            model.pop(call_id, None)
        else:
            bodies.add(call_id, piece)
            model[call_id] = whole
    assert all(call_id in bodies for call_id in model)
