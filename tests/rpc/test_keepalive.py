"""Keepalive: when a peer is asked, given up, or asks too often itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc._keepalive import (
    DEFAULT_KEEPALIVE,
    SERVER_KEEPALIVE,
    Beat,
    Keepalive,
    KeepalivePolicy,
    PingGuard,
)
from signetrpc.transport import RemoteProtocolError

POLICY = KeepalivePolicy(
    idle_seconds=60.0, timeout_seconds=20.0, min_ping_seconds=5.0, max_strikes=2
)


def test_a_client_asks_while_it_waits_and_a_server_always() -> None:
    assert not DEFAULT_KEEPALIVE.without_calls
    assert SERVER_KEEPALIVE.without_calls
    # Neither strikes the other out, whatever happens.
    for policy in (DEFAULT_KEEPALIVE, SERVER_KEEPALIVE):
        assert policy.idle_seconds > DEFAULT_KEEPALIVE.min_ping_seconds


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"idle_seconds": 0.0}, "idle_seconds 0.0 is not over 0"),
        ({"timeout_seconds": -1.0}, "timeout_seconds -1.0 is not over 0"),
        ({"min_ping_seconds": float("nan")}, "min_ping_seconds nan is not over 0"),
        ({"max_strikes": -1}, "max_strikes -1 is below 0"),
    ],
)
def test_policies_that_make_no_sense(options: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        KeepalivePolicy(**options)  # type: ignore[arg-type]  # pyright: ignore


def test_a_silent_peer_is_asked_and_then_given_up() -> None:
    alive = Keepalive(POLICY, 100.0)
    assert alive.next_timeout() == 160.0
    assert alive.beat(159.9, calls=True) is Beat.NOTHING
    assert alive.beat(160.0, calls=True) is Beat.PING
    assert alive.number == 1
    assert alive.next_timeout() == 180.0
    assert alive.beat(179.9, calls=True) is Beat.NOTHING
    assert alive.beat(180.0, calls=True) is Beat.GIVE_UP


def test_whatever_comes_is_a_sign_of_life() -> None:
    alive = Keepalive(POLICY, 100.0)
    alive.heard(150.0)
    assert alive.beat(160.0, calls=True) is Beat.NOTHING
    assert alive.next_timeout() == 210.0
    assert alive.beat(210.0, calls=True) is Beat.PING
    alive.heard(211.0)  # not the PONG, but something
    assert alive.beat(230.0, calls=True) is Beat.NOTHING
    assert alive.next_timeout() == 271.0


def test_nobody_is_asked_whom_nobody_waits_for() -> None:
    alive = Keepalive(POLICY, 0.0)
    assert alive.beat(60.0, calls=False) is Beat.NOTHING
    assert alive.number == 0 and alive.next_timeout() == 120.0
    assert alive.beat(120.0, calls=True) is Beat.PING


def test_unless_it_is_wanted() -> None:
    alive = Keepalive(SERVER_KEEPALIVE, 0.0)
    assert alive.beat(SERVER_KEEPALIVE.idle_seconds, calls=False) is Beat.PING


def test_who_was_asked_is_given_up_though_the_last_call_has_ended() -> None:
    alive = Keepalive(POLICY, 0.0)
    assert alive.beat(60.0, calls=True) is Beat.PING
    assert alive.beat(80.0, calls=False) is Beat.GIVE_UP


def test_a_pong_answers_a_ping() -> None:
    alive = Keepalive(POLICY, 0.0)
    for number in (0, 1):
        with pytest.raises(RemoteProtocolError, match=f"PONG {number} to no PING"):
            alive.answered(number)
    alive.ask(1.0)
    alive.answered(1)
    alive.ask(2.0)
    alive.answered(2)
    with pytest.raises(RemoteProtocolError, match="PONG 3 to no PING"):
        alive.answered(3)


@given(st.lists(st.floats(0.1, 100.0), max_size=40), st.booleans())
def test_a_peer_that_answers_is_never_given_up(
    delays: list[float], calls: bool
) -> None:
    alive, now = Keepalive(POLICY, 0.0), 0.0
    for delay in delays:
        now = max(now + delay, alive.next_timeout())
        beat = alive.beat(now, calls=calls)
        assert beat is (Beat.PING if calls else Beat.NOTHING)
        if calls:
            now += min(delay, 19.0)
            alive.heard(now)
            alive.answered(alive.number)


# Those who ask too often.


def test_who_asks_seldom_may_always() -> None:
    guard = PingGuard(POLICY)
    for number in range(100):
        guard.arrived(number * 5.0)


def test_a_few_too_many_are_borne() -> None:
    guard = PingGuard(POLICY)
    for now in (0.0, 1.0, 2.0):
        guard.arrived(now)
    text = "too many pings: 3 less than 5 seconds after another"
    with pytest.raises(RemoteProtocolError, match=text):
        guard.arrived(3.0)


def test_patience_makes_up_for_it() -> None:
    guard = PingGuard(POLICY)
    for now in (0.0, 1.0, 2.0, 7.0, 8.0, 9.0):
        guard.arrived(now)
    with pytest.raises(RemoteProtocolError):
        guard.arrived(10.0)


def test_none_may_come_early_where_none_is_borne() -> None:
    guard = PingGuard(KeepalivePolicy(max_strikes=0))
    guard.arrived(0.0)
    with pytest.raises(RemoteProtocolError, match="too many pings: 1 less"):
        guard.arrived(4.9)
