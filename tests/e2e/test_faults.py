"""Trouble on the way: every call ends, once, with what was asked for or an error."""

import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from signetrpc.rpc import (
    ClientCredentials,
    Protection,
    RpcError,
    StatusCode,
    TicketCache,
)
from signetrpc.rpc._messages import (
    Item,
    Pong,
    Reply,
    Status,
    decode_message,
    encode_call,
    encode_cancel,
    encode_ping,
)
from signetrpc.transport import SecureStream, connect_stream
from tests.e2e.conftest import ServerOf
from tests.e2e.faults import Fault, afflict
from tests.e2e.ledger import Journal, Ledger, held, held_by, no_more
from tests.e2e.processes import PATIENCE, ServerProcess, connected
from tests.e2e.proxies import proxied
from tests.e2e.trouble import AT_ONCE, trouble, way_of
from tests.support.kdc import Kdc
from tests.support.kinds import of
from tests.support.negotiation import ALICE

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def nothing_left(
    address: str, credentials: ClientCredentials, journal: Journal
) -> AsyncGenerator[None]:
    """See that both processes hold afterwards what they held before."""
    async with connected(address, credentials=credentials) as observer:
        for _ in range(2 * AT_ONCE):  # the first bring in code and fill caches
            assert await journal.make(observer) is StatusCode.OK
        there, here = await held_by(observer), held()
        yield
        no_more(await held_by(observer, at_most=there), there)
        no_more(held(), here)
    journal.check()


@pytest.mark.parametrize("fault", [*Fault])
async def test_calls_of_all_kinds(
    ntlm_servers: ServerOf,
    kerberos_servers: ServerOf,
    kerberos_environment: Kdc,
    anyio_backend: str,
    tmp_path: Path,
    fault: Fault,
) -> None:
    mechanism, suite = way_of([*Fault].index(fault), anyio_backend)
    credentials: ClientCredentials = ALICE
    address = ntlm_servers(anyio_backend).address
    if mechanism == "kerberos":
        credentials = TicketCache(kerberos_environment.kinit("alice"))
        address = kerberos_servers(anyio_backend).address
    journal = Journal(tmp_path / "journal", random.Random(7420))
    with anyio.fail_after(2 * PATIENCE):
        async with nothing_left(address, credentials, journal):
            await trouble(address, credentials, journal, fault, suite)


class FlipOnce:
    """Changes one bit of the first chunk to come, or of a later one."""

    def __init__(self, bit: int) -> None:
        self._bit = bit
        self.done = False

    def __call__(self, data: bytes) -> Iterable[bytes]:
        at, bit = divmod(self._bit, 8)
        if self.done or at >= len(data):
            return (data,)
        self.done = True
        return (data[:at], bytes([data[at] ^ (1 << bit)]), data[at + 1 :])


async def one_flip(
    address: str, credentials: ClientCredentials, journal: Journal, bit: int, way: str
) -> tuple[StatusCode, str]:
    """Make a call of whose way there or back one bit is changed."""
    async with (
        proxied(address) as proxy,
        connected(proxy.address, credentials=credentials) as channel,
    ):
        assert await journal.make(channel) is StatusCode.OK
        flip = FlipOnce(bit)
        path = proxy.to_server if way == "there" else proxy.to_client
        path.change = flip
        method: Any = of("digest", Ledger)
        entry = journal.order().entry
        arguments = method.arguments(entry=entry, data=bytes(300))
        with pytest.raises(RpcError) as caught:
            await channel.unary(method, arguments, timeout=1.0)
        assert flip.done
        return caught.value.status, caught.value.message


# The type, the level, a reserved bit and the length of a record's frame; then what is
# in it.
HEADER: Final = (3, 14, 25, 38, 63)
BODY: Final = (64, 100, 333, 520, 700)

FAILS: Final = "RECORD frame of level SIGN fails its check"
SEEN: Final = {
    # The server says nothing to whom it cannot trust.
    "there": "the connection ended: the byte stream ended inside the session",
    "back": f"the connection ended: {FAILS}",
}
"""What the client says of it."""


