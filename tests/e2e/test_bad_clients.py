"""Clients that send nonsense, stop halfway, or say nothing: the server goes on.

Each handshake has one second, so that nothing here takes longer.
"""

import socket
import time
from collections.abc import Iterator
from struct import pack

import anyio
import pytest

from signetrpc.rpc import Password
from signetrpc.transport import (
    AuthenticationFailed,
    ConnectionClosed,
    HandshakeError,
    TransportError,
)
from signetrpc.transport._frames import FrameType, encode_frame
from tests.e2e.processes import PATIENCE, ServerProcess, connected
from tests.e2e.trial import Stats, call
from tests.support.negotiation import ALICE, initiator
from tests.support.sessions import frames, hello_of

SECONDS = 1.0
MEBIBYTE = 1024 * 1024

HELLO = hello_of(protocol="ntlm", target="", suites=["gss"])
HUGE_TOKEN = pack(">BBHI", FrameType.TOKEN, 0, 0, MEBIBYTE)

# Whoever sends these gets an answer or the end of the connection at once.
NONSENSE = {
    "garbage": b"\xff\x17\x99garbage" * 20,
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "a huge length": pack(">BBHI", FrameType.HELLO, 0, 0, 0xFFFFFFFF),
    "a token of 1 MiB": HELLO + HUGE_TOKEN + bytes(MEBIBYTE),
    "a token first": encode_frame(FrameType.TOKEN, 0, b"NTLMSSP\0" + bytes(40)),
    "a record first": encode_frame(FrameType.RECORD, 2, bytes(100)),
    "HELLO that is no map": encode_frame(FrameType.HELLO, 0, b"\xc1" * 30),
    "HELLO twice": HELLO + HELLO,
    "a token that is none": HELLO + encode_frame(FrameType.TOKEN, 0, b"x" * 500),
    "REJECT": encode_frame(FrameType.REJECT, 0, b"\x04"),
    "REJECT of nothing": HELLO + encode_frame(FrameType.REJECT, 0, b""),
}

