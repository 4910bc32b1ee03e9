"""The handshake against paths and peers that do not keep to it."""

from typing import Any

import pytest

from signetrpc.transport._frames import Frame, FrameType
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
    answer,
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


# A client that does not keep to it.


Fields = dict[str, Any]
NO_HELLO: Fields | None = None


@pytest.mark.parametrize(
    ("fields", "then", "error", "code"),
    [
        (NO_HELLO, token(0), RemoteProtocolError, 1),
        ({}, hello_of(), RemoteProtocolError, 1),
        ({}, raw(16, b"\0\0\0\1x", level=1), RemoteProtocolError, 1),
        ({}, raw(3, b"mic", level=1), RemoteProtocolError, 1),
        ({}, raw(17), RemoteProtocolError, 1),
        ({}, raw(18, level=1), RemoteProtocolError, 1),
        ({}, raw(2), RemoteProtocolError, 1),
        ({}, token(1), AuthenticationFailed, 4),
        ({"versions": [2, 3]}, b"", HandshakeError, 2),
        ({"suites": ["channel", "other"]}, b"", HandshakeError, 2),
        ({"levels": [0]}, b"", InsufficientProtection, 3),
        (NO_HELLO, raw(1, b"garbage"), RemoteProtocolError, 1),
        (NO_HELLO, raw(1, b""), RemoteProtocolError, 1),
        (NO_HELLO, raw(1, b"x", level=1), RemoteProtocolError, 1),
        ({}, raw(2, b"token", level=2), RemoteProtocolError, 1),
        (NO_HELLO, raw(1, bytes(HELLO_LIMIT + 1)), FrameTooLarge, 1),
        ({}, raw(2, bytes(1 << 20)), FrameTooLarge, 1),
        (NO_HELLO, b"GET / HTTP/1.1\r\nHost: server\r\n\r\n", RemoteProtocolError, 1),
        # TLS
        (NO_HELLO, bytes.fromhex("16030100f8010000f40303"), RemoteProtocolError, 1),
    ],
)
def test_a_client_out_of_step(
    fields: Fields | None,
    then: bytes,
    error: type[TransportError],
    code: int,
    suite: str,
) -> None:
    data = b"" if fields is NO_HELLO else hello_of(suite=suite, **fields or {})
    server = session(initiator=False, suite=suite)
    outcome = settle(server, data + then)
    assert type(outcome.error) is error
    assert rejects(server) == [code]
    assert server.state is SessionState.FAILED
    assert server.data_to_send() == b""


@pytest.mark.parametrize("kind", [HELLO, TOKEN, FINISHED, FrameType.REJECT])
@pytest.mark.parametrize("level", Protection)
def test_nothing_of_the_handshake_comes_after_it(
    kind: FrameType, level: Protection, suite: str
) -> None:
    for end in opened(suite=suite):
        outcome = settle(end, raw(kind, b"\4", level=level))
        assert type(outcome.error) is IntegrityError
        assert str(outcome.error) == f"{kind.name} frame in state OPEN"
        assert end.data_to_send() == b""


def test_a_finished_that_comes_too_early(suite: str) -> None:
    client = waiting_client(suite=suite)
    outcome = settle(client, answer(suite=suite) + raw(3, b"mic", level=1))
    assert isinstance(outcome.error, RemoteProtocolError)
    assert "FINISHED frame at the wrong moment" in str(outcome.error)


@pytest.mark.parametrize("level", [NONE, SEAL])
def test_a_finished_of_another_level(level: Protection, suite: str) -> None:
    def change(frame: Frame) -> list[bytes]:
        if frame.kind is FINISHED:
            return [raw(3, bytes(frame.body), level=level)]
        return pass_on(frame)

    client, server = pair(suite=suite)
    outcome = over_a_path(client, server, to_server=change)[1]
    assert str(outcome.error) == f"FINISHED frame of level {level:d}, not 1"


# A server that does not keep to it.


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"version": 2}, HandshakeError),
        ({"version": 0}, HandshakeError),
        ({"suite": "channel"}, HandshakeError),
        ({"suite": "other"}, HandshakeError),
        ({"minimum": 0}, InsufficientProtection),
    ],
)
def test_a_server_chooses_among_what_was_offered(
    fields: dict[str, Any], error: type[TransportError], suite: str
) -> None:
    client = waiting_client(suite=suite)
    outcome = settle(client, answer(**{"suite": suite} | fields))
    assert type(outcome.error) is error
    assert len(rejects(client)) == 1


def test_a_second_answer_is_refused(suite: str) -> None:
    outcome = settle(
        waiting_client(suite=suite), answer(suite=suite) + answer(suite=suite)
    )
    assert isinstance(outcome.error, RemoteProtocolError)


def test_the_client_s_own_hello_is_no_answer(suite: str) -> None:
    outcome = settle(waiting_client(suite=suite), hello_of(suite=suite))
    assert isinstance(outcome.error, RemoteProtocolError)


@pytest.mark.parametrize("body", [b"", b"\4", b"\xff", b"\4 and more", bytes(4096)])
def test_a_rejection_ends_it_and_is_not_answered(body: bytes, suite: str) -> None:
    for end in (waiting_client(suite=suite), session(initiator=False, suite=suite)):
        outcome = settle(end, raw(4, body))
        assert isinstance(outcome.error, TransportError)
        assert end.data_to_send() == b""
        assert end.state is SessionState.FAILED
