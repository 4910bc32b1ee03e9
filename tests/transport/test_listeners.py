"""Listeners: who is let in, what a handler may do, and how listening stops."""

import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from pathlib import Path
from typing import Any

import anyio
import pytest

from signetrpc.transport import (
    AuthenticationFailed,
    ConnectionClosed,
    DoorLimits,
    HandshakeError,
    LocalProtocolError,
    Password,
    PlainAcceptor,
    PlainConnector,
    Protection,
    SecureStream,
    SecurityPolicy,
    TransportError,
    connect_stream,
    connect_stream_with,
    listen,
    listen_with,
)
from signetrpc.transport._addresses import TcpAddress, parse_address
from signetrpc.transport._driver import Link
from signetrpc.transport._listeners import Listener
from signetrpc.transport._loops import Task, open_loop
from signetrpc.transport._pipes import Pipe
from tests.support.calls import HeldLoop
from tests.support.negotiation import ALICE, account_file
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE = Protection.NONE
LOCAL = "tcp://127.0.0.1:0"
Handler = Callable[[SecureStream], Awaitable[None]]


async def echo(stream: SecureStream) -> None:
    """Answer until the peer closes."""
    while True:
        message = await stream.receive()
        await stream.send(message.data, message.protection)


@asynccontextmanager
async def serving(
    handler: Handler = echo,
    *,
    target: str = LOCAL,
    acceptor: PlainAcceptor | None = None,
    door: DoorLimits | None = None,
) -> AsyncGenerator[Listener]:
    listener = await listen_with(target, acceptor or PlainAcceptor(), door=door)
    async with listener, anyio.create_task_group() as group:

        async def serve() -> None:
            await listener.serve(handler, protection=NONE)

        group.start_soon(serve)
        yield listener
        group.cancel_scope.cancel()


async def connected(listener: Listener) -> SecureStream:
    connector = PlainConnector(parse_address(str(listener.address)))
    return await connect_stream_with(connector, protection=NONE)


async def check_echo(stream: SecureStream) -> None:
    await stream.send(b"x")
    assert (await stream.receive()).data == b"x"


async def test_handlers_serve_side_by_side() -> None:
    async with serving() as listener:
        streams = [await connected(listener) for _ in range(5)]
        for stream in streams:
            await check_echo(stream)
        for stream in reversed(streams):
            await check_echo(stream)
            await stream.aclose()


async def test_the_address_has_the_port_that_the_system_chose() -> None:
    listener = await listen_with(LOCAL, PlainAcceptor())
    address = listener.address
    assert isinstance(address, TcpAddress) and address.port > 0
    listener.close()
    assert listener.address == address


async def test_a_stream_is_closed_when_its_handler_returns() -> None:
    async def hello(stream: SecureStream) -> None:
        await stream.send(b"hello")

    async with serving(hello) as listener:
        async with await connected(listener) as stream:
            assert (await stream.receive()).data == b"hello"
            with pytest.raises(ConnectionClosed) as caught:
                await stream.receive()
            assert caught.value.clean


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), ConnectionClosed("x", clean=True)]
)
async def test_a_handler_that_fails_ends_its_connection_alone(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(stream: SecureStream) -> None:
        if (await stream.receive()).data == b"fail":
            raise error
        await stream.send(b"fine")

    async with serving(fail) as listener:
        async with await connected(listener) as bad, await connected(listener) as good:
            await bad.send(b"fail")
            with pytest.raises(ConnectionClosed):
                await bad.receive()
            await good.send(b"x")
            assert (await good.receive()).data == b"fine"
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert bool(told) == isinstance(error, ValueError)


async def test_accounts_are_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "signetrpc.transport")
    listener = await listen(LOCAL, accept=[account_file(tmp_path)])
    target = str(listener.address)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, echo)
        with pytest.raises(AuthenticationFailed):
            await connect_stream(
                target, credentials=Password("CORP\\alice", "n0t-hers")
            )
        async with await connect_stream(target, credentials=ALICE) as stream:
            await check_echo(stream)
        group.cancel_scope.cancel()
    warnings = [r for r in caplog.records if "handshake on" in r.getMessage()]
    assert warnings and warnings[0].levelno == logging.WARNING
    for secret in ("n0t-hers", ALICE.password):
        assert secret not in caplog.text


async def test_garbage_and_silence_hold_nobody_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = SecurityPolicy(minimum_protection=NONE, handshake_seconds=0.05)
    async with serving(acceptor=PlainAcceptor(policy=policy)) as listener:
        address = listener.address
        assert isinstance(address, TcpAddress)
        place = (address.host, address.port)
        with socket.create_connection(place) as silent:
            with socket.create_connection(place) as garbage:
                garbage.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
            silent.setblocking(False)
            async with await connected(listener) as stream:
                await check_echo(stream)
            received = b""
            with anyio.fail_after(10):
                while True:
                    await anyio.wait_readable(silent)
                    chunk = silent.recv(100)
                    if not chunk:
                        break
                    received += chunk
            assert len(received) == 9  # a REJECT


# The door.


async def test_more_connections_than_allowed_are_turned_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(door=DoorLimits(connections=2)) as listener:
        one, two = [await connected(listener) for _ in range(2)]
        with pytest.raises(HandshakeError):
            await connected(listener)
        assert "refused a connection of 127.0.0.1: 2 connections" in caplog.text
        await check_echo(one)
        await one.aclose()
        with anyio.fail_after(10):
            while True:  # it has yet to see that one has gone
                try:
                    three = await connected(listener)
                    break
                except TransportError:
                    continue
        await check_echo(three)
        await three.aclose()
        await two.aclose()


