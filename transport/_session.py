"""The session: bytes in, events and bytes out.

    HANDSHAKE --FINISHED both ways--> OPEN --close()--> CLOSING --CLOSE--> CLOSED
        |                              |                   |
        +---- any error ---------------+-------------------+--> FAILED

Theory of operation.  `receive_data` only stores.  `next_event` parses one frame and
passes it through one gate: an error there parks the session for good, is raised now
and by every later call, and leaves a REJECT to send if the handshake was under way.
Any exception that is not a `TransportError` is a bug.  The clock is a parameter; the
session never waits, and it asks its shell for the one thing that may block
(`StepRequired`).

Sending: `send` queues, `data_to_send` seals.  What `data_to_send` returned must be
written, whole and in order, because the peer counts.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from ._config import SessionConfig
from ._events import Established, Event, MessagesReceived, PeerClosed
from ._frames import HEADER, Frame, FrameDecoder, FrameType, encode_frame
from ._handshake import ContextFactory, Handshake, Role, mechanism_errors
from ._hello import reject_code
from ._identity import Identity
from ._protection import Protection, Suite
from ._records import RunWriter, split_run
from .errors import (
    ConnectionClosed,
    HandshakeTimeout,
    IntegrityError,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    TransportError,
)

__all__ = ["Session", "SessionState"]


class SessionState(Enum):
    """Where a session stands."""

    HANDSHAKE = auto()
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()
    FAILED = auto()


_PROTECTION = tuple(Protection)
_RECORD = FrameType.RECORD
_OPEN = SessionState.OPEN


class Session:
    """One end of a session, without I/O and without a clock."""

    def __init__(
        self,
        config: SessionConfig,
        *,
        initiator: bool,
        context: ContextFactory | None = None,
        now: float,
    ) -> None:
        """Start a session.

        Args:
            config: What this end brings.
            initiator: True for the client.
            context: Makes the security context once the client's HELLO is known; not
                needed if `config.channel` is set.
            now: Seconds of a monotonic clock, the one `handle_timeout` gets.
        """
        if context is None and config.channel is None:
            raise LocalProtocolError("a session needs a security context or a channel")
        self._limits = config.limits
        self._state = SessionState.HANDSHAKE
        self._error: TransportError | None = None
        self._deadline: float | None = now + config.policy.handshake_seconds
        self._handshake_seconds = config.policy.handshake_seconds
        self._handshake: Handshake | None = Handshake(config, Role(initiator), context)
        self._decoder = FrameDecoder(self._handshake.frame_limit)
        self._eof = False
        self._stepping = False
        self._events: deque[Event] = deque()
        self._output: list[bytes] = []
        self._suite: Suite | None = None
        self._writer: RunWriter | None = None
        self._established: Established | None = None
        self._minimum = Protection.NONE
        if initiator:
            self._gate(self._handshake.start)
            self._take_output()

    # What the session is.

    @property
    def state(self) -> SessionState:
        """Where the session stands."""
        return self._state

    @property
    def established(self) -> Established:
        """What the handshake agreed on.

        Raises:
            LocalProtocolError: The handshake is not over.
        """
        if self._established is None:
            raise LocalProtocolError("the handshake is not over")
        return self._established

    @property
    def peer(self) -> Identity:
        """Who the peer is."""
        return self.established.peer

    @property
    def exhausted(self) -> bool:
        """True when the keys have protected their share: open another session."""
        return self._suite is not None and self._suite.exhausted

    # Receiving.

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer.  They are parsed by `next_event`.

        A session that has failed forgets them.
        """
        if self._error is not None:
            return
        decoder = self._decoder
        decoder.receive_data(data)
        # The handshake is lock-step: during a step no more than one frame is on its
        # way.  A peer that nobody knows yet gets no more of our memory.
        if self._stepping and decoder.buffered > decoder.limit + HEADER.size:
            held = decoder.buffered
            self._fail(RemoteProtocolError(f"{held} bytes sent ahead in the handshake"))

    def receive_eof(self) -> None:
        """Note that the peer's byte stream has ended."""
        self._eof = True

    def next_event(self) -> Event | None:
        """Return what happened next, or None if more bytes or a step are needed.

        Raises:
            TransportError: The session has failed, now or earlier.
            ConnectionClosed: The byte stream ended and all before it was reported.
        """
        if self._events:
            return self._events.popleft()
        if self._error is not None:
            raise self._error
        if self._stepping:
            return None
        try:
            try:
                frame = self._decoder.next_frame()
            except ProtocolError as error:
                raise self._not_sent_so(str(error), error) from None
            if frame is None:
                if self._eof:
                    self._end_of_stream()
                return None
            if frame.kind is _RECORD and self._suite is not None:
                return self._receive_record(frame, self._suite)
            self._receive_frame(frame)
        except TransportError as error:
            self._fail(error)
        return self.next_event()

    def _receive_record(self, frame: Frame, suite: Suite) -> MessagesReceived:
        if self._state is SessionState.CLOSED:
            raise self._not_sent_so("RECORD frame after CLOSE")
        level = _PROTECTION[frame.level]
        if level < self._minimum:
            raise self._not_sent_so(
                f"RECORD frame of level {level.name}; "
                f"this session's minimum is {self._minimum.name}"
            )
        plaintext = suite.unprotect(frame)
        try:
            messages = split_run(plaintext, self._limits.max_message_bytes)
        except ProtocolError as error:
            if level:
                raise
            raise self._not_sent_so(str(error), error) from None
        return MessagesReceived(level, messages)

    def _not_sent_so(
        self, message: str, error: ProtocolError | None = None
    ) -> ProtocolError:
        # What no key vouches for is blamed on the path where a suite guards it: no
        # peer sends such a frame, so somebody changed it or made it up.
        if self._suite is not None and self._suite.guards:
            return IntegrityError(message)
        return error or RemoteProtocolError(message)

    def _receive_frame(self, frame: Frame) -> None:
        if self._handshake is not None:
            self._handshake.receive(frame)
            self._take_output()
            return
        if frame.kind is FrameType.CLOSE and self._state is not SessionState.CLOSED:
            assert self._suite is not None
            if frame.level != self._suite.control_level:
                raise self._not_sent_so(f"CLOSE frame of level {frame.level}")
            if self._suite.unprotect(frame):
                raise RemoteProtocolError("a CLOSE frame carries no data")
            self._state = SessionState.CLOSED
            self._deadline = None
            self._events.append(PeerClosed())
            return
        if frame.kind is FrameType.REKEY and self._state is not SessionState.CLOSED:
            assert self._suite is not None
            self._suite.rekey(frame)
            return
        raise self._not_sent_so(f"{frame.kind.name} frame in state {self._state.name}")

    def _end_of_stream(self) -> None:
        held = self._decoder.buffered
        if self._state is SessionState.CLOSED and not held:
            raise ConnectionClosed("the peer closed the session", clean=True)
        where = f", {held} bytes into a frame" if held else ""
        what = "handshake" if self._handshake is not None else "session"
        raise ConnectionClosed(
            f"the byte stream ended inside the {what}{where}", clean=False
        )

    # The handshake.

    def step(self, token: bytes | None) -> bytes | None:
        """Let the security context take a step.

        May block for as long as a KDC takes: call it in a worker thread, and nothing
        else of the session meanwhile but `receive_data`.
        """
        assert self._handshake is not None
        return self._handshake.step(token)

    def step_finished(self, token: bytes | None) -> None:
        """Go on after a step that gave `token` (or nothing to send)."""
        self._stepping = False
        handshake = self._handshake
        if self._error is None and handshake is not None:
            self._gate(lambda: handshake.step_finished(token))
            self._take_output()

    def step_failed(self, error: Exception) -> None:
        """Give up after a step that raised.  Any exception is a failure."""
        self._stepping = False
        if self._error is not None:
            return

        def fail() -> None:
            with mechanism_errors():
                raise error

        self._gate(fail)

    def _take_output(self) -> None:
        handshake = self._handshake
        if handshake is None or self._error is not None:
            return
        self._output += handshake.output
        handshake.output.clear()
        self._decoder.limit = handshake.frame_limit
        if handshake.steps:
            self._stepping = True
            self._events.extend(handshake.steps)
            handshake.steps.clear()
        if handshake.done:
            self._open(handshake)

    def _open(self, handshake: Handshake) -> None:
        max_record, max_message = handshake.peer_limits
        self._handshake = None
        self._deadline = None
        self._state = SessionState.OPEN
        self._suite = suite = handshake.suite
        self._minimum = suite.effective(handshake.minimum)
        self._decoder.limit = self._limits.max_record_bytes
        max_message = min(max_message, max_record - suite.overhead - 4)
        self._writer = RunWriter(
            suite,
            minimum=self._minimum,
            max_message=max_message,
            max_record=max_record,
        )
        self._established = Established(
            peer=handshake.peer,
            suite=suite.name,
            minimum=self._minimum,
            max_message_bytes=max_message,
        )
        self._events.append(self._established)

    # Sending.

    def send(self, message: bytes, level: Protection) -> None:
        """Queue one message at a level of protection.

        Raises:
            FrameTooLarge: It is over the agreed limit; nothing was queued.
            InsufficientProtection: The connection cannot give that level.
            LocalProtocolError: The session is not open, or the level is below its
                minimum.
            ConnectionClosed: The security mechanism failed; the session is over.
        """
        writer = self._writer
        if self._state is not _OPEN or writer is None:
            raise LocalProtocolError(f"cannot send in state {self._state.name}")
        try:
            writer.append(message, level)
        except ConnectionClosed as error:
            self._fail(error)
            raise

    def data_to_send(self) -> bytes:
        """Seal what waits and return all bytes to write; empty if there are none.

        Raises:
            ConnectionClosed: The security mechanism failed; the session is over.
        """
        writer = self._writer
        output = self._output
        if writer is not None:
            try:
                sealed = writer.data_to_send()
            except ConnectionClosed as error:
                self._fail(error)
                raise
            if not output:
                return sealed
            output.append(sealed)
        data = b"".join(output)
        output.clear()
        return data

    def close(self) -> None:
        """Queue CLOSE after everything that waits.  Nothing can be sent afterwards."""
        if self._state in (SessionState.OPEN, SessionState.CLOSED):
            writer, suite = self._writer, self._suite
            if writer is not None and suite is not None:
                try:
                    writer.append_frame(FrameType.CLOSE, suite.control_level)
                except ConnectionClosed as error:
                    self._fail(error)  # the peer will see a truncation
                    return
                self._output.append(writer.data_to_send())
                self._writer = None
            if self._state is SessionState.OPEN:
                self._state = SessionState.CLOSING

    # Time.

    def next_timeout(self) -> float | None:
        """Return when to call `handle_timeout`, or None."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Fail the handshake if its deadline has passed."""
        if self._deadline is not None and now >= self._deadline:
            self._fail(
                HandshakeTimeout(
                    f"the handshake took over {self._handshake_seconds:g} seconds"
                )
            )

    # Failing.

    def _gate(self, action: Callable[[], None]) -> None:
        try:
            action()
        except TransportError as error:
            self._fail(error)

    def _fail(self, error: TransportError) -> None:
        handshake = self._handshake
        if handshake is not None and not self._eof and not handshake.rejected:
            body = bytes((reject_code(error),))
            self._output += handshake.output
            handshake.output.clear()
            self._output.append(encode_frame(FrameType.REJECT, 0, body))
        self._error = error
        ended = isinstance(error, ConnectionClosed)
        self._state = SessionState.CLOSED if ended else SessionState.FAILED
        self._deadline = None
        self._events.clear()
        if not (isinstance(error, ConnectionClosed) and error.clean):
            self._writer = None  # after a clean end CLOSE may still be owed