# Whoever sends these and waits is sent away when the handshake's time is over.
UNFINISHED = {
    "nothing": b"",
    "half a header": b"\x01\x00\x00",
    "half a HELLO": HELLO[: len(HELLO) // 2],
    "HELLO alone": HELLO,
    "a token's beginning": HELLO + pack(">BBHI", FrameType.TOKEN, 0, 0, 5000),
}

pytestmark = pytest.mark.anyio


def negotiate_token() -> bytes:
    token = initiator(ALICE).step(None)
    assert token is not None
    return token


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def server(request: pytest.FixtureRequest, accounts: str) -> Iterator[ServerProcess]:
    """A server that gives a handshake one second."""
    with ServerProcess(
        flavour=request.param, accounts=accounts, handshake_seconds=SECONDS
    ) as running:
        yield running


def answer_to(port: int, data: bytes) -> bytes:
    """Send bytes as a client and return all that comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        received = bytearray()
        try:
            sock.sendall(data)
            while piece := sock.recv(65536):
                received += piece
        except ConnectionError:
            pass  # closed before it had read everything
        return bytes(received)


def check_refusal(answer: bytes) -> None:
    """Check that the last thing a server said is REJECT, if it said anything."""
    said = [frame.kind for frame in frames(answer)]
    assert FrameType.FINISHED not in said
    assert FrameType.RECORD not in said
    if said:
        assert said[-1] is FrameType.REJECT


async def serves(server: ServerProcess) -> Stats:
    """Check that the server serves the next client, and return what it holds."""
    async with connected(server.address) as channel:
        assert await call(channel, "sealed", text="next") == "next"
        stats: Stats = await call(channel, "stats")
        return stats


@pytest.mark.parametrize("kind", NONSENSE)
async def test_nonsense_from_a_client(server: ServerProcess, kind: str) -> None:
    answer = answer_to(server.port, NONSENSE[kind])
    if "REJECT" in kind:
        assert answer == b""  # it is not answered
    else:
        check_refusal(answer)
    await serves(server)


async def test_clients_that_stop_halfway_and_wait(server: ServerProcess) -> None:
    token = encode_frame(FrameType.TOKEN, 0, negotiate_token())
    unfinished = [*UNFINISHED.values(), HELLO + token]
    start = time.monotonic()
    answers: list[bytes] = []
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def wait_for_the_end(data: bytes) -> None:
                answers.append(
                    await anyio.to_thread.run_sync(answer_to, server.port, data)
                )

            for data in unfinished:
                group.start_soon(wait_for_the_end, data)
            # Meanwhile others are served.
            await serves(server)
    # All at once, so one deadline and the lingering of one close.
    assert time.monotonic() - start >= SECONDS
    for answer in answers:
        check_refusal(answer)
        assert frames(answer)[-1].body == b"\x09"  # TIMEOUT
    await serves(server)


async def test_clients_that_stop_halfway_and_go(server: ServerProcess) -> None:
    for data in UNFINISHED.values():
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(data)
        # And one that resets the connection.
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
            sock.sendall(data)
    await serves(server)


async def test_nothing_stays_of_many_of_them(server: ServerProcess) -> None:
    async with connected(server.address) as channel:
        before = await call(channel, "stats")
        rounds = 3
        for number in range(rounds + 1):
            for data in NONSENSE.values():
                answer_to(server.port, data)
            for data in UNFINISHED.values():
                with socket.create_connection(("127.0.0.1", server.port)) as sock:
                    sock.sendall(data)
            if not number:  # the first of each kind brings in code and caches
                before = await call(
                    channel, "quiet", descriptors=before.descriptors + 1
                )
        after = await call(channel, "quiet", descriptors=before.descriptors)
        grown = after.resident_bytes - before.resident_bytes
        assert grown < 8 * MEBIBYTE


async def test_what_a_stranger_sends_ahead_is_not_kept(server: ServerProcess) -> None:
    """Sixteen strangers send 8 MiB each: little of it is taken."""
    flood = HELLO + encode_frame(FrameType.TOKEN, 0, negotiate_token())
    async with connected(server.address) as channel:
        before = await call(channel, "stats")
        for _ in range(16):
            answer_to(server.port, flood + bytes(8 * MEBIBYTE))
        after = await call(channel, "stats")
        assert after.resident_bytes - before.resident_bytes < 16 * MEBIBYTE
    await serves(server)


async def test_whoever_fails_again_and_again_has_to_wait(
    accounts: str, anyio_backend: str
) -> None:
    wrong = Password(r"CORP\alice", "wrong")
    with ServerProcess(flavour=anyio_backend, accounts=accounts, failures=3) as own:
        async with connected(own.address) as channel:
            # A failure counts when its connection has closed, which may be just after
            # the next one came in; so it can take one more than three.
            failed = 0
            while True:
                with pytest.raises(TransportError) as caught:
                    async with connected(own.address, credentials=wrong):
                        raise AssertionError("let in")
                if isinstance(caught.value, AuthenticationFailed):
                    failed += 1
                elif isinstance(caught.value, HandshakeError):
                    break
                else:
                    # Nobody reads what a refused client says, and that can reset the
                    # connection before the client has read why.
                    assert isinstance(caught.value, ConnectionClosed)
            assert failed >= 3
            assert "too many failures" in str(caught.value)
            # Who is in already is not touched.
            assert await call(channel, "sealed", text="x") == "x"
            await door_opens(own.address)
        assert " failed handshakes in a row; " in own.log()


async def door_opens(address: str) -> None:
    """Return once somebody with the right password has been let in."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                async with connected(address) as channel:
                    assert await call(channel, "sealed", text="x") == "x"
                    return
            except (HandshakeError, ConnectionClosed):
                continue
