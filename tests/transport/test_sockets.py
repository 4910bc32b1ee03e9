"""Connecting, binding and accepting on real sockets."""

import errno
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from signetrpc.transport import _sockets
from signetrpc.transport._addresses import TcpAddress, UnixAddress
from signetrpc.transport._sockets import accept_forever, bind, connect_pipe, pipe_over
from signetrpc.transport.errors import ConnectFailed
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

LOCAL = TcpAddress("127.0.0.1", 0)


async def free_port() -> int:
    (sock,) = await bind(LOCAL)
    with sock:
        port: int = sock.getsockname()[1]
        return port


async def test_bytes_go_both_ways_over_tcp() -> None:
    (listening,) = await bind(LOCAL)
    with listening:
        port = listening.getsockname()[1]
        one = await connect_pipe(TcpAddress("localhost", port))
        two = await pipe_over(listening.accept()[0])
        one.write(b"ping")
        assert await two.receive() == b"ping"
        two.write(b"pong")
        assert await one.receive() == b"pong"
        async with anyio.create_task_group() as group:
            group.start_soon(one.aclose)
            group.start_soon(two.aclose)


async def test_bytes_go_both_ways_over_a_unix_socket(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "socket"))
    (listening,) = await bind(address)
    with listening:
        one = await connect_pipe(address)
        two = await pipe_over(listening.accept()[0])
        one.write(b"ping")
        assert await two.receive() == b"ping"
        async with anyio.create_task_group() as group:
            group.start_soon(one.aclose)
            group.start_soon(two.aclose)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_there(host: str) -> None:
    address = TcpAddress(host, await free_port())
    with pytest.raises(ConnectFailed) as caught:
        await connect_pipe(address)
    assert str(caught.value) == f"cannot connect to {address}: Connection refused"
    assert isinstance(caught.value.__cause__, OSError)


async def test_no_socket_at_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match="No such file or directory"):
        await connect_pipe(UnixAddress(str(tmp_path / "none")))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "x" * 300, "ä" * 70])
async def test_names_that_lead_nowhere(host: str) -> None:
    with pytest.raises(ConnectFailed, match="cannot connect to tcp://"):
        await connect_pipe(TcpAddress(host, 1))
    with pytest.raises(OSError, match="cannot listen on tcp://"):
        await bind(TcpAddress(host, 0))


async def test_a_cancelled_connect_leaves_nothing_open() -> None:
    (listening,) = await bind(LOCAL)
    with listening:
        address = TcpAddress("127.0.0.1", listening.getsockname()[1])
        before = len(os.listdir("/proc/self/fd"))
        for turns in range(6):
            async with anyio.create_task_group() as group:

                async def connect() -> None:
                    pipe = await connect_pipe(address)
                    pipe.abort()
                    await pipe.aclose()

                group.start_soon(connect)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            await settle()
        assert len(os.listdir("/proc/self/fd")) <= before


# Binding.


async def test_one_port_for_all_families(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(*_: object, **__: object) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        ]

    if not has_ipv6():
        both_of_v4 = socket.AF_INET

        async def both(*_: object, **__: object) -> list[Any]:
            return [
                (both_of_v4, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
                (both_of_v4, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
            ]

    monkeypatch.setattr(anyio, "getaddrinfo", both)
    one, two = await bind(TcpAddress("localhost", 0))
    with one, two:
        assert one.getsockname()[1] == two.getsockname()[1]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_a_port_that_is_taken() -> None:
    (sock,) = await bind(LOCAL)
    with sock:
        address = TcpAddress("127.0.0.1", sock.getsockname()[1])
        with pytest.raises(OSError, match="cannot listen on") as caught:
            await bind(address)
        assert caught.value.errno == errno.EADDRINUSE
        assert str(address) in str(caught.value)


async def test_the_sockets_of_a_failed_bind_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def second_is_taken(*_: object, **__: object) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),
        ]

    monkeypatch.setattr(anyio, "getaddrinfo", second_is_taken)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="cannot listen on"):
        await bind(TcpAddress("localhost", 0))
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_path_left_behind_is_taken_over(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "socket"))
    (old,) = await bind(address)
    with pytest.raises(OSError, match="cannot listen on"):
        await bind(address)
    old.close()
    (new,) = await bind(address)
    new.close()


