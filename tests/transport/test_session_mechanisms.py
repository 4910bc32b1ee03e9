"""Sessions over real mechanisms: messages, their ends, and one changed bit."""

from dataclasses import replace

import pytest

from signetrpc.transport._events import PeerClosed, StepRequired
from signetrpc.transport._frames import HEADER
from signetrpc.transport._protection import Protection
from signetrpc.transport._session import SessionState
from signetrpc.transport.errors import ConnectionClosed, IntegrityError
from signetrpc.transport.testing import pump
from tests.support.mechanisms import Real
from tests.support.sessions import NONE, SEAL, SIGN, SMALL, collect, settle


def test_messages_of_each_level_both_ways(real: Real, suite: str) -> None:
    policy = replace(real.policy, suites=(suite,), minimum_protection=NONE)
    client, server = real.opened(suite, policy=policy)
    assert client.established.suite == server.established.suite == suite
    for here, there in ((client, server), (server, client)) * 2:
        for level in (SEAL, NONE, SIGN, SIGN, SEAL):
            here.send(level.name.encode() * 200, level)
        there.receive_data(here.data_to_send())
        assert collect(there) == [
            (SEAL, [b"SEAL" * 200]),
            (NONE, [b"NONE" * 200]),
            (SIGN, [b"SIGN" * 200] * 2),
            (SEAL, [b"SEAL" * 200]),
        ]
    client.close()
    assert pump(client, server)[1] == [PeerClosed()]
    server.close()
    assert pump(client, server)[0] == [PeerClosed()]
    assert client.state is server.state is SessionState.CLOSED


def test_what_is_sealed_is_not_to_be_seen(real: Real, suite: str) -> None:
    for here, there in (real.opened(suite), real.opened(suite)[::-1]):
        here.send(b"attack at dawn", SEAL)
        sent = here.data_to_send()
        assert b"attack" not in sent
        there.receive_data(sent)
        assert collect(there) == [(SEAL, [b"attack at dawn"])]


def test_the_handshake_split_and_ended_at_each_byte(real: Real, suite: str) -> None:
    client, server = real.client(suite), real.server(suite)
    collect(client)
    flight = client.data_to_send()  # HELLO TOKEN
    collect(server)
    for at in range(0, len(flight), 1 + len(flight) // 200):
        split, ended = real.server(suite), real.server(suite)
        outcome = settle(ended, flight[:at], eof=True)
        assert isinstance(outcome.error, ConnectionClosed)
        assert not outcome.error.clean
        # No step is taken: a replay cache knows the ticket by now.
        split.receive_data(flight[:at])
        assert split.next_event() is None
        split.receive_data(flight[at:])
        assert isinstance(split.next_event(), StepRequired)


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_one_byte_at_a_time(real: Real, level: Protection, suite: str) -> None:
    client, server = real.opened(suite)
    for turn in range(2):
        client.send(b"first %d" % turn, level)
        client.send(b"second", level)
        *most, last = client.data_to_send()
        for byte in most:
            server.receive_data(bytes((byte,)))
            assert server.next_event() is None
        server.receive_data(bytes((last,)))
        assert collect(server) == [(level, [b"first %d" % turn, b"second"])]


@pytest.mark.parametrize("deed", ["repeat", "drop", "swap", "reflect"])
@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_frames_repeated_dropped_swapped_and_reflected(
    real: Real, level: Protection, deed: str, suite: str
) -> None:
    client, server = real.opened(suite)
    sent: list[bytes] = []
    for number in range(3):
        client.send(b"%d" % number, level)
        sent.append(client.data_to_send())
    match deed:
        case "repeat":
            outcome = settle(server, sent[0], sent[0])
        case "drop":
            outcome = settle(server, sent[0], sent[2])
        case "swap":
            outcome = settle(server, sent[0], sent[2], sent[1])
        case _:
            outcome = settle(client, sent[0])
    assert type(outcome.error) is IntegrityError
    seen = [] if deed == "reflect" else [(level, [b"0"])]
    assert outcome.messages == seen


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_another_session_s_frame(real: Real, level: Protection, suite: str) -> None:
    (client, _), (_, server) = real.opened(suite), real.opened(suite)
    client.send(b"x", level)
    outcome = settle(server, client.data_to_send())
    assert type(outcome.error) is IntegrityError
    assert not outcome.messages


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_each_bit_of_a_record(real: Real, level: Protection, suite: str) -> None:
    client, _ = real.opened(suite)
    client.send(b"attack at dawn", level)
    size = len(client.data_to_send()) * 8
    for bit in range(size):
        client, server = real.opened(suite)
        client.send(b"attack at dawn", level)
        changed = bytearray(client.data_to_send())
        assert len(changed) * 8 == size
        before = HEADER.unpack_from(changed)[3]
        changed[bit // 8] ^= 1 << bit % 8
        filler = b""
        if HEADER.unpack_from(changed)[3] > before:
            filler = bytes(SMALL.max_record_bytes)
        outcome = settle(server, bytes(changed), filler)
        assert type(outcome.error) is IntegrityError, bit
        assert outcome.events == [], bit
