"""While a body of 100 MiB is on its way, small calls go past it on the connection."""

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from signetrpc.rpc import Channel, SecurityPolicy, connect
from tests.e2e.processes import PATIENCE, ServerProcess
from tests.e2e.trial import call
from tests.support.negotiation import ALICE

pytestmark = pytest.mark.anyio

LARGE = 100 * 1024 * 1024
LIMIT = LARGE + 1024
SMALL = 10
"""So many small calls end before the large one, and more."""


@pytest.fixture
def server(accounts: str, anyio_backend: str) -> Iterator[ServerProcess]:
    with ServerProcess(
        flavour=anyio_backend, accounts=accounts, server={"max_body_bytes": LIMIT}
    ) as server:
        yield server


async def there(channel: Channel) -> int:
    """Send it."""
    length: int = await call(channel, "length", data=bytes(LARGE))
    return length


async def back(channel: Channel) -> int:
    """Have it sent."""
    return len(await call(channel, "blob", size=LARGE))


@pytest.mark.parametrize("suite", ["aes256gcm", "gss"])
@pytest.mark.parametrize("large", [there, back])
async def test_a_small_call_overtakes_a_large_one(
    server: ServerProcess, large: Any, suite: str
) -> None:
    ended = 0
    over = anyio.Event()
    with anyio.fail_after(PATIENCE):
        async with connect(
            server.address,
            credentials=ALICE,
            policy=SecurityPolicy(suites=(suite,)),
            max_body_bytes=LIMIT,
        ) as channel:

            async def bulk() -> None:
                assert await large(channel) == LARGE
                over.set()

            async with anyio.create_task_group() as group:
                group.start_soon(bulk)
                while not over.is_set():
                    assert await call(channel, "signed", text="x") == "x"
                    ended += 1
    # One that waited for the large one would be the only one.
    assert ended > SMALL
