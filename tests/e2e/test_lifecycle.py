"""Beginnings and ends that overlap: nothing hangs and nothing is left behind."""

import gc
import os
import socket
from collections.abc import Iterator

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from signetrpc.rpc import Channel, RpcError, StatusCode
from signetrpc.transport import (
    AccountFile,
    ConnectionClosed,
    SecureStream,
    connect_stream,
    listen,
)
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import PATIENCE, ServerProcess, connected
from tests.e2e.proxies import proxied
from tests.e2e.trial import call
from tests.support.negotiation import ALICE
from tests.support.sessions import hello_of

pytestmark = pytest.mark.anyio


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def strangers(server: ServerProcess) -> Iterator[list[socket.socket]]:
    """Sockets that a test opens and forgets."""
    opened: list[socket.socket] = []
    yield opened
    for sock in opened:
        sock.close()


async def test_connecting_is_cancelled_at_any_moment(server: ServerProcess) -> None:
    async with connected(server.address):
        pass  # worker threads and caches are there now
    before = descriptors()
    done = 0
    for turns in range(60):
        async with anyio.create_task_group() as group:

            async def come_and_go() -> None:
                nonlocal done
                async with connected(server.address):
                    done += 1

            group.start_soon(come_and_go)
            for _ in range(turns):
                await anyio.sleep(0)
            group.cancel_scope.cancel()
    assert await settled(before) <= before
    async with connected(server.address) as channel:
        assert await call(channel, "signed", text="x") == "x"


async def settled(most: int) -> int:
    """Return the number of descriptors once there are no more than `most`."""
    with anyio.move_on_after(PATIENCE):
        while descriptors() > most:
            await anyio.sleep(0.01)
    return descriptors()


async def test_connecting_to_a_silent_server_is_cancelled() -> None:
    heard = anyio.Event()

    async def listen_only(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            heard.set()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await stream.receive()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, listen_only)
        port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as inner:

            async def connect() -> None:
                async with connected(f"127.0.0.1:{port}"):
                    raise AssertionError("connected to nothing")

            inner.start_soon(connect)
            await heard.wait()
            inner.cancel_scope.cancel()
        group.cancel_scope.cancel()


async def test_a_server_stops_with_handshakes_under_way(
    accounts: str, flavour: str, strangers: list[socket.socket]
) -> None:
    with ServerProcess(flavour=flavour, accounts=accounts) as own:
        async with connected(own.address) as channel:
            for number in range(30):
                sock = socket.create_connection(("127.0.0.1", own.port))
                strangers.append(sock)
                sock.sendall(b"" if number % 2 else hello_of(protocol="ntlm"))
            assert await call(channel, "signed", text="x") == "x"
        # `ServerProcess` checks that nothing was left lying about.


async def test_a_server_stops_as_clients_arrive(accounts: str, flavour: str) -> None:
    with ServerProcess(flavour=flavour, accounts=accounts) as own:
        async with anyio.create_task_group() as group:

            async def come() -> None:
                while True:
                    try:
                        async with connected(own.address) as channel:
                            await call(channel, "signed", text="x")
                    except Exception as error:
                        assert not isinstance(error, TimeoutError), error
                        return

            for _ in range(8):
                group.start_soon(come)
            async with connected(own.address) as channel:
                assert await call(channel, "signed", text="x") == "x"
            await anyio.to_thread.run_sync(own.stop)


async def test_a_listener_stops_and_its_connections_go_on(accounts: str) -> None:
    received: list[bytes] = []

    async def handle(stream: SecureStream) -> None:
        while True:
            received.append((await stream.receive()).data)
            await stream.send(received[-1])

    with anyio.fail_after(PATIENCE):
        listener = await listen("tcp://127.0.0.1:0", accept=[AccountFile(accounts)])
        address = str(listener.address)
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, handle)
            async with await connect_stream(address, credentials=ALICE) as stream:
                await stream.send(b"one")
                assert (await stream.receive()).data == b"one"
                group.cancel_scope.cancel()
                with pytest.raises(ConnectionClosed) as caught:
                    with anyio.CancelScope(shield=True):
                        await stream.receive()
                assert caught.value.clean
    listener.close()  # twice is harmless
    assert str(listener.address) == address
    assert received == [b"one"]


async def test_a_channel_closes_while_it_reconnects(
    ntlm_servers: ServerOf, anyio_backend: str
) -> None:
    server = ntlm_servers(anyio_backend)
    async with connected(server.address) as observer:
        before = await call(observer, "stats")
        for _ in range(5):
            async with proxied(server.address) as proxy:
                async with anyio.create_task_group() as group:
                    async with connected(proxy.address) as channel:
                        group.start_soon(end_of, channel)
                        await call(observer, "until", event="held reconnecting")
                        proxy.stop()
                        proxy.drop()
                    # It has left the block with a handshake under way.
                    proxy.resume()
        await call(observer, "quiet", descriptors=before.descriptors)


async def end_of(channel: Channel) -> None:
    """Call until the channel is closed."""
    while True:
        try:
            await call(channel, "hold", key="reconnecting")
        except RpcError as error:
            if error.status is not StatusCode.UNAVAILABLE:
                assert error.status is StatusCode.CANCELLED
                return


async def test_a_stream_closes_twice_and_from_two_tasks(accounts: str) -> None:
    async def handle(stream: SecureStream) -> None:
        with pytest.raises(ConnectionClosed):
            await stream.receive()

    with anyio.fail_after(PATIENCE):
        listener = await listen("tcp://127.0.0.1:0", accept=[AccountFile(accounts)])
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, handle)
            stream = await connect_stream(str(listener.address), credentials=ALICE)
            async with anyio.create_task_group() as closers:
                closers.start_soon(stream.aclose)
                closers.start_soon(stream.aclose)
            await stream.aclose()
            with pytest.raises(ConnectionClosed):
                await stream.receive()
            group.cancel_scope.cancel()
