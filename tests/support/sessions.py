"""Sessions to test with: pairs, recorded exchanges, and a path that tampers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from signetrpc.transport._aead import public_key
from signetrpc.transport._config import Channel, Limits, SessionConfig
from signetrpc.transport._events import Event, MessagesReceived, StepRequired
from signetrpc.transport._frames import (
    HEADER,
    Frame,
    FrameDecoder,
    FrameType,
    encode_frame,
)
from signetrpc.transport._hello import ClientHello, ServerHello, encode_hello
from signetrpc.transport._identity import Mechanism
from signetrpc.transport._protection import Protection, SuiteName
from signetrpc.transport._security import SecurityContext, SecurityPolicy
from signetrpc.transport._session import Session
from signetrpc.transport.errors import TransportError
from signetrpc.transport.testing import ScriptedContext, pump

TARGET = "host/server"
SMALL = Limits(max_record_bytes=4096, max_message_bytes=2048, max_token_bytes=4096)

NONE, SIGN, SEAL = Protection
GSS, AEAD = SuiteName.GSS, SuiteName.AES256GCM
SUITES = (GSS, AEAD)
"""The suites that protect by themselves; fixture `suite` runs a test over each."""

Tamper = Callable[[Frame], Sequence[bytes]]


def config(
    *, initiator: bool, minimum: Protection = SIGN, suite: str = GSS
) -> SessionConfig:
    """Return what one end of a scripted session brings; it allows that suite alone."""
    kerberos = frozenset({Mechanism.KERBEROS})
    return SessionConfig(
        policy=SecurityPolicy(
            mechanisms=kerberos, minimum_protection=minimum, suites=(suite,)
        ),
        nonce=(b"C" if initiator else b"S") * 32,
        secret=(b"c" if initiator else b"s") * 32,
        allowed=kerberos,
        target=TARGET if initiator else "",
        protocol="kerberos" if initiator else "",
    )


def session(
    *,
    initiator: bool,
    minimum: Protection = SIGN,
    limits: Limits | None = None,
    legs: int = 2,
    suite: str = GSS,
    context: Callable[[ClientHello], SecurityContext] | None = None,
    given: SessionConfig | None = None,
) -> Session:
    """Return one end that has not begun; `context` replaces the scripted one."""
    brings = given or config(initiator=initiator, minimum=minimum, suite=suite)
    if limits is not None:
        brings = replace(brings, limits=limits)
    return Session(
        brings,
        initiator=initiator,
        context=context or (lambda _: ScriptedContext(initiator=initiator, legs=legs)),
        now=0.0,
    )


def pair(
    *,
    minimum: Protection = SIGN,
    limits: Limits | None = None,
    legs: int = 2,
    suite: str = GSS,
) -> tuple[Session, Session]:
    """Return a client and a server that have not begun."""
    client, server = (
        session(
            initiator=initiator,
            minimum=minimum,
            limits=limits,
            legs=legs,
            suite=suite,
        )
        for initiator in (True, False)
    )
    return client, server


def opened(
    *,
    minimum: Protection = SIGN,
    limits: Limits | None = None,
    legs: int = 2,
    suite: str = GSS,
) -> tuple[Session, Session]:
    """Return a client and a server in state OPEN."""
    ends = pair(minimum=minimum, limits=limits, legs=legs, suite=suite)
    pump(*ends)
    return ends


def plain() -> tuple[Session, Session]:
    """Return two ends of an open session over a channel that gives nothing."""
    client, server = (
        session(
            initiator=initiator,
            given=replace(
                config(initiator=initiator, minimum=NONE),
                channel=Channel(provides=NONE),
            ),
        )
        for initiator in (True, False)
    )
    pump(client, server)
    return client, server


def collect(end: Session, into: list[Event] | None = None) -> list[Event]:
    """Return all events that are ready, steps included; each step is taken.

    Args:
        end: The end that reports them.
        into: A list to add them to, which keeps them if the end then fails.
    """
    events = [] if into is None else into
    while (event := end.next_event()) is not None:
        events.append(event)
        if isinstance(event, StepRequired):
            try:
                token = end.step(event.token)
            except Exception as error:
                end.step_failed(error)
            else:
                end.step_finished(token)
    return events


def feed(end: Session, *chunks: bytes) -> list[Event]:
    """Return the events that chunks of bytes give, each fed after the other."""
    events = collect(end)
    for chunk in chunks:
        end.receive_data(chunk)
        events += collect(end)
    return events


def settle(end: Session, *chunks: bytes, eof: bool = False) -> "Outcome":
    """Feed chunks until the end fails, and return what came of it."""
    events: list[Event] = []
    error: TransportError | None = None
    try:
        collect(end, events)
        for chunk in chunks:
            end.receive_data(chunk)
            collect(end, events)
        if eof:
            end.receive_eof()
            collect(end, events)
    except TransportError as failure:
        error = failure
    return Outcome(events=events, error=error)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an end reported before it failed, and how it failed."""

    events: list[Event]
    error: TransportError | None

    @property
    def messages(self) -> list[MessagesReceived]:
        """The messages among the events."""
        return [event for event in self.events if isinstance(event, MessagesReceived)]


def frames(stream: bytes) -> list[Frame]:
    """Cut a whole byte stream into its frames."""
    decoder = FrameDecoder(1 << 30)
    decoder.receive_data(stream)
    found: list[Frame] = []
    while (frame := decoder.next_frame()) is not None:
        found.append(frame)
    assert not decoder.buffered
    return found


