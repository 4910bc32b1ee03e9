"""Many deadlines under one timer, against a model that is only a dict."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from signetrpc.rpc._deadline import Deadlines


def test_nothing_is_due() -> None:
    deadlines = Deadlines({})
    assert deadlines.next_timeout() is None
    assert deadlines.expired(1e9) == []


def test_the_oldest_comes_first() -> None:
    deadlines = Deadlines({1, 2, 3})
    for call_id, when in ((1, 3.0), (2, 1.0), (3, 2.0)):
        deadlines.add(call_id, when)
    assert deadlines.next_timeout() == 1.0
    assert deadlines.expired(0.99) == []
    assert deadlines.expired(2.0) == [2, 3]
    assert deadlines.next_timeout() == 3.0


def test_what_ended_in_time_does_not_expire() -> None:
    calls = {1, 2}
    deadlines = Deadlines(calls)
    deadlines.add(1, 1.0)
    deadlines.add(2, 2.0)
    calls.remove(1)
    assert deadlines.next_timeout() == 2.0
    assert deadlines.expired(3.0) == [2]


def test_the_heap_does_not_grow_with_the_calls_made() -> None:
    calls = {1}
    deadlines = Deadlines(calls)
    deadlines.add(1, 1e9)
    for call_id in range(2, 10_000):
        calls.add(call_id)
        deadlines.add(call_id, 1e6 + call_id)
        calls.remove(call_id)
    assert len(deadlines._heap) < 100  # pyright: ignore[reportPrivateUsage]
    assert deadlines.expired(2e9) == [1]


class Compared(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model: dict[int, float] = {}
        self.deadlines = Deadlines(self.model)
        self.next_id = 1

    @rule(when=st.integers(0, 50), calls=st.integers(1, 40))
    def add(self, when: int, calls: int) -> None:
        for _ in range(calls):
            self.model[self.next_id] = float(when)
            self.deadlines.add(self.next_id, float(when))
            self.next_id += 1

    @rule(first=st.integers(1, 200), calls=st.integers(1, 80))
    def end(self, first: int, calls: int) -> None:
        for call_id in range(first, first + calls):
            self.model.pop(call_id, None)

    @rule(now=st.integers(-1, 51))
    def expire(self, now: int) -> None:
        over = self.deadlines.expired(float(now))
        times = [self.model.pop(call_id) for call_id in over]
        assert times == sorted(times)
        assert all(when <= now for when in times)
        assert all(when > now for when in self.model.values())

    @invariant()
    def agrees(self) -> None:
        assert self.deadlines.next_timeout() == min(self.model.values(), default=None)


TestCompared = Compared.TestCase


@given(st.lists(st.floats(0, 100), min_size=1))
def test_all_expire_in_the_end(times: list[float]) -> None:
    deadlines = Deadlines(range(1, len(times) + 1))
    for call_id, when in enumerate(times, 1):
        deadlines.add(call_id, when)
    assert sorted(deadlines.expired(100.0)) == list(range(1, len(times) + 1))
