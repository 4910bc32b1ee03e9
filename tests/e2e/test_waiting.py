"""Calls that outlive their server, over real sockets, and wait for the next one."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.from_thread import start_blocking_portal

from signetrpc.rpc import (
    Channel,
    Protection,
    RpcError,
    Server,
    StatusCode,
    connect,
    connect_blocking,
    method,
    service,
)
from tests.e2e.processes import PATIENCE
from tests.support.kinds import of
from tests.support.negotiation import ACCOUNTS, ALICE, account_file


@service("test.Here", protection=Protection.SIGN)
class Here:
    """Says which of the servers it is."""

    def __init__(self, number: int) -> None:
        self.number = number

    @method
    async def which(self) -> int:
        """The server's number."""
        return self.number

    @method
    async def which_each(self) -> AsyncIterator[int]:
        """The same, as a stream."""
        yield self.number


WHICH: Any = of("which", Here)
EACH: Any = of("which_each", Here)


class Stop:
    """Ends a server, and tells when nobody listens any more."""

    def __init__(self, scope: anyio.CancelScope, over: anyio.Event) -> None:
        self._scope = scope
        self._over = over

    async def __call__(self) -> None:
        """End it."""
        self._scope.cancel()
        await self._over.wait()


async def serve(
    number: int,
    address: str,
    folder: Path,
    accounts: str = ACCOUNTS,
    *,
    task_status: anyio.abc.TaskStatus[Stop],
) -> None:
    """Serve until stopped by what is given."""
    server = Server([Here(number)], accept=[account_file(folder, accounts)])
    over = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(server.serve, address)
        task_status.started(Stop(group.cancel_scope, over))
    over.set()


async def lose(channel: Channel) -> None:
    """Call until the server is seen to be gone."""
    while True:
        try:
            await channel.unary(WHICH, WHICH.arguments(), wait_for_ready=False)
        except RpcError as error:
            assert error.status is StatusCode.UNAVAILABLE
            if "next attempt in" in error.message:
                return


@pytest.mark.anyio
async def test_calls_wait_for_the_next_server(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/socket"
    found: list[int] = []
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            stop = await group.start(serve, 1, address, tmp_path)
            async with connect(address, credentials=ALICE) as channel:
                assert await channel.unary(WHICH, WHICH.arguments()) == 1
                await stop()
                await lose(channel)

                async def unary() -> None:
                    found.append(
                        await channel.unary(
                            WHICH, WHICH.arguments(), wait_for_ready=True
                        )
                    )

                async def stream() -> None:
                    async with channel.server_stream(
                        EACH, EACH.arguments(), wait_for_ready=True
                    ) as items:
                        found.extend([item async for item in items])

                async with anyio.create_task_group() as callers:
                    for _ in range(10):
                        callers.start_soon(unary)
                        callers.start_soon(stream)
                    await group.start(serve, 2, address, tmp_path)
                assert found == [2] * 20
            group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_password_that_is_refused_is_not_shown_again(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/socket"
    changed = ACCOUNTS.replace("Wonder1and", "other")
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            stop = await group.start(serve, 1, address, tmp_path)
            async with connect(
                address, credentials=ALICE, wait_for_ready=True
            ) as channel:
                await stop()
                await lose(channel)
                await group.start(serve, 2, address, tmp_path, changed)
                for said in ("the peer refused the handshake", "next attempt in"):
                    with pytest.raises(RpcError, match=said) as caught:
                        await channel.unary(WHICH, WHICH.arguments())
                    assert caught.value.status is StatusCode.UNAUTHENTICATED
            group.cancel_scope.cancel()


def test_threads_wait_for_the_next_server(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/socket"
    with start_blocking_portal("asyncio") as portal, ThreadPoolExecutor(4) as pool:
        _, stop = portal.start_task(serve, 1, address, tmp_path)
        with connect_blocking(
            address, credentials=ALICE, wait_for_ready=True
        ) as channel:
            portal.call(stop)
            with pytest.raises(RpcError):
                while True:
                    channel.unary(WHICH, WHICH.arguments(), wait_for_ready=False)

            def stream() -> int:
                found: list[int] = list(channel.server_stream(EACH, EACH.arguments()))
                return found[0]

            waiting = [
                *[pool.submit(channel.unary, WHICH, WHICH.arguments()) for _ in "ab"],
                *[pool.submit(stream) for _ in "ab"],
            ]
            _, stop = portal.start_task(serve, 2, address, tmp_path)
            assert [each.result(PATIENCE) for each in waiting] == [2] * 4
        portal.call(stop)
