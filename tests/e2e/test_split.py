"""However the bytes are cut up on the way, the calls are the same."""

import random
from collections.abc import Iterable

import anyio
import pytest

from signetrpc.rpc import ClientCredentials, Protection, TicketCache
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import ServerProcess, connected
from tests.e2e.proxies import Change, Proxy, proxied
from tests.e2e.trial import call
from tests.support.kdc import Kdc
from tests.support.negotiation import ALICE

pytestmark = pytest.mark.anyio


def one_by_one(data: bytes) -> Iterable[bytes]:
    """Send each byte by itself."""
    return (data[index : index + 1] for index in range(len(data)))


def at_random(seed: int) -> Change:
    """Return a change that cuts at places of chance, the same for one seed."""
    chance = random.Random(seed)

    def cut(data: bytes) -> Iterable[bytes]:
        start = 0
        while start < len(data):
            end = start + chance.choice((1, 2, 7, 8, 9, 100, 4096))
            yield data[start:end]
            start = end

    return cut


def in_lumps(size: int) -> Change:
    """Return a change that holds bytes back until there are `size`, or a frame ends.

    What is held back at the end of a chunk goes with the next one; a chunk shorter
    than `size` goes at once, so that nobody waits for ever.
    """
    held = bytearray()

    def gather(data: bytes) -> Iterable[bytes]:
        held.extend(data)
        if len(data) < size or len(held) >= size:
            yield bytes(held)
            held.clear()

    return gather


def cut_both_ways(proxy: Proxy, first: Change, second: Change) -> None:
    proxy.to_server.change, proxy.to_client.change = first, second


async def exercise(address: str, credentials: ClientCredentials = ALICE) -> None:
    """Make calls of all kinds and check their answers."""
    async with connected(address, credentials=credentials) as channel:
        assert await call(channel, "signed", text="x" * 300) == "x" * 300
        assert await call(channel, "sealed", text="") == ""
        assert await call(channel, "blob", size=3000) == bytes(3000)
        answers: dict[int, int] = {}

        async def square(number: int) -> None:
            level = Protection.SEAL if number % 3 else None
            answers[number] = await call(
                channel, "square", number=number, turns=number % 4, protection=level
            )

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(square, number)
        assert answers == {number: number * number for number in range(20)}


@pytest.mark.parametrize("cut", ["one by one", "at random", "in lumps"])
async def test_calls_over_ntlm(server: ServerProcess, cut: str) -> None:
    async with proxied(server.address) as proxy:
        match cut:
            case "one by one":
                cut_both_ways(proxy, one_by_one, one_by_one)
            case "at random":
                cut_both_ways(proxy, at_random(1), at_random(2))
            case _:
                cut_both_ways(proxy, in_lumps(2000), in_lumps(2000))
        await exercise(proxy.address)


async def test_calls_over_kerberos(
    kerberos_environment: Kdc, kerberos_servers: ServerOf, anyio_backend: str
) -> None:
    credentials = TicketCache(kerberos_environment.kinit("alice"))
    async with proxied(kerberos_servers(anyio_backend).address) as proxy:
        cut_both_ways(proxy, one_by_one, at_random(3))
        await exercise(proxy.address, credentials)


async def test_large_bodies(server: ServerProcess) -> None:
    async with proxied(server.address) as proxy:
        cut_both_ways(proxy, at_random(4), at_random(5))
        async with connected(proxy.address) as channel:
            size = 300_000
            assert await call(channel, "length", data=bytes(size)) == size
            assert len(await call(channel, "blob", size=size)) == size