async def test_a_path_whose_server_is_busy_is_not_taken_over(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    clients: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen(0)
        try:
            while True:  # until its backlog is full
                client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                clients.append(client)
                client.setblocking(False)
                client.connect(path)
        except BlockingIOError:
            pass
        with pytest.raises(OSError, match="cannot listen on"):
            await bind(UnixAddress(path))
        assert os.path.exists(path)
        for client in clients:
            client.close()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(OSError, match="cannot listen on unix://"):
        await bind(UnixAddress(str(path)))
    assert path.read_text() == "precious"


# Accepting.

Handle = Callable[[socket.socket], Awaitable[None]]


def collecting(into: list[socket.socket], enough: anyio.Event, count: int) -> Handle:
    async def handle(sock: socket.socket) -> None:
        into.append(sock)
        if len(into) == count:
            enough.set()

    return handle


async def test_connections_are_accepted_until_cancelled() -> None:
    (listening,) = await bind(LOCAL)
    accepted: list[socket.socket] = []
    clients: list[socket.socket] = []
    enough = anyio.Event()
    with listening:
        async with anyio.create_task_group() as group:
            group.start_soon(accept_forever, listening, collecting(accepted, enough, 3))
            await settle()
            clients += [
                socket.create_connection(listening.getsockname()) for _ in "abc"
            ]
            with anyio.fail_after(10):
                await enough.wait()
            group.cancel_scope.cancel()
    for sock in (*accepted, *clients):
        sock.close()


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED, errno.EPROTO]
)
async def test_accepting_outlasts_what_can_happen(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (listening,) = await bind(LOCAL)
    monkeypatch.setattr(_sockets, "_PAUSE_SECONDS", 0.0)
    accept = _sockets._accept  # pyright: ignore[reportPrivateUsage]
    failures = iter([OSError(number, os.strerror(number))] * 2)

    async def failing(sock: socket.socket) -> socket.socket:
        for failure in failures:
            raise failure
        return await accept(sock)

    monkeypatch.setattr(_sockets, "_accept", failing)
    accepted: list[socket.socket] = []
    enough = anyio.Event()
    with listening:
        async with anyio.create_task_group() as group:
            group.start_soon(accept_forever, listening, collecting(accepted, enough, 1))
            with socket.create_connection(listening.getsockname()):
                with anyio.fail_after(10):
                    await enough.wait()
            group.cancel_scope.cancel()
    accepted[0].close()
    told = "cannot accept" in caplog.text
    assert told == (number in (errno.EMFILE, errno.ENFILE))


async def test_accepting_on_a_closed_socket_ends() -> None:
    (listening,) = await bind(LOCAL)
    listening.close()

    async def handle(sock: socket.socket) -> None:
        raise AssertionError

    with pytest.raises(OSError, match="the listener is closed"):
        await accept_forever(listening, handle)


async def test_a_connection_that_another_process_took_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(_: object) -> None:
        await anyio.lowlevel.checkpoint()

    (listening,) = await bind(LOCAL)
    accepted: list[socket.socket] = []
    enough = anyio.Event()
    monkeypatch.setattr(anyio, "wait_readable", at_once)
    with listening:
        async with anyio.create_task_group() as group:
            group.start_soon(accept_forever, listening, collecting(accepted, enough, 1))
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            with socket.create_connection(listening.getsockname()):
                with anyio.fail_after(10):
                    await enough.wait()
            group.cancel_scope.cancel()
    accepted[0].close()


async def test_a_socket_that_is_gone_is_closed() -> None:
    one, two = socket.socketpair()
    with two:
        one.close()
        with pytest.raises(OSError):
            await pipe_over(one)
