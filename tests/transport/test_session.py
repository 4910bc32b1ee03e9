"""The session: states, time, and how it ends."""

import pytest

from signetrpc.transport._config import Limits
from signetrpc.transport._events import PeerClosed, StepRequired
from signetrpc.transport._frames import FrameType
from signetrpc.transport._session import Session, SessionState
from signetrpc.transport.errors import (
    AuthenticationFailed,
    ConnectionClosed,
    FrameTooLarge,
    HandshakeTimeout,
    InsufficientProtection,
    IntegrityError,
    LocalProtocolError,
    RemoteProtocolError,
)
from signetrpc.transport.testing import pump
from tests.support.sessions import (
    NONE,
    SEAL,
    SIGN,
    SMALL,
    collect,
    config,
    frames,
    opened,
    pair,
    plain,
    raw,
    session,
    settle,
)

# Sending and receiving.


def test_each_message_arrives_whole_with_its_level(suite: str) -> None:
    client, server = opened(minimum=NONE, suite=suite)
    for message, level in [(b"a", SEAL), (b"b", SEAL), (b"c", NONE), (b"d", SIGN)]:
        client.send(message, level)
    assert pump(client, server)[1] == [
        (SEAL, [b"a", b"b"]),
        (NONE, [b"c"]),
        (SIGN, [b"d"]),
    ]


def test_a_minimum_holds_both_ways(suite: str) -> None:
    client, server = opened(suite=suite)
    with pytest.raises(LocalProtocolError, match="NONE; this session's minimum"):
        client.send(b"x", NONE)
    outcome = settle(server, raw(16, b"\0\0\0\1x", level=0))
    assert type(outcome.error) is IntegrityError
    assert str(outcome.error) == (
        "RECORD frame of level NONE; this session's minimum is SIGN"
    )
    assert not outcome.messages


def test_limits_are_the_receiver_s(suite: str) -> None:
    client = session(initiator=True, suite=suite)
    server = session(initiator=False, limits=SMALL, suite=suite)
    pump(client, server)
    assert client.established.max_message_bytes == 2048
    assert server.established.max_message_bytes == 128 * 1024
    with pytest.raises(FrameTooLarge, match="message of 2049 bytes, limit 2048"):
        client.send(b"x" * 2049, SEAL)
    client.send(b"x" * 2048, SEAL)
    client.send(b"x" * 2048, SEAL)
    assert pump(client, server)[1] == [(SEAL, [b"x" * 2048])] * 2


def test_a_message_must_fit_a_record_of_the_peer(suite: str) -> None:
    record = Limits(max_record_bytes=2048, max_message_bytes=1024)
    client = session(initiator=True, suite=suite)
    server = session(initiator=False, limits=record, suite=suite)
    pump(client, server)
    assert client.established.max_message_bytes == 1024


def test_nothing_is_sent_before_the_end_of_the_handshake(suite: str) -> None:
    client, server = pair(suite=suite)
    for end in (client, server):
        with pytest.raises(LocalProtocolError, match="cannot send in state HANDSHAKE"):
            end.send(b"x", SEAL)
        with pytest.raises(LocalProtocolError, match="handshake is not over"):
            assert end.peer
        end.close()
        assert not end.exhausted
    pump(client, server)
    client.send(b"x", SEAL)
    assert not client.exhausted


def test_plain_gives_no_more_than_it_has() -> None:
    client, server = plain()
    with pytest.raises(InsufficientProtection, match="this connection gives NONE"):
        client.send(b"x", SIGN)
    client.send(b"x", NONE)
    assert pump(client, server)[1] == [(NONE, [b"x"])]


# Time.


def test_the_handshake_has_a_deadline(suite: str) -> None:
    for end in pair(suite=suite):
        assert end.next_timeout() == 10.0
        end.handle_timeout(9.99)
        assert end.state is SessionState.HANDSHAKE
        end.handle_timeout(10.0)
        assert end.next_timeout() is None
        with pytest.raises(HandshakeTimeout, match="took over 10 seconds"):
            end.next_event()
        assert frames(end.data_to_send())[-1].encoded == raw(4, b"\x09")
        end.handle_timeout(99.0)
        assert end.data_to_send() == b""


def test_a_step_that_ends_after_the_deadline_changes_nothing(suite: str) -> None:
    for late in (True, False):
        client = session(initiator=True, suite=suite)
        step = client.next_event()
        assert isinstance(step, StepRequired)
        client.handle_timeout(10.0)
        client.data_to_send()
        if late:
            client.step_finished(client.step(step.token))
        else:
            client.step_failed(KeyError("late"))
        with pytest.raises(HandshakeTimeout):
            client.next_event()
        assert client.data_to_send() == b""


def test_an_open_session_has_none(suite: str) -> None:
    for end in opened(suite=suite):
        assert end.next_timeout() is None
        end.handle_timeout(1e9)
        assert end.state is SessionState.OPEN


# Steps.


def test_a_step_that_fails_tells_the_peer_no_more_than_it_may_know(suite: str) -> None:
    server = session(initiator=False, suite=suite)
    server.step_failed(ValueError("user alice, password hunter2"))
    with pytest.raises(AuthenticationFailed, match="the security mechanism failed"):
        server.next_event()
    assert server.data_to_send() == raw(4, b"\4")


def test_no_context_and_no_channel_is_no_session() -> None:
    with pytest.raises(LocalProtocolError, match="a security context or a channel"):
        Session(config(initiator=True), initiator=True, now=0.0)


# Ends.


