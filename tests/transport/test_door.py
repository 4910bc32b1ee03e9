"""The doorkeeper: each limit, and how long a peer that fails has to wait."""

from dataclasses import replace
from random import Random

import pytest

from signetrpc.transport._door import Door, DoorLimits, door_key

WIDE = DoorLimits(failures=3, longest_wait=8.0)


def fail(door: Door, peer: str, *, times: int = 1, now: float = 0.0) -> None:
    for _ in range(times):
        door.enter(peer)
        door.failed(peer, now)
        door.gave_up(peer)


@pytest.mark.parametrize(
    ("limits", "open_ones", "shaking", "said"),
    [
        (replace(WIDE, connections=3), 2, 1, "3 connections, limit 3"),
        (replace(WIDE, connections_per_peer=3), 2, 1, "3 connections, limit 3"),
        (replace(WIDE, handshakes=2), 1, 2, "2 handshakes under way, limit 2"),
        (replace(WIDE, handshakes_per_peer=2), 1, 2, "2 handshakes under way, limit 2"),
    ],
)
def test_each_limit(
    limits: DoorLimits, open_ones: int, shaking: int, said: str
) -> None:
    door = Door(limits)
    for _ in range(open_ones):
        assert door.refusal("a", 0.0) is None
        door.enter("a")
        door.succeeded("a")
    for _ in range(shaking):
        assert door.refusal("a", 0.0) is None
        door.enter("a")
    assert door.refusal("a", 0.0) == said
    door.failed("a", 0.0)
    door.gave_up("a")
    assert door.refusal("a", 0.0) is None


def test_going_away_is_no_failure() -> None:
    door = Door(replace(WIDE, failures=1))
    for _ in range(10):
        assert door.refusal("a", 0.0) is None
        door.enter("a")
        door.gave_up("a")
    assert (door.handshakes, door.connections) == (0, 0)


def test_limits_of_one_peer_leave_the_others_alone() -> None:
    door = Door(replace(WIDE, handshakes_per_peer=1, connections_per_peer=2))
    door.enter("a")
    assert door.refusal("a", 0.0)
    assert door.refusal("b", 0.0) is None
    door.succeeded("a")
    door.enter("a")
    door.succeeded("a")
    assert door.refusal("a", 0.0)
    assert door.refusal("b", 0.0) is None


def test_limits_of_all_hold_for_everybody() -> None:
    door = Door(replace(WIDE, handshakes=1))
    door.enter("a")
    assert door.refusal("b", 0.0)
    assert door.refusal("", 0.0)


def test_a_peer_on_a_unix_socket_is_only_counted() -> None:
    door = Door(replace(WIDE, handshakes_per_peer=1, connections_per_peer=1))
    for _ in range(5):
        door.enter("")
    assert door.refusal("", 0.0) is None
    for _ in range(5):
        door.failed("", 0.0)
        door.gave_up("")
    assert door.refusal("", 0.0) is None
    assert (door.handshakes, door.connections) == (0, 0)


def test_failures_make_a_peer_wait_twice_as_long_each_time() -> None:
    door = Door(WIDE)
    fail(door, "a", times=2)
    assert door.refusal("a", 0.0) is None
    now = 0.0
    for wait in (1.0, 2.0, 4.0, 8.0, 8.0, 8.0):
        fail(door, "a", now=now)
        refusal = door.refusal("a", now)
        assert refusal is not None and f"{wait:.1f} seconds to wait" in refusal
        assert door.refusal("b", now) is None
        assert door.refusal("a", now + wait - 0.01) is not None
        now += wait
        assert door.refusal("a", now) is None


def test_a_thousand_failures_wait_no_longer_than_the_longest() -> None:
    door = Door(WIDE)
    fail(door, "a", times=1100)
    assert door.refusal("a", 8.0) is None


def test_a_success_clears_a_peer() -> None:
    door = Door(WIDE)
    fail(door, "a", times=3)
    door.enter("a")
    door.succeeded("a")
    assert door.refusal("a", 0.0) is None
    fail(door, "a", times=2)
    assert door.refusal("a", 0.0) is None


def test_only_so_many_failing_peers_are_remembered() -> None:
    door = Door(replace(WIDE, failures=1))
    fail(door, "first")
    for number in range(9_999):
        fail(door, str(number))
    assert door.refusal("first", 0.0) is not None
    fail(door, "one more")
    # The one that failed longest ago made room.
    assert door.refusal("first", 0.0) is None
    assert door.refusal("0", 0.0) is not None
    # Failing again renews a place.
    fail(door, "0")
    fail(door, "yet one more")
    assert door.refusal("0", 0.0) is not None
    assert door.refusal("1", 0.0) is None


def test_nothing_is_left_of_peers_that_are_gone() -> None:
    door, chance = Door(WIDE), Random(7)
    shaking: list[str] = []
    open_ones: list[str] = []
    for _ in range(3000):
        match chance.randrange(4):
            case 0:
                shaking.append(str(chance.randrange(20)))
                door.enter(shaking[-1])
            case 1 if shaking:
                open_ones.append(shaking.pop(chance.randrange(len(shaking))))
                door.succeeded(open_ones[-1])
            case 2 if shaking:
                peer = shaking.pop(chance.randrange(len(shaking)))
                door.failed(peer, 0.0)
                door.gave_up(peer)
            case 3 if open_ones:
                door.leave(open_ones.pop(chance.randrange(len(open_ones))))
            case _:
                continue
        assert door.handshakes == len(shaking)
        assert door.connections == len(shaking) + len(open_ones)
    for peer in shaking:
        door.failed(peer, 0.0)
        door.gave_up(peer)
    for peer in open_ones:
        door.leave(peer)
    assert (door.handshakes, door.connections) == (0, 0)


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::7", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_whoever_has_an_ipv6_network_is_one_peer(host: str, key: str) -> None:
    assert door_key(host) == key
