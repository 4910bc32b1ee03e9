"""Connectors: what is decided before anything is contacted, and who does not answer.

What each of them does with a peer is in `tests/contract/test_connectors.py`.
"""

import socket
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from signetrpc.transport import (
    AuthenticationFailed,
    ChannelBinding,
    ConnectFailed,
    ConnectionClosed,
    FailureReason,
    HandshakeTimeout,
    Keytab,
    LocalProtocolError,
    Mechanism,
    NegotiateConnector,
    NegotiationProtocol,
    Password,
    PlainConnector,
    Protection,
    SecurityPolicy,
    TicketCache,
    connect_stream,
)
from signetrpc.transport._addresses import parse_address
from signetrpc.transport._pipes import Pipe
from tests.support.negotiation import ALICE
from tests.support.parts import Part, require

KERBEROS, NTLM = Mechanism.KERBEROS, Mechanism.NTLM
NAMED, NUMBER, PATH = (
    parse_address(text) for text in ("files.example.com:1", "127.0.0.1:1", "unix:/x")
)


def decided(address: Any = NAMED, **options: Any) -> tuple[set[str], str, str]:
    """Return the mechanisms, the form and the service that a connector has chosen."""
    connector: Any = NegotiateConnector(address, **options)
    assert connector.address is address
    return set(connector._allowed), connector._protocol, connector._target


USER = Password("alice@EXAMPLE.COM", "secret")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ({"kerberos"}, "kerberos", "host/files.example.com")),
        (
            {"credentials": TicketCache("FILE:/x")},
            ({"kerberos"}, "kerberos", "host/files.example.com"),
        ),
        (
            {"credentials": Keytab("/x", "alice"), "service_principal": "nfs/x@R"},
            ({"kerberos"}, "kerberos", "nfs/x"),
        ),
        ({"credentials": USER}, ({"kerberos"}, "kerberos", "host/files.example.com")),
        (
            {"credentials": ALICE},
            ({"kerberos", "ntlm"}, "negotiate", "host/files.example.com"),
        ),
        ({"credentials": ALICE, "address": NUMBER}, ({"ntlm"}, "ntlm", "")),
        ({"credentials": ALICE, "address": PATH}, ({"ntlm"}, "ntlm", "")),
        (
            {"address": NUMBER, "service_principal": "host/files"},
            ({"kerberos"}, "kerberos", "host/files"),
        ),
        (
            {"policy": SecurityPolicy.allow_ntlm(), "credentials": USER},
            ({"kerberos", "ntlm"}, "negotiate", "host/files.example.com"),
        ),
        (
            {
                "policy": SecurityPolicy(
                    mechanisms=frozenset({KERBEROS, NTLM}),
                    negotiation=NegotiationProtocol.NTLM,
                ),
                "credentials": ALICE,
            },
            ({"kerberos", "ntlm"}, "ntlm", "host/files.example.com"),
        ),
        (
            {
                "policy": SecurityPolicy(
                    mechanisms=frozenset({KERBEROS, Mechanism.TLS})
                ),
            },
            ({"kerberos"}, "kerberos", "host/files.example.com"),
        ),
    ],
)
def test_what_is_decided(
    options: dict[str, Any], expected: tuple[set[str], str, str]
) -> None:
    assert decided(**options) == expected


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"address": NUMBER}, "give service_principal"),
        ({"address": PATH, "credentials": USER}, "give service_principal"),
        (
            {"policy": SecurityPolicy(mechanisms=frozenset({Mechanism.TLS}))},
            "neither Kerberos nor NTLM",
        ),
        (
            {"policy": SecurityPolicy(mechanisms=frozenset())},
            "neither Kerberos nor NTLM",
        ),
        (
            {"policy": SecurityPolicy(channel_binding=ChannelBinding.ALWAYS)},
            "so give tls",
        ),
        ({"service_principal": "host/\udcff"}, "not a service principal"),
        ({"service_principal": "host/a\nb"}, "not a service principal"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(LocalProtocolError, match=says):
        decided(**options)


def at(server: socket.socket, host: str = "127.0.0.1") -> str:
    return f"{host}:{server.getsockname()[1]}"


def policy(seconds: float) -> SecurityPolicy:
    return SecurityPolicy(minimum_protection=Protection.NONE, handshake_seconds=seconds)


@pytest.mark.anyio
async def test_an_address_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: object) -> Pipe:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr("signetrpc.transport._connectors.connect_pipe", never)
    connector = PlainConnector(NUMBER, policy=policy(0.01))
    with pytest.raises(ConnectFailed, match="no answer in 0.01 seconds"):
        await connector.connect()


@pytest.mark.anyio
async def test_connecting_and_shaking_hands_share_the_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_address(at(server))
        # Long enough to connect in on a busy machine.
        connector = PlainConnector(address, policy=policy(2.0))

        # Where it is not connected to after all, nobody waits for it.
        async def accepting() -> None:
            await anyio.to_thread.run_sync(
                accept_and_end, server, abandon_on_cancel=True
            )

        async with anyio.create_task_group() as group:
            group.start_soon(accepting)
            with pytest.raises(HandshakeTimeout):
                await connector.connect()


def accept_and_end(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        while connection.recv(1000):
            pass


@pytest.mark.anyio
async def test_a_server_that_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = at(server)

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            connection.close()

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, hang_up)
            with pytest.raises(ConnectionClosed) as caught:
                await connect_stream(address, credentials=ALICE)
            assert not caught.value.clean


@pytest.mark.anyio
async def test_credentials_that_are_not_there(tmp_path: Path) -> None:
    require(Part.GSSAPI)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = at(server, "localhost")
        with pytest.raises(AuthenticationFailed) as caught:
            await connect_stream(
                address, credentials=TicketCache(f"FILE:{tmp_path}/none")
            )
        assert caught.value.reason is FailureReason.NO_CREDENTIALS


def test_what_is_no_credentials_is_not_shown() -> None:
    given: Any = "Wonder1and"
    with pytest.raises(TypeError, match="credentials of type str; give Pass") as caught:
        NegotiateConnector(NUMBER, credentials=given)
    assert "Wonder1and" not in str(caught.value)
