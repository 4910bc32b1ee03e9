"""What goes over a real connection: what was declared, and nothing that was changed.

Every bit of a record over both mechanisms is changed in memory, in
tests/transport/test_session_mechanisms.py; here a sample of them on real sockets.

Two kinds of header bits cannot give IntegrityError by themselves.  A bit that lengthens
the record leaves the receiver waiting: the error comes with the bytes that follow, and
if none do, the end of the stream is a truncation.  Either way nothing is delivered.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from signetrpc.rpc import (
    ClientCredentials,
    Protection,
    RpcError,
    SecurityPolicy,
    StatusCode,
    TicketCache,
)
from signetrpc.transport import (
    AccountFile,
    ConnectionClosed,
    IntegrityError,
    Limits,
    SecureStream,
    TransportError,
    connect_stream,
    listen,
)
from signetrpc.transport._frames import HEADER, Frame, FrameType
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import PATIENCE, ServerProcess, connected
from tests.e2e.proxies import Path, Proxy, proxied
from tests.e2e.trial import call
from tests.support.kdc import Kdc
from tests.support.negotiation import ALICE
from tests.support.sessions import frames

MARKER = "ATTACK-AT-DAWN"
NONE, SIGN, SEAL = Protection
UNPROTECTED = SecurityPolicy(minimum_protection=NONE)
# Small, so that a record made longer than it was is soon filled by what follows.
SMALL = Limits(max_record_bytes=4096, max_message_bytes=2048)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["ntlm", "kerberos"])
def place(
    request: pytest.FixtureRequest,
    kerberos_environment: Kdc,
    kerberos_servers: ServerOf,
    ntlm_servers: ServerOf,
    anyio_backend: str,
) -> tuple[str, ClientCredentials]:
    """A server's address and what to log in to it with."""
    if request.param == "ntlm":
        return ntlm_servers(anyio_backend).address, ALICE
    tickets = TicketCache(kerberos_environment.kinit("alice"))
    return kerberos_servers(anyio_backend).address, tickets


def records(path: Path) -> list[Frame]:
    """Return the records that were sent; a FINISHED may have come before them."""
    found = frames(bytes(path.recorded))
    return [frame for frame in found if frame.kind is FrameType.RECORD]


async def test_the_marker_shows_where_it_was_declared_to(
    place: tuple[str, ClientCredentials],
) -> None:
    address, credentials = place
    marker = MARKER.encode()
    async with (
        proxied(address) as proxy,
        connected(
            proxy.address, credentials=credentials, policy=UNPROTECTED
        ) as channel,
    ):
        paths = (proxy.to_server, proxy.to_client)
        for name, level in (("plain", NONE), ("signed", SIGN), ("sealed", SEAL)):
            for path in paths:
                path.recorded.clear()
            assert await call(channel, name, text=MARKER) == MARKER
            for path in paths:
                assert [record.level for record in records(path)] == [level]
                assert (marker in path.recorded) is (level is not SEAL)


async def test_a_call_can_be_sealed_that_needs_it_not(
    place: tuple[str, ClientCredentials],
) -> None:
    address, credentials = place
    async with (
        proxied(address) as proxy,
        connected(proxy.address, credentials=credentials) as channel,
    ):
        await call(channel, "plain", text=MARKER, protection=SEAL)
        for path in (proxy.to_server, proxy.to_client):
            assert MARKER.encode() not in path.recorded


async def test_neither_arguments_nor_errors_of_sealed_calls_show(
    place: tuple[str, ClientCredentials],
) -> None:
    address, credentials = place
    async with (
        proxied(address) as proxy,
        connected(proxy.address, credentials=credentials) as channel,
    ):
        large = (MARKER * 20_000).encode()
        assert await call(channel, "length", data=large) == len(large)
        with pytest.raises(RpcError):
            await call(channel, "fail", secret=MARKER, protection=SEAL)
        assert len(proxy.to_server.recorded) > len(large)
        for path in (proxy.to_server, proxy.to_client):
            assert MARKER.encode() not in path.recorded


# One changed bit.


