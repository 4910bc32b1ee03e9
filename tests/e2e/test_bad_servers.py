"""Servers that send nonsense, stop halfway, say nothing or are not there."""

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from struct import pack

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from signetrpc.rpc import SecurityPolicy
from signetrpc.transport import (
    ConnectFailed,
    ConnectionClosed,
    FrameTooLarge,
    HandshakeTimeout,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._frames import FrameType, encode_frame
from tests.e2e.processes import connected
from tests.support.sessions import hello_of

SECONDS = 1.0
MEBIBYTE = 1024 * 1024

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def pretender(
    handle: Callable[[SocketStream], Awaitable[None]],
) -> AsyncGenerator[str]:
    """Give the address of a server that does as it likes."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def quietly(stream: SocketStream) -> None:
        try:
            async with stream:
                await handle(stream)
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            pass  # the client has seen enough

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, quietly)
        yield f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


async def failure_of(
    handle: Callable[[SocketStream], Awaitable[None]],
) -> TransportError:
    """Return the error of connecting to such a server, within the deadline."""
    policy = SecurityPolicy(handshake_seconds=SECONDS)
    # The error leaves this block as itself, out of whatever groups are in between.
    async with pretender(handle) as address:
        with pytest.raises(TransportError) as caught:
            async with connected(address, policy=policy):
                raise AssertionError("connected to nothing")
    return caught.value


SERVER_NONSENSE = {
    "garbage": b"\xff\x17\x99garbage" * 20,
    "SMTP": b"220 mail.example.com ESMTP ready\r\n",
    "a huge length": pack(">BBHI", FrameType.HELLO, 0, 0, 0xFFFFFFFF),
    "a token of 1 MiB": pack(">BBHI", FrameType.TOKEN, 0, 0, MEBIBYTE)
    + bytes(MEBIBYTE),
    "a token first": encode_frame(FrameType.TOKEN, 0, b"x" * 100),
    "a record first": encode_frame(FrameType.RECORD, 2, bytes(100)),
    "a client's HELLO": hello_of(),
}


# Bytes that the frame announces.
HUGE = {"a huge length": 0xFFFFFFFF, "a token of 1 MiB": MEBIBYTE}


@pytest.mark.parametrize("kind", SERVER_NONSENSE)
async def test_nonsense_from_a_server(kind: str) -> None:
    async def talk(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(SERVER_NONSENSE[kind])
        while True:
            await stream.receive()

    error = await failure_of(talk)
    if kind in HUGE:
        assert isinstance(error, FrameTooLarge)
        assert error.size == HUGE[kind]
    else:
        assert isinstance(error, RemoteProtocolError)


async def test_servers_that_stop_halfway_and_wait() -> None:
    errors: list[TransportError] = []

    async def wait_for(said: bytes) -> None:
        async def wait(stream: SocketStream) -> None:
            if said:
                await stream.send(said)
            while True:
                await stream.receive()

        errors.append(await failure_of(wait))

    async with anyio.create_task_group() as group:
        for said in (b"", b"\x01\x00", pack(">BBHI", FrameType.HELLO, 0, 0, 3000)):
            group.start_soon(wait_for, said)
    assert [type(error) for error in errors] == [HandshakeTimeout] * 3
    assert {str(error) for error in errors} == {"the handshake took over 1 seconds"}


@pytest.mark.parametrize("said", [b"", b"\x01\x00"])
async def test_a_server_that_stops_halfway_and_goes(said: bytes) -> None:
    async def leave(stream: SocketStream) -> None:
        await stream.receive()
        if said:
            await stream.send(said)

    error = await failure_of(leave)
    assert isinstance(error, ConnectionClosed)
    assert not error.clean


async def test_nobody_listens() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        # By name there may be two addresses, which are tried in turn.
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(ConnectFailed, match=f"{host}:{port}: .*refused"):
                async with connected(f"{host}:{port}"):
                    raise AssertionError("connected to nothing")


async def test_nobody_is_called_that(tmp_path: Path) -> None:
    for target, reason in (
        ("nowhere.invalid:7420", "resolution|not known"),
        (f"unix://{tmp_path}/absent", "No such file or directory"),
    ):
        with pytest.raises(ConnectFailed, match=f"{target}: .*({reason})"):
            async with connected(target):
                raise AssertionError("connected to nothing")
