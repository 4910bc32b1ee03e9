"""Connections without protection: on this machine, aloud, and for who asks for none."""

import logging
from dataclasses import replace

import pytest

from signetrpc.transport import (
    ChannelBinding,
    LocalProtocolError,
    Mechanism,
    PlainAcceptor,
    PlainConnector,
    Protection,
    SecurityPolicy,
    TcpAddress,
    UnixAddress,
)
from signetrpc.transport._plain import PLAIN_POLICY, check_plain

HERE = TcpAddress("127.0.0.1", 7420)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"]
)
def test_this_machine_will_do(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "signetrpc.transport"):
        check_plain(TcpAddress(host, 1), PLAIN_POLICY)
    assert "is PLAIN: nobody is authenticated, nothing is protected" in caplog.text


def test_a_unix_socket_will_do(caplog: pytest.LogCaptureFixture) -> None:
    PlainConnector(UnixAddress("/run/x"))
    PlainAcceptor().check(UnixAddress("/run/x"))
    assert caplog.text.count("unix:///run/x is PLAIN") == 2


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "192.0.2.1",
        "::ffff:127.0.0.1",
        "127.1",
        "localhost.example.com",
        "example.com",
        "127.0.0.1.example.com",
    ],
)
def test_no_other_address_will(host: str) -> None:
    with pytest.raises(LocalProtocolError, match="not on this machine"):
        PlainConnector(TcpAddress(host, 7420))
    with pytest.raises(LocalProtocolError, match="not on this machine"):
        PlainAcceptor().check(TcpAddress(host, 7420))


@pytest.mark.parametrize("minimum", [Protection.SIGN, Protection.SEAL])
def test_a_minimum_is_not_to_be_had(minimum: Protection) -> None:
    policy = SecurityPolicy(minimum_protection=minimum)
    with pytest.raises(LocalProtocolError, match=f"minimum is {minimum.name}"):
        PlainConnector(HERE, policy=policy)
    with pytest.raises(LocalProtocolError, match=f"minimum is {minimum.name}"):
        PlainAcceptor(policy=policy).check(HERE)


@pytest.mark.parametrize(
    "policy",
    [
        replace(PLAIN_POLICY, mechanisms=frozenset({Mechanism.KERBEROS})),
        replace(PLAIN_POLICY, require_mutual=True),
        replace(PLAIN_POLICY, channel_binding=ChannelBinding.ALWAYS),
    ],
    ids=["mechanisms", "mutual", "binding"],
)
def test_a_proof_is_not_to_be_had(policy: SecurityPolicy) -> None:
    with pytest.raises(LocalProtocolError, match="proves nobody"):
        PlainConnector(HERE, policy=policy)
    with pytest.raises(LocalProtocolError, match="proves nobody"):
        PlainAcceptor(policy=policy).check(HERE)