async def test_more_than_a_few_are_turned_away_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signetrpc.transport._listeners._MOST_TURNED_AWAY", 0)
    async with serving(door=DoorLimits(connections=0)) as listener:
        with pytest.raises(ConnectionClosed):
            await connected(listener)


async def test_a_peer_that_is_gone_before_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(_: socket.socket) -> str:
        raise OSError("not connected")

    async with serving() as listener:
        with monkeypatch.context() as patch:
            patch.setattr("signetrpc.transport._listeners._peer_host", gone)
            with pytest.raises(TransportError):
                await connected(listener)
        async with await connected(listener) as stream:
            await check_echo(stream)


async def test_a_peer_that_is_gone_before_it_is_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def gone(sock: socket.socket) -> Pipe:
        sock.close()
        raise OSError("not connected")

    monkeypatch.setattr("signetrpc.transport._listeners.pipe_over", gone)
    async with serving(door=DoorLimits(connections=0)) as listener:
        for _ in range(2):
            with pytest.raises(ConnectionClosed):
                await connected(listener)


# Ends.


async def test_cancelling_ends_connections_and_handshakes() -> None:
    class Slow(PlainAcceptor):
        """Never comes to an end."""

        async def secure(self, pipe: Pipe, *, start: float) -> Link:
            """Wait for ever."""
            try:
                await anyio.sleep_forever()
            finally:
                pipe.abort()
            raise AssertionError

    async with serving(acceptor=Slow()) as listener:
        address = listener.address
        assert isinstance(address, TcpAddress)
        with socket.create_connection((address.host, address.port)) as client:
            await settle()
            client.setblocking(False)
    with pytest.raises(OSError):
        socket.create_connection((address.host, address.port))


async def test_connections_that_no_task_has_begun_are_closed_too() -> None:
    class Late(HeldLoop):
        """Cancels each task before it begins."""

        def spawn(
            self, coroutine: Coroutine[Any, Any, None], context: Context | None = None
        ) -> Task:
            coroutine.close()
            spawned.set()
            return anyio.CancelScope()

    async def handle(link: Link) -> None:
        raise AssertionError

    spawned = anyio.Event()
    listener = await listen_with(LOCAL, PlainAcceptor())
    address = listener.address
    assert isinstance(address, TcpAddress)
    async with open_loop() as loop, anyio.create_task_group() as group:
        group.start_soon(listener.serve_links, Late(loop), handle)
        with socket.create_connection((address.host, address.port)) as client:
            with anyio.fail_after(10):
                await spawned.wait()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await settle()
            assert client.recv(1) == b""


async def test_after_the_close_connections_go_on_and_then_serving_ends() -> None:
    ended = anyio.Event()
    listener = await listen_with(LOCAL, PlainAcceptor())
    async with anyio.create_task_group() as group:

        async def serve() -> None:
            await listener.serve(echo, protection=NONE)
            ended.set()

        group.start_soon(serve)
        stream = await connected(listener)
        await check_echo(stream)
        listener.close()
        await settle()
        with pytest.raises(TransportError):
            await connected(listener)
        await check_echo(stream)
        assert not ended.is_set()
        await stream.aclose()
        with anyio.fail_after(10):
            await ended.wait()


async def test_serving_ends_at_once_if_nobody_is_there() -> None:
    listener = await listen_with(LOCAL, PlainAcceptor())
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, echo)
        await settle()
        with anyio.fail_after(10):
            async with listener:
                pass


async def test_a_closed_listener_does_not_serve() -> None:
    listener = await listen_with(LOCAL, PlainAcceptor())
    listener.close()
    listener.close()
    with pytest.raises(LocalProtocolError, match="the listener is closed"):
        await listener.serve(echo)


async def test_a_path_that_another_has_taken_over_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    first = await listen_with(f"unix://{path}", PlainAcceptor())
    first.close()
    assert not path.exists()
    second = await listen_with(f"unix://{path}", PlainAcceptor())
    first.close()
    assert path.is_socket()
    path.unlink()
    second.close()


async def test_links_can_be_served_without_streams() -> None:
    links: list[Link] = []

    async def handle(link: Link) -> None:
        links.append(link)
        await anyio.sleep_forever()

    listener = await listen_with(LOCAL, PlainAcceptor())
    async with open_loop() as loop, anyio.create_task_group() as group:
        group.start_soon(listener.serve_links, loop, handle)
        async with await connected(listener):
            await settle()
            (link,) = links
            assert link.session.peer.anonymous and link.ends_at is not None
            link.pipe.abort()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("target", ["tcp://192.0.2.1:0", "tcp://example.com:0"])
async def test_an_acceptor_refuses_addresses_it_must_not_serve(target: str) -> None:
    with pytest.raises(LocalProtocolError, match="not on this machine"):
        await listen_with(target, PlainAcceptor())


async def test_a_target_that_is_none(tmp_path: Path) -> None:
    options: dict[str, Any] = {"accept": [account_file(tmp_path)]}
    with pytest.raises(ValueError, match="not an address"):
        await listen("nowhere", **options)
