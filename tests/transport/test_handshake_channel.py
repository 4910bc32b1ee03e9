"""The handshake of a connection that protects itself: one HELLO each way."""

from dataclasses import replace

import pytest

from signetrpc.transport._config import Channel, SessionConfig
from signetrpc.transport._identity import Identity, Mechanism
from signetrpc.transport._protection import Protection
from signetrpc.transport._session import Session
from signetrpc.transport.errors import (
    HandshakeError,
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
    config,
    hello_of,
    over_a_path,
    session,
    settle,
    token,
)


def over_channel(
    provides: Protection,
    *,
    initiator: bool,
    minimum: Protection = NONE,
    peer: Identity | None = None,
) -> SessionConfig:
    channel = Channel(provides=provides)
    if peer is not None:
        channel = replace(channel, peer=peer)
    return replace(config(initiator=initiator, minimum=minimum), channel=channel)


@pytest.mark.parametrize("provides", Protection)
def test_a_channel_needs_one_hello_each_way(provides: Protection) -> None:
    alice = Identity(mechanism=Mechanism.TLS, name="alice")
    client = session(initiator=True, given=over_channel(provides, initiator=True))
    server = session(
        initiator=False, given=over_channel(provides, initiator=False, peer=alice)
    )
    pump(client, server)
    assert server.peer == alice
    assert client.peer.anonymous
    assert client.established.suite == "channel"
    assert client.established.minimum is provides
    client.send(b"hello", NONE)
    assert pump(client, server)[1] == [(provides, [b"hello"])]


def test_a_channel_that_keeps_levels_holds_to_the_minimum() -> None:
    ends: list[Session] = []
    for initiator in (True, False):
        given = over_channel(SEAL, initiator=initiator, minimum=SIGN)
        channel = replace(given.channel or Channel(provides=SEAL), keeps_levels=True)
        ends.append(session(initiator=initiator, given=replace(given, channel=channel)))
    client, server = ends
    pump(client, server)
    assert client.established.minimum is SIGN
    for level in (SIGN, SEAL):
        client.send(b"hello", level)
        assert pump(client, server)[1] == [(level, [b"hello"])]
    with pytest.raises(LocalProtocolError, match="this session's minimum is SIGN"):
        client.send(b"hello", NONE)


def test_a_channel_that_gives_too_little_is_refused_by_both() -> None:
    client = session(
        initiator=True, given=over_channel(NONE, initiator=True, minimum=SIGN)
    )
    server = session(initiator=False, given=over_channel(NONE, initiator=False))
    first, second = over_a_path(client, server)
    assert type(second.error) is InsufficientProtection
    assert type(first.error) is InsufficientProtection
    assert "the peer refused" in str(first.error)


def test_a_channel_takes_no_tokens() -> None:
    server = session(initiator=False, given=over_channel(SEAL, initiator=False))
    outcome = settle(server, hello_of(suites=["channel"]) + token(0))
    assert isinstance(outcome.error, RemoteProtocolError)
    assert not isinstance(outcome.error, IntegrityError)


def test_an_end_that_authenticates_never_accepts_channel(suite: str) -> None:
    client = session(
        initiator=True, given=over_channel(SEAL, initiator=True), suite=suite
    )
    server = session(initiator=False, suite=suite)
    first, second = over_a_path(client, server)
    assert type(second.error) is HandshakeError
    assert type(first.error) is HandshakeError
    client = session(initiator=True, suite=suite)
    server = session(
        initiator=False, given=over_channel(SEAL, initiator=False), suite=suite
    )
    first, second = over_a_path(client, server)
    assert first.error is not None and second.error is not None
