"""The handshake against paths and peers that do not keep to it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from signetrpc.transport._events import Established
from signetrpc.transport._frames import Frame, FrameType, encode_frame
from signetrpc.transport._hello import HELLO_LIMIT
from signetrpc.transport._protection import Protection
from signetrpc.transport._session import SessionState
from signetrpc.transport.errors import (
    AuthenticationFailed,
    FrameTooLarge,
    HandshakeError,
    InsufficientProtection,
    IntegrityError,
    RemoteProtocolError,
    TransportError,
)
from tests.support.sessions import (
    NONE,
    SEAL,
    SIGN,
    answer,
    collect,
    frames,
    hello_of,
    opened,
    over_a_path,
    pair,
    pass_on,
    raw,
    rejects,
    session,
    settle,
    token,
    waiting_client,
)

HELLO, TOKEN, FINISHED = FrameType.HELLO, FrameType.TOKEN, FrameType.FINISHED


# A path that changes the handshake.


CHANGES: list[tuple[bool, str, object]] = [
    (True, "magic", "signetrpd"),
    (True, "versions", [1, 2]),
    (True, "suites", ["gss", "aes256gcm"]),
    (True, "suites", ["channel"]),
    (True, "levels", [0, 1, 2]),
    (True, "levels", [2]),
    (True, "levels", [0]),
    (True, "max_record", 1024),
    (True, "max_message", 1024),
    (True, "protocol", "ntlm"),
    (True, "target", ""),
    (True, "target", "host/other"),
    (True, "impersonation", 2),
    (True, "impersonation", 0),
    (True, "nonce", b"N" * 32),
    (True, "key", b"K" * 32),
    (True, "features", ["f"]),
    (True, "unknown", 1),
    (False, "magic", "signetrpd"),
    (False, "version", 2),
    (False, "suite", "channel"),
    (False, "suite", "aes256gcm"),
    (False, "minimum", 0),
    (False, "minimum", 2),
    (False, "max_record", 1024),
    (False, "max_message", 1024),
    (False, "nonce", b"N" * 32),
    (False, "key", b"K" * 32),
    (False, "features", ["f"]),
    (False, "unknown", 1),
]


def test_every_field_of_both_hellos_is_changed_below() -> None:
    for of_client, data in [(True, hello_of()), (False, answer())]:
        body: dict[str, Any] = msgspec.msgpack.decode(frames(data)[0].body)
        changed = {field for client, field, _ in CHANGES if client is of_client}
        assert set(body) <= changed


@pytest.mark.parametrize(("of_client", "field", "value"), CHANGES)
def test_a_changed_field_of_a_hello_fails_both_ends(
    of_client: bool, field: str, value: object
) -> None:
    def change(frame: Frame) -> list[bytes]:
        if frame.kind is not HELLO:
            return [frame.encoded]
        body: dict[str, Any] = msgspec.msgpack.decode(frame.body)
        assert field == "unknown" or body[field] != value
        return [encode_frame(HELLO, 0, msgspec.msgpack.encode(body | {field: value}))]

    client, server = pair(minimum=SIGN)
    outcomes = (
        over_a_path(client, server, to_server=change)
        if of_client
        else over_a_path(client, server, to_client=change)
    )
    for outcome, end in zip(outcomes, (client, server), strict=True):
        assert outcome.error is not None
        assert end.state is SessionState.FAILED
        assert not [each for each in outcome.events if isinstance(each, Established)]


def _hold_back() -> Callable[[Frame], list[bytes]]:
    held: list[bytes] = []

    def swap(frame: Frame) -> list[bytes]:
        held.append(frame.encoded)
        if len(held) < 2:
            return []
        swapped = held[::-1]
        held.clear()
        return swapped

    return swap


@pytest.mark.parametrize("legs", [2, 3, 4])
@pytest.mark.parametrize("to_server", [True, False])
@pytest.mark.parametrize("deed", ["drop", "repeat", "flip first", "flip last", "add"])
@pytest.mark.parametrize("kind", [HELLO, TOKEN, FINISHED])
def test_no_frame_can_be_dropped_repeated_changed_or_added(
    kind: FrameType, deed: str, to_server: bool, legs: int
) -> None:
    done: list[Frame] = []

    def tamper(frame: Frame) -> list[bytes]:
        if frame.kind is not kind or done:
            return [frame.encoded]
        done.append(frame)
        match deed:
            case "drop":
                return []
            case "repeat":
                return [frame.encoded] * 2
            case "add":
                return [raw(kind, b"x", level=frame.level), frame.encoded]
            case "flip first":
                body = bytes((frame.body[0] ^ 1,)) + frame.body[1:]
            case _:
                body = frame.body[:-1] + bytes((frame.body[-1] ^ 0x80,))
        return [frame.header + body]

    client, server = pair(legs=legs)
    first, second = (
        over_a_path(client, server, to_server=tamper)
        if to_server
        else over_a_path(client, server, to_client=tamper)
    )
    assert done
    # Whoever saw the change fails.  The other end may have had its proof already
    # (a FINISHED was changed on its way to the last to open), and then hears REJECT
    # or nothing in a session that carries nothing.
    seen = second if to_server else first
    assert isinstance(seen.error, TransportError)
    assert not seen.messages
    if kind is not FINISHED:
        assert first.error is not None and second.error is not None


@pytest.mark.parametrize("to_server", [True, False])
def test_frames_in_another_order(to_server: bool) -> None:
    client, server = pair()
    swap = _hold_back()
    outcomes = (
        over_a_path(client, server, to_server=swap)
        if to_server
        else over_a_path(client, server, to_client=swap)
    )
    assert all(outcome.error for outcome in outcomes)


def test_finished_sent_back_is_not_the_peer_s() -> None:
    # The label in the statement differs, so a mirror cannot prove anything.
    for initiator in (True, False):
        ends = pair(legs=2 if initiator else 3)
        sent: list[bytes] = []

        def keep(frame: Frame, sent: list[bytes] = sent) -> list[bytes]:
            if frame.kind is FINISHED:
                sent.append(frame.encoded)
                return []
            return [frame.encoded]

        def mirror(frame: Frame, sent: list[bytes] = sent) -> list[bytes]:
            return [] if frame.kind is FINISHED else [frame.encoded]

        mine, theirs = (keep, mirror) if initiator else (mirror, keep)
        client, server = ends
        for _ in range(6):
            for index, (end, tamper) in enumerate(
                zip(ends, (mine, theirs), strict=True)
            ):
                collect(end)
                for frame in frames(end.data_to_send()):
                    for data in tamper(frame):
                        ends[1 - index].receive_data(data)
        end = client if initiator else server
        outcome = settle(end, *sent)
        assert isinstance(outcome.error, IntegrityError)
        assert "FINISHED does not match" in str(outcome.error)


# A client that does not keep to it.


@pytest.mark.parametrize(
    ("data", "error", "code"),
    [
        (token(0), RemoteProtocolError, 1),
        (hello_of() + hello_of(), RemoteProtocolError, 1),
        (hello_of() + raw(16, b"\0\0\0\1x", level=1), RemoteProtocolError, 1),
        (hello_of() + raw(3, b"mic", level=1), RemoteProtocolError, 1),
        (hello_of() + raw(17), RemoteProtocolError, 1),
        (hello_of() + raw(18, level=1), RemoteProtocolError, 1),
        (hello_of() + raw(2), RemoteProtocolError, 1),
        (hello_of() + token(1), AuthenticationFailed, 4),
        (hello_of(versions=[2, 3]), HandshakeError, 2),
        (hello_of(suites=["aes256gcm", "channel"]), HandshakeError, 2),
        (hello_of(levels=[0]), InsufficientProtection, 3),
        (raw(1, b"garbage"), RemoteProtocolError, 1),
        (raw(1, b""), RemoteProtocolError, 1),
        (raw(1, b"x", level=1), RemoteProtocolError, 1),
        (hello_of() + raw(2, b"token", level=2), RemoteProtocolError, 1),
        (raw(1, bytes(HELLO_LIMIT + 1)), FrameTooLarge, 1),
        (hello_of() + raw(2, bytes(1 << 20)), FrameTooLarge, 1),
        (b"GET / HTTP/1.1\r\nHost: server\r\n\r\n", RemoteProtocolError, 1),
        (bytes.fromhex("16030100f8010000f40303"), RemoteProtocolError, 1),  # TLS
    ],
)
def test_a_client_out_of_step(
    data: bytes, error: type[TransportError], code: int
) -> None:
    server = session(initiator=False)
    outcome = settle(server, data)
    assert type(outcome.error) is error
    assert rejects(server) == [code]
    assert server.state is SessionState.FAILED
    assert server.data_to_send() == b""


@pytest.mark.parametrize("kind", [HELLO, TOKEN, FINISHED, FrameType.REJECT])
@pytest.mark.parametrize("level", Protection)
def test_nothing_of_the_handshake_comes_after_it(
    kind: FrameType, level: Protection
) -> None:
    for end in opened():
        outcome = settle(end, raw(kind, b"\4", level=level))
        assert type(outcome.error) is IntegrityError
        assert str(outcome.error) == f"{kind.name} frame in state OPEN"
        assert end.data_to_send() == b""


def test_a_finished_that_comes_too_early() -> None:
    client = waiting_client()
    outcome = settle(client, answer() + raw(3, b"mic", level=1))
    assert isinstance(outcome.error, RemoteProtocolError)
    assert "FINISHED frame at the wrong moment" in str(outcome.error)


@pytest.mark.parametrize("level", [NONE, SEAL])
def test_a_finished_of_another_level(level: Protection) -> None:
    def change(frame: Frame) -> list[bytes]:
        if frame.kind is FINISHED:
            return [raw(3, frame.body, level=level)]
        return pass_on(frame)

    client, server = pair()
    outcome = over_a_path(client, server, to_server=change)[1]
    assert str(outcome.error) == f"FINISHED frame of level {level:d}, not 1"


# A server that does not keep to it.


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"version": 2}, HandshakeError),
        ({"version": 0}, HandshakeError),
        ({"suite": "channel"}, HandshakeError),
        ({"suite": "aes256gcm"}, HandshakeError),
        ({"minimum": 0}, InsufficientProtection),
    ],
)
def test_a_server_chooses_among_what_was_offered(
    fields: dict[str, Any], error: type[TransportError]
) -> None:
    client = waiting_client()
    outcome = settle(client, answer(**fields))
    assert type(outcome.error) is error
    assert len(rejects(client)) == 1


def test_a_second_answer_is_refused() -> None:
    outcome = settle(waiting_client(), answer() + answer())
    assert isinstance(outcome.error, RemoteProtocolError)


def test_the_client_s_own_hello_is_no_answer() -> None:
    outcome = settle(waiting_client(), hello_of())
    assert isinstance(outcome.error, RemoteProtocolError)


@pytest.mark.parametrize("body", [b"", b"\4", b"\xff", b"\4 and more", bytes(4096)])
def test_a_rejection_ends_it_and_is_not_answered(body: bytes) -> None:
    for end in (waiting_client(), session(initiator=False)):
        outcome = settle(end, raw(4, body))
        assert isinstance(outcome.error, TransportError)
        assert end.data_to_send() == b""
        assert end.state is SessionState.FAILED
