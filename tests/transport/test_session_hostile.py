"""The session against peers, paths and mechanisms that break."""

import pytest

from signetrpc.transport._events import Established, StepRequired
from signetrpc.transport._frames import HEADER
from signetrpc.transport._protection import Protection
from signetrpc.transport._security import Unwrapped
from signetrpc.transport._session import Session, SessionState
from signetrpc.transport.errors import (
    ConnectionClosed,
    FrameTooLarge,
    IntegrityError,
    LocalProtocolError,
    RemoteProtocolError,
)
from signetrpc.transport.testing import ScriptedContext, pump
from tests.support.sessions import (
    AEAD,
    GSS,
    NONE,
    SEAL,
    SIGN,
    SMALL,
    collect,
    frames,
    opened,
    pair,
    plain,
    raw,
    session,
    settle,
)

RUN = b"\0\0\0\1x"


class Breaking(ScriptedContext):
    """Protects until `broken` is set."""

    broken = False

    def wrap(self, data: bytes) -> bytes:
        if self.broken:
            raise RuntimeError("the ticket has expired")
        return super().wrap(data)

    def sign(self, data: bytes) -> bytes:
        if self.broken:
            raise RuntimeError("the ticket has expired")
        return super().sign(data)


def breaking() -> tuple[Session, Breaking]:
    """An open client and its context."""
    context = Breaking(initiator=True)
    client = session(initiator=True, context=lambda _: context)
    pump(client, session(initiator=False))
    return client, context


# Receiving what nobody may send.

# What is said of a frame that fails the check of its suite.
CHECK = {
    ("RECORD", SIGN): {
        GSS: "RECORD frame of level SIGN: bad signature",
        AEAD: "RECORD frame of level SIGN fails its check",
    },
    ("RECORD", SEAL): {
        GSS: "RECORD frame of level SEAL: bad seal",
        AEAD: "RECORD frame of level SEAL fails its check",
    },
    ("CLOSE", SIGN): {
        GSS: "CLOSE frame of level SIGN: bad signature",
        AEAD: "CLOSE frame of level SIGN fails its check",
    },
}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (raw(17, level=1), "REKEY frame"),
        (raw(17, level=0), "REKEY frame"),
        (raw(17, level=2), "REKEY frame"),
        (raw(18, level=0), "CLOSE frame of level 0"),
        (raw(18, level=2), "CLOSE frame of level 2"),
        (raw(99), "unknown frame type 99"),
        (raw(16, RUN, level=3), "unknown protection level 3"),
        (raw(16, RUN, level=1, reserved=1), "reserved header bits 0x0001, not zero"),
        (HEADER.pack(16, 1, 0, 1 << 31), "RECORD frame of 2147483648 bytes, limit"),
        (raw(16, RUN, level=1), CHECK["RECORD", SIGN]),
        (raw(16, RUN, level=2), CHECK["RECORD", SEAL]),
        (raw(18, b"\0\3mic", level=1), CHECK["CLOSE", SIGN]),
    ],
)
def test_what_no_key_vouches_for_is_an_integrity_error(
    data: bytes, said: str | dict[str, str], suite: str
) -> None:
    end = opened(suite=suite)[1]
    outcome = settle(end, data)
    assert type(outcome.error) is IntegrityError
    assert (said if isinstance(said, str) else said[suite]) in str(outcome.error)
    assert not outcome.events
    assert end.state is SessionState.FAILED


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (raw(17), RemoteProtocolError),
        (raw(1), RemoteProtocolError),
        (raw(99), RemoteProtocolError),
        (raw(16, RUN, level=1), RemoteProtocolError),
        (raw(18, level=1), RemoteProtocolError),
        (raw(18, b"x"), RemoteProtocolError),
        (raw(16, b"\0\0\0\2x"), RemoteProtocolError),
        (HEADER.pack(16, 0, 0, 1 << 31), FrameTooLarge),
    ],
)
def test_over_a_bare_channel_it_is_the_peer_s_fault(
    data: bytes, error: type[Exception]
) -> None:
    outcome = settle(plain()[1], data)
    assert type(outcome.error) is error