def raw(kind: int, body: bytes = b"", *, level: int = 0, reserved: int = 0) -> bytes:
    """Return a frame with any header."""
    return HEADER.pack(kind, level, reserved, len(body)) + body


def pass_on(frame: Frame) -> list[bytes]:
    """Change nothing."""
    return [frame.encoded]


def over_a_path(
    client: Session,
    server: Session,
    *,
    to_server: Tamper = pass_on,
    to_client: Tamper = pass_on,
) -> tuple[Outcome, Outcome]:
    """Let two ends talk over a path that may change what passes.

    When neither has more to say, the handshake's deadline passes for both.  An end
    that fails closes its connection, as its shell does.
    """
    ends = (client, server)
    events: tuple[list[Event], list[Event]] = ([], [])
    errors: list[TransportError | None] = [None, None]
    tampers = (to_server, to_client)
    gone: set[int] = set()
    moved, late = True, False
    while moved or not late:
        if not moved:
            late = True
            for end in ends:
                if (deadline := end.next_timeout()) is not None:
                    end.handle_timeout(deadline)
        moved = False
        for index, end in enumerate(ends):
            if errors[index] is None:
                outcome = settle(end)
                events[index].extend(outcome.events)
                errors[index] = outcome.error
            if data := end.data_to_send():
                moved = True
                for frame in frames(data):
                    for changed in tampers[index](frame):
                        ends[1 - index].receive_data(changed)
            if errors[index] is not None and index not in gone:
                moved = True
                gone.add(index)
                ends[1 - index].receive_eof()
    first, second = (
        Outcome(events=seen, error=error)
        for seen, error in zip(events, errors, strict=True)
    )
    return first, second


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """The bytes of a whole exchange and the events that they gave."""

    legs: int
    minimum: Protection
    suite: str
    to_server: bytes
    to_client: bytes
    server_events: list[Event]
    client_events: list[Event]

    def fresh(self, *, initiator: bool) -> Session:
        """Return an end that has heard nothing yet."""
        return session(
            initiator=initiator,
            minimum=self.minimum,
            legs=self.legs,
            suite=self.suite,
        )

    def stream(self, *, initiator: bool) -> bytes:
        """Return the bytes that one end received."""
        return self.to_client if initiator else self.to_server

    def events(self, *, initiator: bool) -> list[Event]:
        """Return the events that one end reported."""
        return self.client_events if initiator else self.server_events

    def messages(self, *, initiator: bool) -> list[MessagesReceived]:
        """Return the messages that one end received."""
        found = self.events(initiator=initiator)
        return [event for event in found if isinstance(event, MessagesReceived)]


def recorded(
    *, legs: int = 2, minimum: Protection = NONE, suite: str = GSS
) -> Exchange:
    """Record a handshake, records of every level allowed, and CLOSE both ways."""
    ends = pair(minimum=minimum, legs=legs, suite=suite)
    streams = [b"", b""]
    events: tuple[list[Event], list[Event]] = ([], [])

    def settle_both() -> None:
        moved = True
        while moved:
            moved = False
            for index, end in enumerate(ends):
                events[index].extend(collect(end))
                if data := end.data_to_send():
                    streams[index] += data
                    ends[1 - index].receive_data(data)
                    moved = True

    settle_both()
    levels = [level for level in (NONE, SIGN, SEAL) if level >= minimum]
    for turn in range(2):
        for end in ends:
            for level in levels:
                end.send(b"%d first at %s" % (turn, level.name.encode()), level)
                end.send(b"%d second" % turn, level)
        settle_both()
    for end in ends:
        end.close()
    settle_both()
    assert FrameType.CLOSE in {frame.kind for frame in frames(streams[0])}
    return Exchange(
        legs=legs,
        minimum=minimum,
        suite=suite,
        to_server=streams[0],
        to_client=streams[1],
        server_events=events[1],
        client_events=events[0],
    )


def rejects(end: Session) -> list[int]:
    """The codes of the REJECT frames that an end has to send."""
    return [
        frame.body[0]
        for frame in frames(end.data_to_send())
        if frame.kind is FrameType.REJECT
    ]


def hello_of(*, suite: str = GSS, **fields: object) -> bytes:
    """A client's HELLO frame with fields changed."""
    client = session(initiator=True, suite=suite)
    body: dict[str, Any] = msgspec.msgpack.decode(frames(client.data_to_send())[0].body)
    return encode_frame(FrameType.HELLO, 0, msgspec.msgpack.encode(body | fields))


def token(leg: int) -> bytes:
    """The TOKEN frame of one leg of the script."""
    return encode_frame(FrameType.TOKEN, 0, (b"token %d " % leg).ljust(64, b"."))


def answer(*, suite: str = GSS, **fields: Any) -> bytes:
    """A server's HELLO frame."""
    hello = ServerHello(
        magic="signetrpc",
        version=1,
        suite=suite,
        minimum=1,
        max_record=4096,
        max_message=2048,
        nonce=bytes(32),
        key=public_key(b"s" * 32) if suite == AEAD else None,
    )
    return encode_frame(
        FrameType.HELLO, 0, encode_hello(msgspec.structs.replace(hello, **fields))
    )


def waiting_client(suite: str = GSS) -> Session:
    """A client that has sent HELLO and its first token."""
    client = session(initiator=True, suite=suite)
    collect(client)
    client.data_to_send()
    return client