@pytest.mark.parametrize("way", ["there", "back"])
async def test_one_changed_bit(server: ServerProcess, tmp_path: Path, way: str) -> None:
    journal = Journal(tmp_path / "journal", random.Random(7420))
    for bit in HEADER:
        status, _ = await one_flip(server.address, ALICE, journal, bit, way)
        # A longer frame than was sent is waited for.
        assert status in (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)
    for bit in BODY:
        found = await one_flip(server.address, ALICE, journal, bit, way)
        assert found == (StatusCode.UNAVAILABLE, SEEN[way])
    assert FAILS in server.log()
    journal.check()


@pytest.mark.parametrize("way", ["there", "back"])
async def test_one_changed_bit_over_kerberos(
    kerberos_environment: Kdc,
    kerberos_servers: ServerOf,
    anyio_backend: str,
    tmp_path: Path,
    way: str,
) -> None:
    credentials = TicketCache(kerberos_environment.kinit("alice"))
    server = kerberos_servers(anyio_backend)
    journal = Journal(tmp_path / "journal", random.Random(7420))
    for bit in BODY:
        found = await one_flip(server.address, credentials, journal, bit, way)
        assert found == (StatusCode.UNAVAILABLE, SEEN[way])
    assert FAILS in server.log()
    journal.check()


# Each answered once, whatever is in the way of it.

RACES: Final = 200


async def race(
    stream: SecureStream, journal: Journal, chance: random.Random
) -> set[int]:
    """Make calls that end about when they are given up; return which were not."""
    method = of("give", Ledger)
    recent: list[int] = []
    kept: set[int] = set()
    for number in range(1, RACES + 1):
        arguments = method.arguments(entry=journal.order().entry, count=3, size=500)
        timeout = chance.choice((PATIENCE, 0.01, 0.001))
        body = method.encode_arguments(arguments)
        message = encode_call(number, method.wire_name, timeout, b"\xc0", body)
        await stream.send(message, method.protection)
        recent.append(number)
        kept.add(number)
        if len(recent) > 4 and chance.random() < 0.5:
            given_up = recent.pop(chance.randrange(5))
            kept.remove(given_up)
            await stream.send(encode_cancel(given_up), method.protection)
            recent = recent[-4:]
    return kept


async def read_to_pong(
    stream: SecureStream, ends: Counter[int], heard: anyio.Condition
) -> None:
    """Count how often each call is answered."""
    while True:
        match decode_message((await stream.receive()).data):
            case Item(id=call_id):
                assert not ends[call_id]
            case Reply(id=call_id) | Status(id=call_id):
                ends[call_id] += 1
            case Pong():
                return
            case _:
                pass
        async with heard:
            heard.notify_all()


async def test_no_call_is_answered_twice(server: ServerProcess, tmp_path: Path) -> None:
    chance = random.Random(7420)
    journal = Journal(tmp_path / "journal", chance)
    ends: Counter[int] = Counter()
    heard = anyio.Condition()
    async with connected(server.address) as observer, proxied(server.address) as proxy:
        before = await held_by(observer)
        afflict(proxy, Fault.SPLITS, 7420)
        stream = await connect_stream(proxy.address, credentials=ALICE)
        async with stream, anyio.create_task_group() as group:
            group.start_soon(read_to_pong, stream, ends, heard)
            idle = await held_by(observer)
            kept = await race(stream, journal, chance)
            async with heard:
                while not kept <= {each for each in ends if ends[each]}:
                    await heard.wait()
            # The handlers of those that were given up are over too.
            await held_by(observer, at_most=idle)
            await stream.send(encode_ping(1), Protection.SIGN)
            assert {ends[each] for each in kept} == {1}
        no_more(await held_by(observer, at_most=before), before)
    assert max(ends.values()) == 1
    journal.check()
