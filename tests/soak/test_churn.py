"""Connections that come and go in every way, for as long as `scripts/soak` says.

What the server's process holds afterwards is what it held at the start.
"""

import random
import socket
from struct import pack

import anyio
import pytest

from signetrpc.rpc import Password, RpcError
from signetrpc.transport import AuthenticationFailed, connect_stream
from tests.e2e.processes import FLAVOURS, ServerProcess, connected
from tests.e2e.trial import Stats, call
from tests.support.negotiation import ALICE, account_file
from tests.support.scale import scaled
from tests.support.sessions import hello_of

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

MEBIBYTE = 1024 * 1024
ROUNDS = 25_000
AT_ONCE = 8


async def call_and_go(address: str) -> None:
    async with connected(address) as channel:
        assert await call(channel, "sealed", text="x") == "x"
        assert len(await call(channel, "blob", size=100_000)) == 100_000


async def vanish_in_a_call(address: str) -> None:
    stream = await connect_stream(address, credentials=ALICE)
    await stream.send(b"\x97\x01")  # no call message: the server ends it
    stream._pipe.abort()  # pyright: ignore[reportPrivateUsage]


async def leave_with_calls_under_way(address: str) -> None:
    async with connected(address) as channel, anyio.create_task_group() as group:

        async def hold(key: str) -> None:
            await call(channel, "hold", key=key)

        for number in range(5):
            group.start_soon(hold, f"churn {number}")
        await call(channel, "signed", text="x")
        group.cancel_scope.cancel()


async def fail(address: str) -> None:
    async with connected(address) as channel:
        for name in ("fail", "fail_in_thread", "fail_inline"):
            with pytest.raises(RpcError):
                await call(channel, name, secret="x")


async def with_a_wrong_password(address: str) -> None:
    with pytest.raises(AuthenticationFailed):
        async with connected(address, credentials=Password(r"CORP\alice", "wrong")):
            raise AssertionError("let in")


async def cancelled_while_connecting(address: str, chance: random.Random) -> None:
    with anyio.move_on_after(chance.random() * 0.01):
        async with connected(address):
            pass


def knock(address: str, chance: random.Random) -> None:
    """Come without an idea of the protocol, and go with or without a word."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host, int(port))) as sock:
        hello = hello_of(protocol="ntlm")
        sock.sendall(chance.choice([b"", hello, hello[:20], b"\xff" * 100]))
        if chance.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))


async def churn(address: str, rounds: int, chance: random.Random) -> None:
    """Do each of these, in an order of chance, several at once."""
    remaining = iter(range(rounds))

    async def worker() -> None:
        for _ in remaining:
            match chance.randrange(7):
                case 0:
                    await call_and_go(address)
                case 1:
                    await vanish_in_a_call(address)
                case 2:
                    await leave_with_calls_under_way(address)
                case 3:
                    await fail(address)
                case 4:
                    await with_a_wrong_password(address)
                case 5:
                    await cancelled_while_connecting(address, chance)
                case _:
                    knock(address, chance)

    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(worker)


async def held(address: str, descriptors: int) -> Stats:
    """Return what the server holds once it has no more than so many descriptors."""
    async with connected(address) as channel:
        stats: Stats = await call(channel, "quiet", descriptors=descriptors)
        return stats


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_connections_come_and_go(
    tmp_path_factory: pytest.TempPathFactory, flavour: str
) -> None:
    accounts = str(account_file(tmp_path_factory.mktemp("churn")).path)
    chance = random.Random(7420)
    with ServerProcess(flavour=flavour, accounts=accounts) as server:
        start = await held(server.address, 1_000)
        # The first of each kind brings in code and fills caches.
        await churn(server.address, 100, chance)
        warm = await held(server.address, start.descriptors)
        await churn(server.address, scaled(ROUNDS), chance)
        end = await held(server.address, start.descriptors)
        assert end.threads <= warm.threads + 40
        assert end.resident_bytes - warm.resident_bytes < 32 * MEBIBYTE
