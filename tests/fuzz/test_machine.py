"""Two sessions and the path between them, in any order: state x input.

The path may deliver in pieces, change, drop, repeat, add and cut off; the ends may
send, close, be slow and let time pass.  Whatever happens, only true messages arrive,
in their order and at their level; a failure stays; and where nobody interfered,
nothing fails.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from signetrpc.transport._events import (
    Established,
    MessagesReceived,
    PeerClosed,
    StepRequired,
)
from signetrpc.transport._frames import HEADER, FrameType
from signetrpc.transport._protection import Protection
from signetrpc.transport._session import Session, SessionState
from signetrpc.transport.errors import (
    ConnectionClosed,
    LocalProtocolError,
    TransportError,
)
from tests.support.scale import scaled
from tests.support.sessions import NONE, SEAL, SIGN, SMALL, SUITES, pair, raw

END = st.integers(0, 1)
# The order of the states: nothing ever leads back.
_ORDER = {
    SessionState.HANDSHAKE: 0,
    SessionState.OPEN: 1,
    SessionState.CLOSING: 2,
    SessionState.CLOSED: 3,
    SessionState.FAILED: 3,
}


class Path(RuleBasedStateMachine):
    """Index 0 is the client, 1 the server; a list's entry is of what that end sends."""

    @initialize(
        suite=st.sampled_from(SUITES),
        legs=st.integers(2, 5),
        minimum=st.sampled_from([NONE, SIGN, SEAL]),
        shaken=st.booleans(),
    )
    def meet(self, suite: str, legs: int, minimum: Protection, shaken: bool) -> None:
        self.minimum = minimum
        self.ends: tuple[Session, Session] = pair(
            suite=suite, legs=legs, minimum=self.minimum, limits=SMALL
        )
        self.wire = [bytearray(), bytearray()]
        self.sent: list[list[tuple[Protection, bytes]]] = [[], []]
        self.got: list[list[tuple[Protection, bytes]]] = [[], []]
        self.steps: list[StepRequired | None] = [None, None]
        self.errors: list[TransportError | None] = [None, None]
        self.states = [SessionState.HANDSHAKE] * 2
        self.peer_closed = [False, False]
        self.cut = [False, False]
        self.interfered = False
        self.passed: list[list[bytes]] = [[], []]
        if shaken:
            self.deliver_all()

    # The ends.

    @rule(end=END)
    def look(self, end: int) -> None:
        """Take the events that are ready, and what there is to send."""
        session = self.ends[end]
        try:
            while (event := session.next_event()) is not None:
                match event:
                    case StepRequired():
                        assert self.steps[end] is None
                        self.steps[end] = event
                    case Established():
                        assert event.minimum == self.minimum
                    case MessagesReceived(level, messages):
                        self.got[end] += [(level, bytes(each)) for each in messages]
                    case PeerClosed():
                        self.peer_closed[end] = True
        except ConnectionClosed as error:
            # A clean end is one that the peer meant.
            assert not error.clean or self.peer_closed[end]
            self.errors[end] = error
        except TransportError as error:
            known = self.errors[end]
            assert known is None or known is error or self.cut[1 - end]
            self.errors[end] = error
        if self.errors[end] is None and self.steps[end] is None:
            held = session._decoder  # pyright: ignore[reportPrivateUsage]
            assert held.buffered <= held.limit + HEADER.size
        if not self.cut[end] and (data := session.data_to_send()):
            self.wire[end] += data
            self.passed[end].append(data)

    @precondition(lambda self: any(self.steps))
    @rule(fails=st.sampled_from([False] * 9 + [True]))
    def step(self, fails: bool) -> None:
        """The security context answers, or breaks."""
        end = 0 if self.steps[0] else 1
        event = self.steps[end]
        assert event is not None
        self.steps[end] = None
        session = self.ends[end]
        if fails:
            self.interfered = True
            session.step_failed(RuntimeError("broken"))
            return
        try:
            token = session.step(event.token)
        except ValueError as error:
            session.step_failed(error)
        else:
            session.step_finished(token)

    @rule(
        end=END,
        level=st.sampled_from([NONE, SIGN, SEAL]),
        message=st.binary(min_size=1, max_size=40),
    )
    def send(self, end: int, level: Protection, message: bytes) -> None:
        session = self.ends[end]
        may = session.state is SessionState.OPEN and level >= self.minimum
        try:
            session.send(message, level)
        except LocalProtocolError:
            assert not may
        else:
            assert may
            self.sent[end].append((level, message))

    @rule(end=END)
    def close(self, end: int) -> None:
        if self.ends[end].state is not SessionState.HANDSHAKE:
            self.ends[end].close()

    @rule(end=END, seconds=st.sampled_from([0.0, 9.9, 10.0, 1e9]))
    def time_passes(self, end: int, seconds: float) -> None:
        deadline = self.ends[end].next_timeout()
        assert deadline in (None, 10.0)
        self.ends[end].handle_timeout(seconds)
        if deadline is not None and seconds >= deadline:
            self.interfered = True

    # The path.

    @rule(end=END, size=st.sampled_from([1, 7, 8, 50, 1000, 100_000]))
    def deliver(self, end: int, size: int) -> None:
        """Pass on what an end has sent, or a piece of it."""
        chunk = bytes(self.wire[end][:size])
        del self.wire[end][:size]
        self.ends[1 - end].receive_data(chunk)

    @rule()
    def deliver_all(self) -> None:
        """Let both talk until neither has more to say."""
        for _ in range(12):
            for end in (0, 1):
                self.look(end)
                while any(self.steps):
                    self.step(False)
                    self.look(end)
                self.deliver(end, 100_000)
        self.look(0)
        self.look(1)
        if not self.interfered:
            assert all(end.state is not SessionState.HANDSHAKE for end in self.ends)
            for end in (0, 1):
                assert self.got[1 - end] == self.sent[end]

    @precondition(lambda self: self.wire[0] or self.wire[1])
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        """Change, drop, repeat or add bytes that are on their way."""
        end = 0 if self.wire[0] else 1
        wire = self.wire[end]
        at = data.draw(st.integers(0, len(wire) - 1))
        size = data.draw(st.sampled_from([1, 8, 30]))
        before = bytes(wire)
        match data.draw(st.sampled_from(["flip", "drop", "repeat", "add"])):
            case "flip":
                wire[at] ^= 1 << data.draw(st.integers(0, 7))
            case "drop":
                del wire[at : at + size]
            case "repeat":
                wire[at:at] = wire[at : at + size]
            case _:
                wire[at:at] = data.draw(st.binary(min_size=1, max_size=size))
        self.interfered |= before != bytes(wire)

    @rule(
        end=END,
        kind=st.sampled_from([*FrameType, 0]),
        level=st.integers(0, 3),
        body=st.sampled_from([b"", b"\4", b"\0\0\0\1x", bytes(32), bytes(4090)]),
    )
    def make_up(self, end: int, kind: int, level: int, body: bytes) -> None:
        """Send a frame in an end's name."""
        if self.minimum is NONE and kind == FrameType.RECORD and level == NONE:
            return  # NONE promises nothing of what is made up
        self.wire[end] += raw(kind, body, level=level)
        self.interfered = True

    @precondition(lambda self: self.passed[0] or self.passed[1])
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """Send once more, to either end, what went over the wire before."""
        end = data.draw(st.sampled_from([end for end in (0, 1) if self.passed[end]]))
        self.wire[data.draw(END)] += data.draw(st.sampled_from(self.passed[end]))
        self.interfered = True

    @rule(end=END)
    def make_up_a_message(self, end: int) -> None:
        """Send an unprotected message in an end's name."""
        if self.minimum is not NONE:
            self.wire[end] += raw(FrameType.RECORD, b"\0\0\0\4fake")
            self.interfered = True

    @rule(end=END)
    def cut_off(self, end: int) -> None:
        """The stream of an end stops here."""
        if not self.cut[end]:
            self.cut[end] = True
            self.interfered = True
            self.ends[1 - end].receive_eof()

    # What always holds.

    @invariant()
    def only_what_was_sent_arrives(self) -> None:
        for end in (0, 1):
            got, sent = self.got[1 - end], self.sent[end]
            if self.minimum is NONE:  # what is unprotected may be anything
                got = [each for each in got if each[0] != NONE]
                sent = [each for each in sent if each[0] != NONE]
            assert got == sent[: len(got)]

    @invariant()
    def nothing_leads_back(self) -> None:
        for end, session in enumerate(self.ends):
            assert _ORDER[session.state] >= _ORDER[self.states[end]]
            self.states[end] = session.state

    @invariant()
    def a_failure_stays(self) -> None:
        for end, error in enumerate(self.errors):
            if error is not None and not isinstance(error, ConnectionClosed):
                assert self.ends[end].state is SessionState.FAILED
                with pytest.raises(type(error)) as caught:
                    self.ends[end].next_event()
                assert caught.value is error

    @invariant()
    def nothing_fails_by_itself(self) -> None:
        if not self.interfered:
            assert self.errors == [None, None]


@pytest.mark.soak
def test_whatever_the_path_and_the_ends_do() -> None:
    examples = scaled(5_000)
    chosen = settings(max_examples=examples, stateful_step_count=60, deadline=None)
    run_state_machine_as_test(Path, settings=chosen)