class Mirror:
    """A listener that sends back what it gets, and says how connections end."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.error: TransportError | None = None
        self.ended = anyio.Event()

    async def handle(self, stream: SecureStream) -> None:
        try:
            while True:
                message = await stream.receive()
                self.received.append(message.data)
                await stream.send(message.data, message.protection)
        except TransportError as error:
            self.error = error
        finally:
            self.ended.set()


@asynccontextmanager
async def mirrored(
    accounts: str, level: Protection
) -> AsyncGenerator[tuple[Mirror, SecureStream, Proxy]]:
    """Give a mirror, a stream to it, and the proxy between them."""
    mirror = Mirror()
    with anyio.fail_after(PATIENCE):
        listener = await listen(
            "tcp://127.0.0.1:0", accept=[AccountFile(accounts)], limits=SMALL
        )
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, mirror.handle)
            async with proxied(str(listener.address)) as proxy:
                stream = await connect_stream(
                    proxy.address, credentials=ALICE, protection=level, limits=SMALL
                )
                async with stream:
                    yield mirror, stream, proxy
                group.cancel_scope.cancel()


def flipping(bit: int, data: bytes) -> bytes:
    """Return `data` with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Once:
    """Changes one bit of the first chunk and sends the others as they are."""

    def __init__(self, bit: int) -> None:
        self._bit: int | None = bit

    def __call__(self, data: bytes) -> tuple[bytes]:
        bit, self._bit = self._bit, None
        return (data if bit is None else flipping(bit, data),)


async def record_bits(accounts: str, level: Protection) -> int:
    """Return the number of bits of the record with the marker."""
    async with mirrored(accounts, level) as (_, stream, proxy):
        proxy.to_server.recorded.clear()
        await stream.send(MARKER.encode())
        assert (await stream.receive()).data == MARKER.encode()
        (record,) = records(proxy.to_server)
        return len(record.encoded) * 8


def sample(bits: int) -> list[int]:
    """Return bits of each part: some of the header, and each 41st of the body."""
    header = HEADER.size * 8
    # Type, level, reserved, and the length's highest and lowest.
    return [0, 7, 8, 9, 16, 31, 32, 39, 48, 56, 63, *range(header, bits, 41), bits - 1]


async def fill(stream: SecureStream) -> None:
    """Send so much that a record made longer is complete."""
    try:
        for _ in range(4):
            await stream.send(bytes(SMALL.max_message_bytes - 1024))
    except TransportError:
        pass  # the other end has given up, as it should


@pytest.mark.parametrize("level", [SIGN, SEAL])
async def test_a_changed_bit_on_the_way_to_the_server(
    accounts: str, level: Protection
) -> None:
    for bit in sample(await record_bits(accounts, level)):
        async with mirrored(accounts, level) as (mirror, stream, proxy):
            proxy.to_server.change = Once(bit)
            await stream.send(MARKER.encode())
            await fill(stream)
            await mirror.ended.wait()
            assert type(mirror.error) is IntegrityError, bit
            assert mirror.received == [], bit


@pytest.mark.parametrize("level", [SIGN, SEAL])
async def test_a_changed_bit_on_the_way_to_the_client(
    accounts: str, level: Protection
) -> None:
    for bit in sample(await record_bits(accounts, level)):
        async with mirrored(accounts, level) as (_, stream, proxy):
            proxy.to_client.change = Once(bit)
            await stream.send(MARKER.encode())
            await fill(stream)
            with pytest.raises(IntegrityError):
                await stream.receive()
            # For good.
            with pytest.raises(IntegrityError):
                await stream.receive()


@pytest.mark.parametrize("level", [SIGN, SEAL])
async def test_a_lengthened_record_at_the_end_is_a_truncation(
    accounts: str, level: Protection
) -> None:
    async with mirrored(accounts, level) as (mirror, stream, proxy):
        proxy.to_server.change = Once(48)  # 256 bytes more, which CLOSE cannot fill
        await stream.send(MARKER.encode())
        await stream.aclose()
        await mirror.ended.wait()
        assert isinstance(mirror.error, ConnectionClosed)
        assert not mirror.error.clean
        assert "into a frame" in mirror.error.cause
        assert mirror.received == []


async def test_a_changed_bit_ends_the_connection_of_the_calls(
    server: ServerProcess,
) -> None:
    for to_server in (True, False):
        async with (
            proxied(server.address) as proxy,
            connected(proxy.address) as channel,
        ):
            assert await call(channel, "signed", text=MARKER) == MARKER
            path = proxy.to_server if to_server else proxy.to_client
            path.change = Once((HEADER.size + 2) * 8)
            with pytest.raises(RpcError) as caught:
                await call(channel, "sealed", text=MARKER)
            assert caught.value.status is StatusCode.UNAVAILABLE
            # The next call finds a new connection.
            assert await call(channel, "sealed", text=MARKER) == MARKER
