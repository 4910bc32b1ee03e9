"""At the door: floods, guessing, and a plain listener where others could reach it."""

import pytest

from signetrpc.transport._addresses import parse_address
from signetrpc.transport._door import Door, DoorLimits
from signetrpc.transport._plain import PLAIN_POLICY, check_plain
from signetrpc.transport.errors import LocalProtocolError

MALLORY, ALICE = "192.0.2.66", "192.0.2.1"
SMALL = DoorLimits(
    connections=6,
    connections_per_peer=4,
    handshakes=3,
    handshakes_per_peer=2,
    failures=3,
    longest_wait=8.0,
)


def test_half_open_connections_are_bounded() -> None:
    door = Door(SMALL)
    for peer in ("192.0.2.2", "192.0.2.3", "192.0.2.4"):
        assert door.refusal(peer, 0.0) is None
        door.enter(peer)
    assert door.refusal(ALICE, 0.0) == "3 handshakes under way, limit 3"
    assert door.refusal("", 0.0) == "3 handshakes under way, limit 3"
    door.succeeded("192.0.2.2")
    assert door.refusal(ALICE, 0.0) is None


def test_half_open_connections_of_one_peer_are_bounded() -> None:
    door = Door(SMALL)
    for _ in range(2):
        assert door.refusal(MALLORY, 0.0) is None
        door.enter(MALLORY)
    assert door.refusal(MALLORY, 0.0) == "2 handshakes under way, limit 2"
    assert door.refusal(ALICE, 0.0) is None


def test_connections_of_one_peer_are_bounded() -> None:
    door = Door(SMALL)
    for _ in range(4):
        assert door.refusal(MALLORY, 0.0) is None
        door.enter(MALLORY)
        door.succeeded(MALLORY)
    assert door.refusal(MALLORY, 0.0) == "4 connections, limit 4"
    assert door.refusal(ALICE, 0.0) is None
    door.leave(MALLORY)
    assert door.refusal(MALLORY, 0.0) is None


def test_connections_are_bounded() -> None:
    door = Door(SMALL)
    for number in range(6):
        door.enter(f"192.0.2.{number}")
        door.succeeded(f"192.0.2.{number}")
    assert door.refusal(ALICE, 0.0) == "6 connections, limit 6"


def test_whoever_fails_again_and_again_has_to_wait_longer_each_time() -> None:
    door = Door(SMALL)
    waits: list[float] = []
    now = 0.0
    for _ in range(8):
        door.enter(MALLORY)
        door.failed(MALLORY, now)
        door.gave_up(MALLORY)
        wait = next(
            seconds
            for seconds in (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
            if door.refusal(MALLORY, now + seconds) is None
        )
        waits.append(wait)
        assert door.refusal(ALICE, now) is None
        now += wait
    assert waits == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert door.connections == door.handshakes == 0
    door.enter(MALLORY)
    door.succeeded(MALLORY)
    door.enter(MALLORY)
    door.failed(MALLORY, now)
    door.gave_up(MALLORY)
    assert door.refusal(MALLORY, now) is None


@pytest.mark.parametrize(
    "address", ["tcp://0.0.0.0:1", "tcp://192.0.2.1:1", "tcp://example.com:1"]
)
def test_a_plain_connection_stays_on_this_machine(address: str) -> None:
    with pytest.raises(LocalProtocolError, match="is not on this machine"):
        check_plain(parse_address(address), PLAIN_POLICY)
    check_plain(parse_address("tcp://127.0.0.1:1"), PLAIN_POLICY)
