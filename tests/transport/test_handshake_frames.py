"""No frame of a handshake can be dropped, repeated, changed, moved or added.

Each attempt fails on both sides: scripted handshakes of 2 to 5 legs, and real ones.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from signetrpc.transport._frames import Frame, FrameType
from signetrpc.transport._hello import ClientHello
from signetrpc.transport._security import SecurityContext
from signetrpc.transport.errors import IntegrityError
from signetrpc.transport.testing import ScriptedContext
from tests.support.mechanisms import Real
from tests.support.negotiation import NTLM
from tests.support.paths import (
    LEGS,
    PLACES,
    assert_both_fail,
    attacked,
    flight,
    only_at,
)
from tests.support.sessions import (
    GSS,
    answer,
    collect,
    config,
    frames,
    hello_of,
    over_a_path,
    pair,
    raw,
    session,
    settle,
)

HELLO, TOKEN, FINISHED = FrameType.HELLO, FrameType.TOKEN, FrameType.FINISHED


def _flip(frame: Frame, byte: int) -> list[bytes]:
    body = bytearray(frame.body)
    body[byte] ^= 0x80
    return [frame.header + body]


DEEDS: dict[str, Callable[[Frame], list[bytes]]] = {
    "drop": lambda frame: [],
    "repeat": lambda frame: [frame.encoded] * 2,
    "flip first": lambda frame: _flip(frame, 0),
    "flip last": lambda frame: _flip(frame, -1),
    "cut": lambda frame: [raw(frame.kind, bytes(frame.body[:-1]), level=frame.level)],
    "lengthen": lambda frame: [
        raw(frame.kind, bytes(frame.body) + b"x", level=frame.level)
    ],
    "empty": lambda frame: [raw(frame.kind, level=frame.level)],
    "other level": lambda frame: [raw(frame.kind, bytes(frame.body), level=2)],
    "same kind before": lambda frame: [
        raw(frame.kind, b"x", level=frame.level),
        frame.encoded,
    ],
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
@pytest.mark.parametrize(("to_server", "legs", "at"), PLACES)
def test_no_frame_can_be_dropped_repeated_or_changed(
    deed: Callable[[Frame], list[bytes]],
    to_server: bool,
    legs: int,
    at: int,
    suite: str,
) -> None:
    kind = flight(suite, legs, to_server=to_server)[at].kind
    pair_of = pair(legs=legs, suite=suite)
    outcomes = attacked(pair_of, only_at(at, deed), to_server=to_server)
    # A changed FINISHED, and a token after the last, are seen by their receiver alone,
    # which then ends it for both.
    opened = kind is FINISHED or deed is DEEDS["repeat"]
    assert_both_fail(pair_of, outcomes, opened=opened)


STRANGERS: dict[str, Callable[[str], bytes]] = {
    "HELLO": lambda suite: hello_of(suite=suite),
    "answer": lambda suite: answer(suite=suite),
    "TOKEN": lambda _: raw(2, b"token"),
    "FINISHED": lambda _: raw(3, b"x" * 32, level=1),
    "REJECT": lambda _: raw(4, b"\4"),
    "NONE record": lambda _: raw(16, b"\0\0\0\4fake"),
    "SIGN record": lambda _: raw(16, b"\0\0\0\4fake" + bytes(16), level=1),
    "SEAL record": lambda _: raw(16, bytes(40), level=2),
    "REKEY": lambda _: raw(17, bytes(16), level=1),
    "CLOSE": lambda _: raw(18, bytes(16), level=1),
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
@pytest.mark.parametrize(("to_server", "legs", "at"), PLACES)
def test_no_frame_can_be_added(
    stranger: Callable[[str], bytes],
    to_server: bool,
    legs: int,
    at: int,
    after: bool,
    suite: str,
) -> None:
    def add(frame: Frame) -> list[bytes]:
        both = [stranger(suite), frame.encoded]
        return both[::-1] if after else both

    pair_of = pair(legs=legs, suite=suite)
    outcomes = attacked(pair_of, only_at(at, add), to_server=to_server)
    assert_both_fail(pair_of, outcomes, opened=True)


@pytest.mark.parametrize(("to_server", "legs", "at"), PLACES)
def test_no_frame_can_change_places_with_the_next(
    to_server: bool, legs: int, at: int, suite: str
) -> None:
    held: list[bytes] = []
    count = -1

    def swap(frame: Frame) -> list[bytes]:
        nonlocal count
        count += 1
        if count == at:
            held.append(frame.encoded)
            return []
        if count == at + 1:
            return [frame.encoded, *held]
        return [frame.encoded]

    pair_of = pair(legs=legs, suite=suite)
    outcomes = attacked(pair_of, swap, to_server=to_server)
    assert_both_fail(pair_of, outcomes, opened=True)


@pytest.mark.parametrize(
    ("to_server", "legs", "at"),
    # The script's tokens are all alike; real ones are tried below.
    [
        place
        for place in PLACES
        if flight(GSS, place[1], to_server=place[0])[place[2]].kind is not TOKEN
    ],
)
def test_no_frame_can_be_another_handshake_s(
    to_server: bool, legs: int, at: int, suite: str
) -> None:
    # Of an end with another nonce, and so another T.
    strange: list[Frame] = []

    def watch(frame: Frame) -> list[bytes]:
        strange.append(frame)
        return [frame.encoded]

    other = tuple(
        session(
            initiator=initiator,
            given=replace(config(initiator=initiator, suite=suite), nonce=b"O" * 32),
            legs=legs,
        )
        for initiator in (True, False)
    )
    attacked((other[0], other[1]), watch, to_server=to_server)
    kind = strange[at].kind
    pair_of = pair(legs=legs, suite=suite)
    tamper = only_at(at, lambda _: [strange[at].encoded])
    outcomes = attacked(pair_of, tamper, to_server=to_server)
    assert_both_fail(pair_of, outcomes, opened=kind is FINISHED)


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
@pytest.mark.parametrize("to_server", [True, False])
def test_no_frame_over_a_real_mechanism(
    deed: Callable[[Frame], list[bytes]], to_server: bool, real: Real, suite: str
) -> None:
    passed: list[Frame] = []

    def watch(frame: Frame) -> list[bytes]:
        passed.append(frame)
        return [frame.encoded]

    attacked((real.client(suite), real.server(suite)), watch, to_server=to_server)
    for at, frame in enumerate(passed):
        pair_of = real.client(suite), real.server(suite)
        outcomes = attacked(pair_of, only_at(at, deed), to_server=to_server)
        opened = frame.kind is FINISHED or deed is DEEDS["repeat"]
        assert_both_fail(pair_of, outcomes, opened=opened)


@pytest.mark.parametrize("to_server", [True, False])
def test_no_frame_of_another_real_handshake(
    to_server: bool, real: Real, suite: str
) -> None:
    other: list[Frame] = []

    def watch(frame: Frame) -> list[bytes]:
        other.append(frame)
        return [frame.encoded]

    attacked((real.client(suite), real.server(suite)), watch, to_server=to_server)
    for at, frame in enumerate(other):
        nonce = b"N" * 32
        pair_of = real.client(suite, nonce=nonce), real.server(suite, nonce=nonce)
        changed = False

        def exchange(own: Frame, strange: bytes = frame.encoded) -> list[bytes]:
            nonlocal changed
            changed = strange != own.encoded
            return [strange]

        outcomes = attacked(pair_of, only_at(at, exchange), to_server=to_server)
        if changed:  # the first token of NTLM is always the same
            assert_both_fail(pair_of, outcomes, opened=frame.kind is FINISHED)
        else:
            assert frame.kind is TOKEN and at == 1
            assert outcomes[0].error is None


# Sent back.


@pytest.mark.parametrize("legs", LEGS)
@pytest.mark.parametrize("initiator", [True, False])
def test_finished_sent_back_is_not_the_peer_s(
    initiator: bool, legs: int, suite: str
) -> None:
    # The label in the statement differs, so a mirror cannot prove anything.
    mine: list[bytes] = []

    def keep(frame: Frame) -> list[bytes]:
        if frame.kind is FINISHED:
            mine.append(frame.encoded)
        return [frame.encoded]

    def mirror(frame: Frame) -> list[bytes]:
        return list(mine) if frame.kind is FINISHED else [frame.encoded]

    pair_of = pair(legs=legs, suite=suite)
    there, back = (keep, mirror) if initiator else (mirror, keep)
    outcomes = over_a_path(*pair_of, to_server=there, to_client=back)
    assert_both_fail(pair_of, outcomes, opened=True)


class _Mirrored(ScriptedContext):
    """A mechanism whose signatures are the same in both directions."""

    def _nonce(self, *, sending: bool) -> bytes:
        return bytes(12)


def _mirrored(_: ClientHello, *, initiator: bool, legs: int) -> SecurityContext:
    return _Mirrored(initiator=initiator, legs=legs)


@pytest.mark.parametrize("legs", LEGS)
@pytest.mark.parametrize("initiator", [True, False])
def test_finished_sent_back_proves_nothing_whatever_the_mechanism(
    initiator: bool, legs: int, suite: str
) -> None:
    client, server = (
        session(
            initiator=role,
            suite=suite,
            context=partial(_mirrored, initiator=role, legs=legs),
        )
        for role in (True, False)
    )
    sent: dict[bool, bytes] = {}

    def keep(frame: Frame) -> list[bytes]:
        if frame.kind is not FINISHED:
            return [frame.encoded]
        sent[initiator] = frame.encoded
        return []

    def drop(frame: Frame) -> list[bytes]:
        return [] if frame.kind is FINISHED else [frame.encoded]

    there, back = (keep, drop) if initiator else (drop, keep)
    end = client if initiator else server
    for here, other, tamper in ((client, server, there), (server, client, back)) * 4:
        collect(here)
        for frame in frames(here.data_to_send()):
            for data in tamper(frame):
                other.receive_data(data)
    outcome = settle(end, sent[initiator])
    assert isinstance(outcome.error, IntegrityError)
    assert "FINISHED does not match" in str(outcome.error)


@pytest.mark.parametrize("to_server", [True, False])
def test_tokens_sent_back_over_a_real_mechanism(
    to_server: bool, real: Real, suite: str
) -> None:
    # Each token of one end comes back to it in place of the other's.
    sent: list[bytes] = []

    def keep(frame: Frame) -> list[bytes]:
        if frame.kind is TOKEN:
            sent.append(frame.encoded)
        return [frame.encoded]

    def mirror(frame: Frame) -> list[bytes]:
        return [sent[-1]] if frame.kind is TOKEN and sent else [frame.encoded]

    pair_of = real.client(suite), real.server(suite)
    there, back = (mirror, keep) if to_server else (keep, mirror)
    outcomes = over_a_path(*pair_of, to_server=there, to_client=back)
    if to_server and real.mechanism is not NTLM:
        assert len(sent) == 1  # a Kerberos client sends one, before it could have any
    else:
        assert_both_fail(pair_of, outcomes)
