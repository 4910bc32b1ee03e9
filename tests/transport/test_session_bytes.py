"""Whatever the path does to the bytes: the same messages, or none and an error."""

from functools import cache
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.transport._events import Event, MessagesReceived
from signetrpc.transport._frames import HEADER, FrameType
from signetrpc.transport._protection import Protection
from signetrpc.transport._session import Session
from signetrpc.transport.errors import (
    ConnectionClosed,
    IntegrityError,
    RemoteProtocolError,
)
from tests.support.sessions import (
    NONE,
    SEAL,
    SIGN,
    SMALL,
    Exchange,
    feed,
    frames,
    opened,
    raw,
    recorded,
    settle,
)

LEGS = range(2, 6)
exchange = cache(recorded)


def _sizes(data: st.DataObject, total: int) -> list[int]:
    cuts = data.draw(st.lists(st.integers(0, total), max_size=12))
    edges = [0, *sorted(cuts), total]
    return [end - start for start, end in zip(edges, edges[1:], strict=False)]


def chunks(stream: bytes, sizes: list[int]) -> list[bytes]:
    found: list[bytes] = []
    for size in sizes:
        found.append(stream[:size])
        stream = stream[size:]
    return found


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("legs", LEGS)
def test_split_at_each_byte(legs: int, initiator: bool, suite: str) -> None:
    whole = exchange(legs=legs, suite=suite)
    stream = whole.stream(initiator=initiator)
    for at in range(len(stream) + 1):
        end = whole.fresh(initiator=initiator)
        events = feed(end, stream[:at], stream[at:])
        assert events == whole.events(initiator=initiator)


@pytest.mark.parametrize("initiator", [True, False])
@pytest.mark.parametrize("legs", LEGS)
def test_one_byte_at_a_time(legs: int, initiator: bool, suite: str) -> None:
    whole = exchange(legs=legs, suite=suite)
    stream = whole.stream(initiator=initiator)
    end = whole.fresh(initiator=initiator)
    events = feed(end, *chunks(stream, [1] * len(stream)))
    assert events == whole.events(initiator=initiator)


@given(st.data(), st.booleans(), st.sampled_from(LEGS))
def test_any_split(suite: str, data: st.DataObject, initiator: bool, legs: int) -> None:
    whole = exchange(legs=legs, suite=suite)
    stream = whole.stream(initiator=initiator)
    end = whole.fresh(initiator=initiator)
    events = feed(end, *chunks(stream, _sizes(data, len(stream))))
    assert events == whole.events(initiator=initiator)


@pytest.mark.parametrize("initiator", [True, False])
def test_ended_at_each_byte(initiator: bool, suite: str) -> None:
    whole = exchange(suite=suite)
    stream = whole.stream(initiator=initiator)
    events = whole.events(initiator=initiator)
    for at in range(len(stream)):
        end = whole.fresh(initiator=initiator)
        outcome = settle(end, stream[:at], eof=True)
        assert isinstance(outcome.error, ConnectionClosed)
        assert not outcome.error.clean
        assert outcome.events == events[: len(outcome.events)]


def _changed(data: st.DataObject, stream: bytes) -> bytes:
    """Do one or a few hostile things to a stream."""
    parts = [frame.encoded for frame in frames(stream)]
    for _ in range(data.draw(st.integers(1, 3))):
        if not parts:
            break
        at = data.draw(st.integers(0, len(parts) - 1))
        deed = data.draw(
            st.sampled_from(["drop", "repeat", "swap", "flip", "cut", "add", "splice"])
        )
        match deed:
            case "drop":
                del parts[at]
            case "repeat":
                parts.insert(at, parts[at])
            case "swap":
                other = data.draw(st.integers(0, len(parts) - 1))
                parts[at], parts[other] = parts[other], parts[at]
            case "flip":
                bit = data.draw(st.integers(0, len(parts[at]) * 8 - 1))
                parts[at] = _flip(parts[at], bit)
            case "cut":
                parts[at] = parts[at][: data.draw(st.integers(1, len(parts[at])))]
            case "add":
                kind = data.draw(st.sampled_from([*FrameType, 0]))
                body = data.draw(st.binary(max_size=40))
                parts.insert(at, raw(kind, body, level=data.draw(st.integers(0, 3))))
            case _:
                parts.insert(at, data.draw(st.binary(min_size=1, max_size=40)))
    return b"".join(parts)


def _flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _attacked(
    data: st.DataObject, whole: Exchange, *, initiator: bool
) -> list[MessagesReceived]:
    """Return the messages that an end took from a changed stream."""
    stream = _changed(data, whole.stream(initiator=initiator))
    end: Session = whole.fresh(initiator=initiator)
    # Anything but a TransportError comes out of `settle` and fails the test.
    outcome = settle(end, *chunks(stream, _sizes(data, len(stream))), eof=True)
    assert outcome.error is not None
    return outcome.messages


@given(st.data(), st.booleans(), st.sampled_from(LEGS))
def test_no_change_of_a_protected_stream_gives_another_message(
    suite: str, data: st.DataObject, initiator: bool, legs: int
) -> None:
    whole = exchange(legs=legs, minimum=SIGN, suite=suite)
    messages = _attacked(data, whole, initiator=initiator)
    assert messages == whole.messages(initiator=initiator)[: len(messages)]