@pytest.mark.parametrize("plaintext", [b"", b"\0\0\0\0", b"\0\0\0\2x", b"x"])
@pytest.mark.parametrize("level", Protection)
def test_a_protected_run_without_form_is_the_peer_s_fault(
    plaintext: bytes, level: Protection, suite: str
) -> None:
    client, server = opened(minimum=NONE, suite=suite)
    protects = client._suite  # pyright: ignore[reportPrivateUsage]
    assert protects is not None
    outcome = settle(
        server, protects.protect(frames(raw(16))[0].kind, level, plaintext)
    )
    assert type(outcome.error) is (
        IntegrityError if level is NONE else RemoteProtocolError
    )


def test_close_carries_nothing(suite: str) -> None:
    client, server = opened(suite=suite)
    protects = client._suite  # pyright: ignore[reportPrivateUsage]
    assert protects is not None
    outcome = settle(server, protects.protect(frames(raw(18))[0].kind, SIGN, b"data"))
    assert str(outcome.error) == "a CLOSE frame carries no data"


def test_an_injected_unprotected_record_breaks_the_next_protected_one(
    suite: str,
) -> None:
    client, server = opened(minimum=NONE, suite=suite)
    client.send(b"true", SEAL)
    outcome = settle(server, raw(16, b"\0\0\0\4fake"), client.data_to_send())
    assert outcome.messages == [(NONE, [b"fake"])]  # NONE promises no more
    assert type(outcome.error) is IntegrityError


# The peer's haste.


def test_during_a_step_one_frame_waits_and_no_more_is_held(suite: str) -> None:
    server = session(initiator=False, limits=SMALL, suite=suite)
    client = session(initiator=True, limits=SMALL, suite=suite)
    collect(client)
    server.receive_data(client.data_to_send())
    assert isinstance(server.next_event(), StepRequired)
    server.receive_data(bytes(4096 + 8))
    assert server.next_timeout() is not None
    assert server.next_event() is None
    server.receive_data(b"\0")
    assert server.state is SessionState.FAILED
    server.receive_data(bytes(1 << 20))
    assert server._decoder.buffered == 4096 + 9  # pyright: ignore
    server.step_finished(None)
    with pytest.raises(RemoteProtocolError, match="4105 bytes sent ahead"):
        server.next_event()


def test_a_frame_that_came_during_a_step_is_taken_after_it(suite: str) -> None:
    client, server = pair(legs=3, suite=suite)
    collect(client)
    server.receive_data(client.data_to_send())
    collect(server)
    client.receive_data(server.data_to_send())
    collect(client)
    flight = client.data_to_send()  # TOKEN FINISHED
    for at in range(len(flight) + 1):
        client, server = pair(legs=3, suite=suite)
        collect(client)
        server.receive_data(client.data_to_send())
        collect(server)
        server.receive_data(flight[:at])
        step = server.next_event()
        server.receive_data(flight[at:])
        step = step or server.next_event()
        assert isinstance(step, StepRequired)
        assert server.next_event() is None
        server.step_finished(server.step(step.token))
        assert isinstance(server.next_event(), Established)


# The mechanism's end.


def test_a_mechanism_that_cannot_seal_ends_the_session() -> None:
    client, context = breaking()
    client.send(b"x", SEAL)
    context.broken = True
    with pytest.raises(ConnectionClosed, match="could not protect a frame") as caught:
        client.data_to_send()
    assert client.state is SessionState.CLOSED
    assert client.data_to_send() == b""
    with pytest.raises(ConnectionClosed) as again:
        client.next_event()
    assert again.value is caught.value
    with pytest.raises(LocalProtocolError):
        client.send(b"y", SEAL)


def test_it_may_do_so_when_a_message_is_queued() -> None:
    client, context = breaking()
    client.send(b"x", SEAL)
    context.broken = True
    with pytest.raises(ConnectionClosed):
        client.send(b"y", SIGN)
    assert client.state is SessionState.CLOSED
    assert client.data_to_send() == b""


def test_closing_never_raises() -> None:
    client, context = breaking()
    client.send(b"x", SEAL)
    context.broken = True
    client.close()
    assert client.data_to_send() == b""
    with pytest.raises(ConnectionClosed):
        client.next_event()


def test_a_mechanism_that_opens_what_is_not_encrypted() -> None:
    class Careless(ScriptedContext):
        def unwrap(self, token: bytes) -> Unwrapped:
            return Unwrapped(super().unwrap(token).data, False)

    client = session(initiator=True)
    server = session(initiator=False, context=lambda _: Careless(initiator=False))
    pump(client, server)
    client.send(b"x", SEAL)
    outcome = settle(server, client.data_to_send())
    assert type(outcome.error) is IntegrityError
    assert not outcome.messages
