"""What a handler can know of its call, and code outside of one cannot."""

import pytest

from signetrpc.rpc import (
    CallContext,
    CancellationCause,
    current_call,
    current_caller,
)
from signetrpc.rpc._context import CURRENT
from signetrpc.transport import Identity, Mechanism, Protection

ALICE = Identity(mechanism=Mechanism.NTLM, name="alice", realm="CORP")


def context(deadline: float | None, now: float = 10.0) -> CallContext:
    return CallContext(
        method="bank.Accounts/balance",
        caller=ALICE,
        protection=Protection.SIGN,
        metadata=(("k", "v"),),
        deadline=deadline,
        time=lambda: now,
    )


def test_outside_a_call_there_is_none() -> None:
    for ask in (current_call, current_caller):
        with pytest.raises(LookupError, match="^not inside a call$"):
            ask()


def test_inside_a_call_there_is_one() -> None:
    call = context(None)
    token = CURRENT.set(call)
    try:
        assert current_call() is call
        assert current_caller() is ALICE
    finally:
        CURRENT.reset(token)


def test_the_time_left_is_never_negative() -> None:
    assert context(None).time_left() is None
    assert context(12.5).time_left() == 2.5
    assert context(9.0).time_left() == 0.0


def test_trailers_replace_those_before_and_follow_the_rules() -> None:
    call = context(None)
    assert not call.trailers
    call.set_trailers({"a": "1"})
    call.set_trailers([("b-bin", b"2"), ("b-bin", b"3")])
    assert call.trailers == (("b-bin", b"2"), ("b-bin", b"3"))
    with pytest.raises(ValueError, match="other characters"):
        call.set_trailers({"A": "1"})
    assert call.trailers == (("b-bin", b"2"), ("b-bin", b"3"))


def test_a_call_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        context(None).user = "mallory"  # type: ignore[attr-defined]  # pyright: ignore


def test_who_wants_to_know_of_the_end_is_told_unless_that_is_taken_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    call = context(None)
    told: list[str] = []

    def fail() -> None:
        raise KeyError("broken")

    call.on_cancelled(lambda: told.append("first"))
    call.on_cancelled(lambda: told.append("never"))()
    call.on_cancelled(fail)
    last = call.on_cancelled(lambda: told.append("last"))
    assert told == [] and not call.cancelled
    call.note_cancelled(CancellationCause.DEADLINE)
    assert told == ["first", "last"]
    assert call.cancelled and call.cancelled_because is CancellationCause.DEADLINE
    assert "what bank.Accounts/balance does when it is cancelled" in caplog.text
    last()
    last()


def test_who_comes_too_late_is_told_at_once() -> None:
    call = context(None)
    call.note_cancelled(CancellationCause.CALLER)
    told: list[str] = []
    call.on_cancelled(lambda: told.append("late"))
    assert told == ["late"]
