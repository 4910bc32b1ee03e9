"""One side is killed in the middle of calls: the other side notices and goes on."""

import tempfile
from contextlib import ExitStack
from itertools import count

import anyio
import pytest

from signetrpc.rpc import Channel, RpcError, StatusCode
from tests.e2e.processes import ServerProcess, connected, start_module
from tests.e2e.proxies import proxied
from tests.e2e.trial import call

pytestmark = pytest.mark.anyio

_keys = count()


async def statuses_of(channel: Channel, calls: int, *, key: str) -> list[StatusCode]:
    """Make calls that never return, and return how they end."""
    ends: list[StatusCode] = []

    async def hold(number: int) -> None:
        with pytest.raises(RpcError) as caught:
            await call(channel, "hold", key=f"{key}{number}")
        ends.append(caught.value.status)

    async with anyio.create_task_group() as group:
        for number in range(calls):
            group.start_soon(hold, number)
    return ends


async def test_a_client_that_is_killed(server: ServerProcess) -> None:
    key = f"killed {next(_keys)} "
    with tempfile.TemporaryFile("w+") as errors:
        client = start_module(
            "tests.e2e.holding", server.address, key, "5", env=None, errors=errors
        )
        async with connected(server.address) as channel:
            for number in range(5):
                await call(channel, "until", event=f"held {key}{number}")
            client.kill()
            # Its handlers are cancelled, all of them.
            for number in range(5):
                await call(channel, "until", event=f"dropped {key}{number}")
        client.communicate()


async def test_a_client_that_closes(server: ServerProcess) -> None:
    key = f"closes {next(_keys)} "
    ends: list[StatusCode] = []
    async with connected(server.address) as observer:
        async with anyio.create_task_group() as group:
            async with connected(server.address) as channel:

                async def hold() -> None:
                    ends.extend(await statuses_of(channel, 5, key=key))

                group.start_soon(hold)
                for number in range(5):
                    await call(observer, "until", event=f"held {key}{number}")
        assert ends == [StatusCode.UNAVAILABLE] * 5
        for number in range(5):
            await call(observer, "until", event=f"dropped {key}{number}")


async def test_a_server_that_is_killed(accounts: str, anyio_backend: str) -> None:
    with ServerProcess(flavour=anyio_backend, accounts=accounts) as server:
        async with connected(server.address) as channel:

            async def kill() -> None:
                for number in range(20):
                    await call(channel, "until", event=f"held x{number}")
                server.kill()

            ends: list[StatusCode] = []
            async with anyio.create_task_group() as group:
                group.start_soon(kill)
                ends += await statuses_of(channel, 20, key="x")
            assert ends == [StatusCode.UNAVAILABLE] * 20


async def test_a_server_that_stops(accounts: str, anyio_backend: str) -> None:
    with ServerProcess(flavour=anyio_backend, accounts=accounts) as server:
        async with connected(server.address) as channel:

            async def stop() -> None:
                for number in range(20):
                    await call(channel, "until", event=f"held x{number}")
                await anyio.to_thread.run_sync(server.stop)

            ends: list[StatusCode] = []
            async with anyio.create_task_group() as group:
                group.start_soon(stop)
                ends += await statuses_of(channel, 20, key="x")
            # As its handlers end, so do the calls; or with the connection.
            expected = {StatusCode.CANCELLED, StatusCode.UNAVAILABLE}
            assert len(ends) == 20 and set(ends) <= expected


async def test_the_channel_finds_the_server_that_comes_back(
    accounts: str, anyio_backend: str
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(
            ServerProcess(flavour=anyio_backend, accounts=accounts)
        )
        async with connected(first.address) as channel:
            before = await call(channel, "pid")
            first.kill()
            stack.enter_context(
                ServerProcess(
                    flavour=anyio_backend, accounts=accounts, target=first.address
                )
            )
            # Whoever finds the connection gone opens another.  The first call may be
            # the one that finds out.
            try:
                after = await call(channel, "pid")
            except RpcError as error:
                assert error.status is StatusCode.UNAVAILABLE
                after = await call(channel, "pid")
            assert after != before


async def test_a_server_that_stays_away_is_left_alone(
    accounts: str, anyio_backend: str
) -> None:
    with ServerProcess(flavour=anyio_backend, accounts=accounts) as server:
        async with connected(server.address) as channel:
            async with anyio.create_task_group() as group:

                async def kill() -> None:
                    await call(channel, "until", event="held x0")
                    server.kill()

                group.start_soon(kill)
                assert await statuses_of(channel, 1, key="x") == [
                    StatusCode.UNAVAILABLE
                ]
            for text in ("refused", "refused; next attempt in"):
                with pytest.raises(RpcError, match=text) as caught:
                    await call(channel, "pid")
                assert caught.value.status is StatusCode.UNAVAILABLE


async def test_many_calls_share_one_reconnection(
    server: ServerProcess,
) -> None:
    async with proxied(server.address) as proxy, connected(proxy.address) as channel:
        pid = await call(channel, "pid")
        proxy.drop()
        answers: list[int] = []

        async def ask() -> None:
            try:
                answers.append(await call(channel, "pid"))
            except RpcError as error:
                assert error.status is StatusCode.UNAVAILABLE
                answers.append(await call(channel, "pid"))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask)
        assert answers == [pid] * 50
        assert proxy.connections == 2
