"""Where the server and the client draw the line, and that the error names it."""

from itertools import count
from typing import Any

import anyio
import pytest

from signetrpc.rpc import Channel, DeadlineExceeded, RpcError, StatusCode, connect
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import ServerProcess, connected
from tests.e2e.trial import call
from tests.support.negotiation import ALICE

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024
LIMIT = 4 * MEBIBYTE

_keys = count()


async def exhausted(channel: Channel, name: str, **arguments: Any) -> str:
    """Return the message of a call that must end with RESOURCE_EXHAUSTED."""
    with pytest.raises(RpcError) as caught:
        await call(channel, name, **arguments)
    assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
    return caught.value.message


# Bodies.


async def test_bodies_of_four_mebibytes(ntlm_servers: ServerOf, flavour: str) -> None:
    async with connected(ntlm_servers(flavour).address) as channel:
        most = LIMIT - 100  # a body holds the argument's name and length too
        assert await call(channel, "length", data=bytes(most)) == most
        assert len(await call(channel, "blob", size=most)) == most
        assert await call(channel, "signed", text="x") == "x"


async def test_bodies_at_once(server: ServerProcess) -> None:
    async with connected(server.address) as channel:
        sizes: list[int] = []

        async def there(size: int) -> None:
            sizes.append(await call(channel, "length", data=bytes(size)))

        async def back(size: int) -> None:
            sizes.append(len(await call(channel, "blob", size=size)))

        given = [number * 100_001 for number in range(1, 20)]
        async with anyio.create_task_group() as group:
            for size in given:
                group.start_soon(there, size)
                group.start_soon(back, size)
        assert sorted(sizes) == sorted(given * 2)


async def test_arguments_that_are_too_long(server: ServerProcess) -> None:
    async with connected(server.address) as channel:
        message = await exhausted(channel, "length", data=bytes(LIMIT))
        assert message.startswith("arguments of ")
        assert message.endswith(f" bytes, limit {LIMIT}")
        assert await call(channel, "signed", text="x") == "x"


async def test_a_reply_that_is_too_long(server: ServerProcess) -> None:
    async with connected(server.address) as channel:
        for name in ("blob", "blob_inline"):
            message = await exhausted(channel, name, size=LIMIT)
            assert message.startswith("reply of ")
            assert message.endswith(f" bytes, limit {LIMIT}")
            assert await call(channel, "signed", text="x") == "x"


async def test_each_end_has_its_own_limit(accounts: str, anyio_backend: str) -> None:
    with ServerProcess(
        flavour=anyio_backend,
        accounts=accounts,
        server={"max_body_bytes": MEBIBYTE},
    ) as server:
        async with connected(server.address) as channel:
            message = await exhausted(channel, "length", data=bytes(2 * MEBIBYTE))
            assert message.startswith("arguments of ")
            assert message.endswith(f", limit {MEBIBYTE}")
            message = await exhausted(channel, "blob", size=2 * MEBIBYTE)
            assert message.endswith(f", limit {MEBIBYTE}")
        async with connect(
            server.address, credentials=ALICE, max_body_bytes=100_000
        ) as channel:
            message = await exhausted(channel, "blob", size=MEBIBYTE // 2)
            assert message.startswith("reply of ")
            assert message.endswith(", limit 100000")
            assert await call(channel, "signed", text="x") == "x"


# Calls.


async def test_calls_under_way_at_once(accounts: str, anyio_backend: str) -> None:
    with ServerProcess(
        flavour=anyio_backend, accounts=accounts, server={"max_calls": 5}
    ) as server:
        async with (
            connected(server.address) as observer,
            connected(server.address) as channel,
            anyio.create_task_group() as group,
        ):
            scopes: list[anyio.CancelScope] = []

            async def hold(number: int) -> None:
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    await call(channel, "hold", key=f"{number}")

            for number in range(5):
                group.start_soon(hold, number)
            for number in range(5):
                await call(observer, "until", event=f"held {number}")
            message = await exhausted(channel, "signed", text="x")
            assert message == "5 calls under way on this connection, limit 5"
            # Others have their own.
            assert await call(observer, "signed", text="x") == "x"
            scopes.pop().cancel()
            while len(scopes) == 4:
                try:
                    assert await call(channel, "signed", text="x") == "x"
                    break
                except RpcError as error:  # it has yet to hear of it
                    assert error.status is StatusCode.RESOURCE_EXHAUSTED
            group.cancel_scope.cancel()


async def test_calls_that_are_cancelled_do_not_pile_up(
    accounts: str, anyio_backend: str
) -> None:
    """A thread cannot be cancelled; what waits for one can, and never runs."""
    with ServerProcess(
        flavour=anyio_backend,
        accounts=accounts,
        server={"max_calls": 20, "max_threads": 4},
    ) as server:
        async with connected(server.address) as channel:
            for _ in range(40):
                with pytest.raises(DeadlineExceeded):
                    await call(channel, "block", key="all", timeout=0.02)
            assert await call(channel, "release", key="all", at=4) == 4
            assert await call(channel, "square_in_thread", number=3) == 9
            assert await call(channel, "ran") == 4
