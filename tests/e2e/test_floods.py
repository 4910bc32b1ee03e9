"""Clients that flood a server, each within its own connection and the rules.

Whatever they send, others are served meanwhile, and when they have gone nothing of it
stays: no task, no descriptor, no memory to speak of.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import anyio
import pytest

from signetrpc.rpc import Channel, Protection
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    encode_call,
    encode_cancel,
    encode_credit,
    encode_item,
    encode_part,
)
from signetrpc.transport import ConnectionClosed, SecureStream, connect_stream
from tests.e2e.conftest import ServerOf
from tests.e2e.ledger import held_by, no_more
from tests.e2e.processes import PATIENCE, connected
from tests.e2e.trial import call
from tests.support.negotiation import ALICE

pytestmark = pytest.mark.anyio

MANY = 3000
PIECE = bytes(60_000)
NOTED = {"entry": {"journal": "/dev/null", "key": "flood"}}


def begin(
    call_id: int,
    method: str,
    *,
    timeout: float | None = None,
    more: bool = False,
    **arguments: object,
) -> bytes:
    body = encode_value(NOTED | arguments)
    name = encode_value(f"e2e.Ledger/{method}")
    return encode_call(call_id, name, timeout, b"\xc0", body, more)


def given_up() -> Iterator[bytes]:
    for number in range(1, MANY):
        yield begin(number, "give", count=1 << 40, size=10)
        yield encode_cancel(number)


def given_up_while_it_works() -> Iterator[bytes]:
    for number in range(1, MANY):
        yield begin(number, "give", count=1 << 40, size=10)
        if number > 20:
            yield encode_cancel(number - 20)


def out_of_time() -> Iterator[bytes]:
    for number in range(1, MANY):
        yield begin(number, "give", timeout=0.0, count=1 << 40, size=10)


def in_threads() -> Iterator[bytes]:
    for number in range(1, MANY // 10):
        yield begin(number, "give_in_thread", count=1 << 40, size=10)
        yield encode_cancel(number)


def unknown() -> Iterator[bytes]:
    for number in range(1, MANY):
        yield begin(number, "\x1b[2J" + "\U000e0041" * 100)


def half_sent() -> Iterator[bytes]:
    for number in range(1, 150):
        yield begin(number, "digest", more=True, data=PIECE)


def half_items() -> Iterator[bytes]:
    for number in range(1, 150):
        yield begin(number, "gather")
        yield encode_item(number, PIECE, True)
        for _ in range(2):
            yield encode_part(number, PIECE[:1000], True)


def half_items_for_ever() -> Iterator[bytes]:
    yield begin(1, "gather")
    yield encode_item(1, b"\xc4", True)
    for _ in range(MANY):
        yield encode_part(1, b"", True)


def unread() -> Iterator[bytes]:
    """Items that come back, where the connection's window is soon used up."""
    for number in range(1, 60):
        yield begin(number, "echo")
        for _ in range(4):
            yield encode_item(number, encode_value(PIECE))


def credit() -> Iterator[bytes]:
    yield begin(1, "gather")
    for _ in range(MANY):
        yield encode_credit(0, 1)
        yield encode_credit(1, 1)


def ended() -> Iterator[bytes]:
    yield begin(1, "gather")
    yield encode_cancel(1)
    for _ in range(MANY):
        yield encode_part(1, b"x", True)
        yield encode_item(1, b"x")
        yield encode_cancel(1)


FLOODS: list[Callable[[], Iterator[bytes]]] = [
    given_up,
    given_up_while_it_works,
    out_of_time,
    in_threads,
    unknown,
    half_sent,
    half_items,
    half_items_for_ever,
    unread,
    credit,
    ended,
]


@pytest.fixture
def anyio_backend() -> str:
    """It is the server's event loop that matters here, and that is `flavour`."""
    return "asyncio"


async def read_bytes(stream: SecureStream) -> None:
    """Take what comes and do nothing about it: no credit, no PONG."""
    pipe = stream._pipe  # pyright: ignore[reportPrivateUsage]
    try:
        while await pipe.receive():
            pass
    except ConnectionClosed:
        pass


async def flood(address: str, messages: Iterator[bytes], done: anyio.Event) -> None:
    stream = await connect_stream(address, credentials=ALICE)
    pipe = stream._pipe  # pyright: ignore[reportPrivateUsage]
    session = stream._session  # pyright: ignore[reportPrivateUsage]
    async with anyio.create_task_group() as group:
        group.start_soon(read_bytes, stream)
        while some := list(islice(messages, 500)):
            for message in some:
                session.send(message, Protection.SEAL)
            pipe.write(session.data_to_send())
            await pipe.drain()
        await done.wait()
        group.cancel_scope.cancel()
    pipe.abort()
    await pipe.aclose()


async def served(channel: Channel, calls: int) -> None:
    for number in range(calls):
        assert await call(channel, "square", number=number, turns=1) == number * number


@pytest.mark.parametrize("made", FLOODS, ids=lambda made: made.__name__)
async def test_a_flood(
    ntlm_servers: ServerOf, flavour: str, made: Callable[[], Iterator[bytes]]
) -> None:
    server = ntlm_servers(flavour)
    with anyio.fail_after(PATIENCE):
        async with connected(server.address) as observer:
            await served(observer, 1)
            before = await held_by(observer)
            done = anyio.Event()
            async with anyio.create_task_group() as group:
                group.start_soon(flood, server.address, made(), done)
                await served(observer, 50)
                done.set()
            no_more(await held_by(observer, at_most=before), before)
            await served(observer, 1)