def test_close_both_ways(suite: str) -> None:
    client, server = opened(suite=suite)
    client.send(b"last", SEAL)
    client.close()
    assert client.state is SessionState.CLOSING
    with pytest.raises(LocalProtocolError, match="cannot send in state CLOSING"):
        client.send(b"x", SEAL)
    assert pump(client, server)[1] == [(SEAL, [b"last"]), PeerClosed()]
    assert server.state is SessionState.CLOSED
    with pytest.raises(LocalProtocolError, match="cannot send in state CLOSED"):
        server.send(b"x", SEAL)
    server.close()
    assert pump(client, server)[0] == [PeerClosed()]
    for end in (client, server):
        assert end.state is SessionState.CLOSED
        end.close()
        assert end.data_to_send() == b""
        end.receive_eof()
        with pytest.raises(ConnectionClosed) as caught:
            end.next_event()
        assert caught.value.clean


def test_what_waits_when_the_peer_closes_is_sent_before_close(suite: str) -> None:
    client, server = opened(suite=suite)
    server.send(b"on its way", SEAL)
    client.close()
    server.receive_data(client.data_to_send())
    assert collect(server) == [PeerClosed()]
    server.close()
    client.receive_data(server.data_to_send())
    assert collect(client) == [(SEAL, [b"on its way"]), PeerClosed()]


def test_close_is_owed_even_after_the_peer_s_stream_has_ended(suite: str) -> None:
    client, server = opened(suite=suite)
    client.close()
    server.receive_data(client.data_to_send())
    server.receive_eof()
    outcome = settle(server)
    assert isinstance(outcome.error, ConnectionClosed) and outcome.error.clean
    server.close()
    client.receive_data(server.data_to_send())
    assert collect(client) == [PeerClosed()]


def test_messages_may_come_while_this_end_is_closing(suite: str) -> None:
    client, server = opened(suite=suite)
    client.close()
    client.data_to_send()
    server.send(b"x", SEAL)
    client.receive_data(server.data_to_send())
    assert collect(client) == [(SEAL, [b"x"])]


@pytest.mark.parametrize("guarded", [True, False])
def test_nothing_comes_after_close(guarded: bool, suite: str) -> None:
    error = IntegrityError if guarded else RemoteProtocolError
    for kind in (FrameType.RECORD, FrameType.CLOSE):
        client, server = opened(suite=suite) if guarded else plain()
        protects = client._suite  # pyright: ignore[reportPrivateUsage]
        assert protects is not None
        client.close()
        # A frame that would be true had it come before.
        run = b"" if kind is FrameType.CLOSE else b"\0\0\0\1x"
        after = protects.protect(kind, protects.control_level, run)
        outcome = settle(server, client.data_to_send() + after)
        assert outcome.events == [PeerClosed()]
        assert type(outcome.error) is error
        assert "CLOSE" in str(outcome.error)
        assert server.state is SessionState.FAILED


def test_the_end_of_the_stream_is_a_truncation_unless_close_came(suite: str) -> None:
    client, server = opened(suite=suite)
    client.send(b"x" * 10, SEAL)
    record = client.data_to_send()
    client.close()
    close = client.data_to_send()
    stream = record + close
    for at in range(len(stream) + 1):
        client, server = opened(suite=suite)
        outcome = settle(server, stream[:at], eof=True)
        error = outcome.error
        assert isinstance(error, ConnectionClosed)
        assert error.clean is (at == len(stream))
        assert server.state is SessionState.CLOSED
        held = at - len(record) if at >= len(record) else at
        if not error.clean:
            assert ("bytes into a frame" in str(error)) is bool(held)
            server.close()
            assert server.data_to_send() == b""


def test_bytes_after_close_are_no_clean_end(suite: str) -> None:
    client, server = opened(suite=suite)
    client.close()
    outcome = settle(server, client.data_to_send() + b"\x10", eof=True)
    assert isinstance(outcome.error, ConnectionClosed)
    assert not outcome.error.clean


def test_the_end_of_the_stream_in_the_handshake(suite: str) -> None:
    client, server = pair(legs=3, suite=suite)
    streams = [b"", b""]
    for _ in range(4):
        for index, end in enumerate((client, server)):
            collect(end)
            data = end.data_to_send()
            streams[index] += data
            (server, client)[index].receive_data(data)
    for initiator in (True, False):
        stream = streams[0 if not initiator else 1]
        for at in range(len(stream)):
            end = session(initiator=initiator, legs=3, suite=suite)
            outcome = settle(end, stream[:at], eof=True)
            assert isinstance(outcome.error, ConnectionClosed)
            assert not outcome.error.clean
            assert "inside the handshake" in str(outcome.error)
            kinds = {frame.kind for frame in frames(end.data_to_send())}
            assert 4 not in kinds  # nobody is there to hear a REJECT


def test_an_error_parks_the_session_for_good(suite: str) -> None:
    client, server = opened(suite=suite)
    client.send(b"good", SEAL)
    good = client.data_to_send()
    first = settle(server, raw(99)).error
    outcome = settle(server, good, eof=True)
    assert outcome.error is first
    assert not outcome.events
    with pytest.raises(LocalProtocolError, match="cannot send in state FAILED"):
        server.send(b"x", SEAL)
    server.close()
    server.receive_data(good)
    assert server.data_to_send() == b""


def test_what_came_whole_before_the_error_is_reported(suite: str) -> None:
    client, server = opened(suite=suite)
    client.send(b"good", SEAL)
    outcome = settle(server, client.data_to_send() + raw(99))
    assert outcome.messages == [(SEAL, [b"good"])]
    assert type(outcome.error) is IntegrityError
