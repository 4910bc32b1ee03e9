"""The door of a real listener: who is turned away, what he hears, who is served."""

import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from signetrpc.transport import (
    AuthenticationFailed,
    ClientTls,
    DoorLimits,
    HandshakeError,
    Link,
    Listener,
    NegotiateConnector,
    Password,
    SecureStream,
    ServerTls,
    TcpAddress,
    TransportError,
    connect_stream,
    listen,
)
from signetrpc.transport._contract_pair import secured
from signetrpc.transport._frames import FrameType, encode_frame
from signetrpc.transport._sockets import pipe_over
from tests.support.certificates import Authority
from tests.support.meetings import short_linger
from tests.support.negotiation import ALICE, ALLOW_NTLM, account_file

__all__ = ["short_linger"]

pytestmark = pytest.mark.anyio

OTHER = "127.0.0.2"


async def _echo(stream: SecureStream) -> None:
    while True:
        message = await stream.receive()
        await stream.send(message.data)


@asynccontextmanager
async def serving(
    folder: Path,
    door: DoorLimits,
    *,
    seconds: float = 10.0,
    tls: ServerTls | None = None,
) -> AsyncGenerator[TcpAddress]:
    listener: Listener = await listen(
        "tcp://127.0.0.1:0",
        accept=[account_file(folder)],
        policy=replace(ALLOW_NTLM, handshake_seconds=seconds),
        door=door,
        tls=tls,
    )
    async with anyio.create_task_group() as group:
        async with listener:
            group.start_soon(listener.serve, _echo)
            assert isinstance(listener.address, TcpAddress)
            yield listener.address
            group.cancel_scope.cancel()


def silent(address: TcpAddress, source: str = OTHER) -> socket.socket:
    """Connect from an address and say nothing."""
    return socket.create_connection(
        (address.host, address.port), source_address=(source, 0)
    )


async def legitimate(address: TcpAddress, tls: ClientTls | None = None) -> None:
    """Connect from 127.0.0.1 and be answered."""
    async with await connect_stream(
        str(address), credentials=ALICE, policy=ALLOW_NTLM, tls=tls
    ) as stream:
        await stream.send(b"hello")
        assert (await stream.receive()).data == b"hello"


async def attempt(
    address: TcpAddress,
    credentials: Password = ALICE,
    *,
    source: str = OTHER,
    tls: ClientTls | None = None,
) -> Link | TransportError:
    """Try to get in from another address; return what came of it."""
    connector = NegotiateConnector(
        address, credentials=credentials, policy=ALLOW_NTLM, tls=tls
    )
    pipe = await pipe_over(silent(address, source))
    return await secured(lambda: connector.secure(pipe, start=anyio.current_time()))


async def turned_away(
    address: TcpAddress, *, source: str = OTHER, tls: ClientTls | None = None
) -> None:
    """Check that a client is told in clear words that there is no room."""
    outcome = await attempt(address, source=source, tls=tls)
    assert isinstance(outcome, HandshakeError), outcome
    assert "it is busy" in str(outcome)


async def until_let_in(address: TcpAddress) -> None:
    """Wait until the listener has seen that connections are gone."""
    with anyio.fail_after(10):
        while True:
            outcome = await attempt(address)
            if isinstance(outcome, Link):
                await outcome.pipe.aclose(linger=False)
                return


@pytest.mark.parametrize("over_tls", [False, True], ids=["bare", "over-tls"])
async def test_half_open_connections_of_one_peer_leave_the_others_alone(
    over_tls: bool, tmp_path: Path
) -> None:
    authority = Authority(tmp_path) if over_tls else None
    server = None if authority is None else authority.server()
    client = None if authority is None else authority.client()
    limits = DoorLimits(handshakes_per_peer=2)
    async with serving(tmp_path, limits, tls=server) as address:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                stack.enter_context(silent(address))
            for _ in range(3):
                await turned_away(address, tls=client)
                await legitimate(address, tls=client)
                await turned_away(address, tls=client)


async def test_half_open_connections_of_all(tmp_path: Path) -> None:
    async with serving(tmp_path, DoorLimits(handshakes=3)) as address:
        async with AsyncExitStack() as stack:
            for number in range(3):
                stack.enter_context(silent(address, f"127.0.0.{number + 2}"))
            await turned_away(address, source="127.0.0.9")
        await until_let_in(address)
        await legitimate(address)


async def test_connections_of_one_peer_leave_the_others_alone(tmp_path: Path) -> None:
    async with serving(tmp_path, DoorLimits(connections_per_peer=1)) as address:
        link = await attempt(address)
        assert isinstance(link, Link)
        await turned_away(address)
        await legitimate(address)
        await link.pipe.aclose(linger=False)
        await until_let_in(address)


async def test_whoever_fails_again_and_again_has_to_wait(tmp_path: Path) -> None:
    async with serving(tmp_path, DoorLimits(failures=3)) as address:
        wrong = Password(r"CORP\alice", "n0t-hers")
        failed = 0
        # An answer can be here before the listener has counted it.
        while isinstance(
            outcome := await attempt(address, wrong), AuthenticationFailed
        ):
            failed += 1
            assert failed < 500
        assert failed >= 3
        assert isinstance(outcome, HandshakeError) and "it is busy" in str(outcome)
        # Not even with the right one; and nobody else has to.
        await turned_away(address)
        await legitimate(address)


async def test_who_fails_and_keeps_the_connection_is_counted_at_once(
    tmp_path: Path,
) -> None:
    # The server waits a moment for the peer's end before it closes.  A peer that never
    # ends must not have its failures counted later for that.
    limits = DoorLimits(failures=3, longest_wait=1.0)
    async with AsyncExitStack() as kept, serving(tmp_path, limits) as address:
        for _ in range(3):
            pipe = await pipe_over(silent(address))
            kept.push_async_callback(pipe.aclose, linger=False)
            pipe.write(b"garbage!")
            with anyio.fail_after(10):
                assert await pipe.receive() == encode_frame(FrameType.REJECT, 0, b"\1")
        await turned_away(address)
        await legitimate(address)
        await until_let_in(address)


async def test_a_silent_peer_is_closed_in_time_and_makes_room(tmp_path: Path) -> None:
    limits = DoorLimits(handshakes_per_peer=1)
    async with serving(tmp_path, limits, seconds=0.2) as address:
        with silent(address) as peer:
            await turned_away(address)
            peer.setblocking(False)
            received = b""
            with anyio.fail_after(10):
                while True:
                    await anyio.wait_readable(peer)
                    if not (chunk := peer.recv(100)):
                        break
                    received += chunk
            assert received[:1] == b"\x04"  # a REJECT
            await until_let_in(address)
