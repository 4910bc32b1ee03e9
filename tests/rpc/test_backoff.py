"""gRPC's connection back-off, with a clock and a chance that the test holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc._backoff import Backoff


def middle() -> float:
    return 0.5


def test_the_first_attempt_is_at_once() -> None:
    assert Backoff(middle).wait(0.0) == 0.0


def test_each_failure_waits_longer_up_to_two_minutes() -> None:
    backoff = Backoff(middle)
    waits: list[float] = []
    for _ in range(15):
        backoff.failed(100.0)
        waits.append(backoff.wait(100.0))
    assert waits[:4] == pytest.approx([1.0, 1.6, 2.56, 4.096])
    assert waits[-1] == waits[-2] == 120.0


def test_waiting_gets_shorter_as_time_passes() -> None:
    backoff = Backoff(middle)
    backoff.failed(100.0)
    assert backoff.wait(100.25) == 0.75
    assert backoff.wait(101.0) == 0.0
    assert backoff.wait(200.0) == 0.0


def test_a_success_starts_anew() -> None:
    backoff = Backoff(middle)
    for _ in range(5):
        backoff.failed(0.0)
    backoff.succeeded()
    assert backoff.wait(0.0) == 0.0
    backoff.failed(0.0)
    assert backoff.wait(0.0) == 1.0


@given(st.floats(0, 1), st.integers(1, 20))
def test_clients_come_back_within_a_fifth(chance: float, failures: int) -> None:
    backoff = Backoff(lambda: chance)
    for _ in range(failures):
        backoff.failed(0.0)
    delay = min(1.6 ** (failures - 1), 120.0)
    assert 0.799 * delay <= backoff.wait(0.0) <= 1.201 * delay
