"""A path that attacks a handshake, and what has to come of it at both ends."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from signetrpc.transport._events import Established
from signetrpc.transport._frames import Frame
from signetrpc.transport._session import Session, SessionState
from signetrpc.transport.errors import ConnectionClosed
from tests.support.sessions import (
    GSS,
    Outcome,
    Tamper,
    config,
    over_a_path,
    pair,
    pass_on,
    session,
)

LEGS = range(2, 6)
Ends = tuple[Session, Session]


def ends(offer: tuple[str, ...], *, legs: int = 2, binding: bytes = bytes(32)) -> Ends:
    """Return two ends that have not begun and that both offer these suites."""

    def brings(initiator: bool) -> Session:
        given = config(initiator=initiator)
        policy = replace(given.policy, suites=offer)
        given = replace(given, policy=policy, binding=binding)
        return session(initiator=initiator, given=given, legs=legs)

    return brings(True), brings(False)


def attacked(
    pair_of: Ends, tamper: Tamper, *, to_server: bool
) -> tuple[Outcome, Outcome]:
    """Let two ends talk while one direction is tampered with."""
    changed, other = (tamper, pass_on) if to_server else (pass_on, tamper)
    return over_a_path(*pair_of, to_server=changed, to_client=other)


def assert_both_fail(
    pair_of: Ends, outcomes: tuple[Outcome, Outcome], *, opened: bool = False
) -> None:
    """Check that both ends failed, and that neither took a message.

    Args:
        pair_of: The ends.
        outcomes: What came of them.
        opened: One end may have been open for a moment: all it had to hear was true.
    """
    for end, outcome in zip(pair_of, outcomes, strict=True):
        assert outcome.error is not None
        assert not outcome.messages
        if isinstance(outcome.error, ConnectionClosed):
            assert not outcome.error.clean
            assert end.state is SessionState.CLOSED
        else:
            assert end.state is SessionState.FAILED
        if not opened:
            assert not [each for each in outcome.events if type(each) is Established]


@cache
def flight(suite: str, legs: int, *, to_server: bool) -> list[Frame]:
    """The frames of an untouched handshake in one direction."""
    passed: list[Frame] = []

    def watch(frame: Frame) -> list[bytes]:
        passed.append(frame)
        return [frame.encoded]

    attacked(pair(legs=legs, suite=suite), watch, to_server=to_server)
    return passed


PLACES = [
    (to_server, legs, at)
    for legs in LEGS
    for to_server in (True, False)
    for at in range(len(flight(GSS, legs, to_server=to_server)))
]
"""Direction, legs, and the number of each frame."""


def only_at(at: int, deed: Callable[[Frame], list[bytes]]) -> Tamper:
    """Return what does a deed to one frame and passes the others on."""
    count = -1

    def tamper(frame: Frame) -> list[bytes]:
        nonlocal count
        count += 1
        return deed(frame) if count == at else [frame.encoded]

    return tamper