@given(st.data(), st.booleans(), st.sampled_from(LEGS))
def test_beside_unprotected_messages_the_protected_ones_hold(
    suite: str, data: st.DataObject, initiator: bool, legs: int
) -> None:
    def protected(messages: list[MessagesReceived]) -> list[MessagesReceived]:
        return [message for message in messages if message.protection]

    whole = exchange(legs=legs, minimum=NONE, suite=suite)
    messages = protected(_attacked(data, whole, initiator=initiator))
    true = protected(whole.messages(initiator=initiator))
    assert messages == true[: len(messages)]


@given(st.binary(max_size=300), st.booleans())
def test_garbage_instead_of_a_handshake(
    suite: str, garbage: bytes, initiator: bool
) -> None:
    outcome = settle(
        exchange(suite=suite).fresh(initiator=initiator), garbage, eof=True
    )
    assert outcome.error is not None
    assert not outcome.messages


@given(st.binary(max_size=300))
def test_garbage_in_an_open_session(suite: str, garbage: bytes) -> None:
    outcome = settle(opened(suite=suite)[1], garbage, eof=True)
    assert isinstance(outcome.error, (IntegrityError, ConnectionClosed))
    assert not outcome.messages


# One bit.


def _frame(
    level: Protection, *, minimum: Protection, suite: str
) -> tuple[Session, bytes]:
    """An end that waits, and the protected frame it waits for."""
    client, server = opened(minimum=minimum, limits=SMALL, suite=suite)
    client.send(b"attack at dawn", level)
    return server, client.data_to_send()


def _close(
    level: Protection, *, minimum: Protection, suite: str
) -> tuple[Session, bytes]:
    client, server = opened(minimum=minimum, limits=SMALL, suite=suite)
    client.close()
    return server, client.data_to_send()


class Make(Protocol):
    """Makes an end and the frame it waits for, the same ones each time."""

    def __call__(
        self, level: Protection, *, minimum: Protection, suite: str
    ) -> tuple[Session, bytes]: ...


CASES: list[tuple[Make, Protection, Protection]] = [
    (make, level, minimum)
    for make, levels in ((_frame, (SIGN, SEAL)), (_close, (SIGN,)))
    for level in levels
    for minimum in (NONE, SIGN)
]


def _lengthens(data: bytes, bit: int) -> bool:
    """Whether flipping a bit makes the frame longer, within the limit."""
    before = HEADER.unpack_from(data)[3]
    after = HEADER.unpack_from(_flip(data, bit))[3]
    return bool(before < after <= SMALL.max_record_bytes)


@pytest.mark.parametrize(("make", "level", "minimum"), CASES)
def test_each_bit_of_a_protected_frame(
    make: Make, level: Protection, minimum: Protection, suite: str
) -> None:
    _, data = make(level, minimum=minimum, suite=suite)
    later = 0
    for bit in range(len(data) * 8):
        server, same = make(level, minimum=minimum, suite=suite)
        assert same == data
        outcome = settle(server, _flip(data, bit))
        if _lengthens(data, bit):
            # The frame now claims bytes that have not come.  Those that follow
            # become part of it and it fails; if none follow it is a truncation.
            later += 1
            assert outcome.error is None
            assert outcome.events == []
            outcome = settle(server, bytes(SMALL.max_record_bytes))
        assert type(outcome.error) is IntegrityError, bit
        assert outcome.events == [], bit
    assert 0 < later < 12


@pytest.mark.parametrize(("make", "level", "minimum"), CASES)
def test_each_bit_and_then_the_end_of_the_stream(
    make: Make, level: Protection, minimum: Protection, suite: str
) -> None:
    _, data = make(level, minimum=minimum, suite=suite)
    for bit in range(len(data) * 8):
        server, _ = make(level, minimum=minimum, suite=suite)
        outcome = settle(server, _flip(data, bit), eof=True)
        assert outcome.events == []
        if _lengthens(data, bit):
            assert isinstance(outcome.error, ConnectionClosed)
            assert not outcome.error.clean
        else:
            assert type(outcome.error) is IntegrityError


def test_each_bit_of_an_unprotected_record_never_ends_in_another_exception(
    suite: str,
) -> None:
    client, server = opened(minimum=NONE, limits=SMALL, suite=suite)
    client.send(b"anybody may change this", NONE)
    data = client.data_to_send()
    for bit in range(len(data) * 8):
        client, server = opened(minimum=NONE, limits=SMALL, suite=suite)
        outcome = settle(server, _flip(data, bit), eof=True)
        assert isinstance(outcome.error, (RemoteProtocolError, ConnectionClosed))
        assert all(each.protection is NONE for each in outcome.messages)


def _repeated(events: list[Event]) -> int:
    return len([event for event in events if isinstance(event, MessagesReceived)])


@pytest.mark.parametrize("initiator", [True, False])
def test_each_frame_dropped_repeated_and_swapped(initiator: bool, suite: str) -> None:
    whole = exchange(minimum=SIGN, suite=suite)
    parts = [frame.encoded for frame in frames(whole.stream(initiator=initiator))]
    true = whole.messages(initiator=initiator)
    for at in range(len(parts)):
        changed = [
            parts[:at] + parts[at + 1 :],
            [*parts[: at + 1], *parts[at:]],
            [*parts[:at], *parts[at : at + 2][::-1], *parts[at + 2 :]],
        ]
        for order in changed:
            if order == parts:
                continue
            end = whole.fresh(initiator=initiator)
            outcome = settle(end, b"".join(order), eof=True)
            # Losing the very last frame is a truncation, all else is found earlier.
            assert outcome.error is not None
            assert not (
                isinstance(outcome.error, ConnectionClosed) and outcome.error.clean
            )
            assert outcome.messages == true[: _repeated(outcome.events)]
