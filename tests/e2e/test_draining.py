"""A server that drains over real sockets, and peers that vanish without a word."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from signetrpc.rpc import (
    CancellationCause,
    Channel,
    KeepalivePolicy,
    Protection,
    RpcError,
    Server,
    StatusCode,
    connect,
    current_call,
    method,
    service,
)
from tests.e2e.processes import PATIENCE
from tests.e2e.proxies import proxied
from tests.support.kinds import of
from tests.support.negotiation import ALICE, account_file

pytestmark = pytest.mark.anyio

# Who says nothing for so long is gone.
SHORT = KeepalivePolicy(idle_seconds=0.2, timeout_seconds=0.2)


@service("test.Slow", protection=Protection.SIGN)
class Slow:
    """Calls that go on until the test says."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.go = anyio.Event()
        self.ended = anyio.Event()
        self.causes: list[CancellationCause | None] = []

    @method
    async def now(self) -> int:
        return 1

    @method
    async def wait(self) -> int:
        self.begun.set()
        try:
            await self.go.wait()
        except BaseException:
            self.causes.append(current_call().cancelled_because)
            raise
        finally:
            self.ended.set()
        return 2

    @method
    async def numbers(self) -> AsyncIterator[int]:
        yield 1
        self.begun.set()
        try:
            await self.go.wait()
        except BaseException:
            self.causes.append(current_call().cancelled_because)
            raise
        finally:
            self.ended.set()
        yield 2


async def unary(channel: Channel, name: str) -> int:
    declared: Any = of(name, Slow)
    result: int = await channel.unary(declared, declared.arguments())
    return result


async def stream(channel: Channel, into: list[int]) -> None:
    declared: Any = of("numbers", Slow)
    async with channel.server_stream(declared, declared.arguments()) as items:
        async for item in items:
            into.append(item)


async def serving(
    group: anyio.abc.TaskGroup, folder: Path, slow: Slow, **options: Any
) -> tuple[Server, str, anyio.Event]:
    """Serve; return the server, its address, and what is set when it has ended."""
    server = Server([slow], accept=[account_file(folder)], **options)
    over = anyio.Event()

    async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
        await server.serve("tcp://127.0.0.1:0", task_status=task_status)
        over.set()

    return server, await group.start(serve), over


async def test_calls_finish_and_nobody_new_comes_in(tmp_path: Path) -> None:
    slow = Slow()
    results: list[int] = []
    items: list[int] = []
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            server, address, over = await serving(group, tmp_path, slow)
            async with connect(address, credentials=ALICE) as channel:

                async def wait() -> None:
                    results.append(await unary(channel, "wait"))

                async with anyio.create_task_group() as callers:
                    callers.start_soon(wait)
                    await slow.begun.wait()
                    slow.begun = anyio.Event()
                    callers.start_soon(stream, channel, items)
                    await slow.begun.wait()
                    group.start_soon(partial(server.drain, grace=PATIENCE))
                    # Its new calls go elsewhere, and there is nobody.
                    while True:
                        try:
                            assert await unary(channel, "now") == 1
                        except RpcError as error:
                            assert error.status is StatusCode.UNAVAILABLE
                            break
                    assert server.busy and not over.is_set()
                    slow.go.set()
            await over.wait()
    assert results == [2] and items == [1, 2] and slow.causes == []


async def test_what_is_not_over_in_time_is_cut_off(tmp_path: Path) -> None:
    slow = Slow()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            server, address, over = await serving(group, tmp_path, slow)
            async with connect(address, credentials=ALICE) as channel:
                ends: list[StatusCode] = []

                async def wait() -> None:
                    with pytest.raises(RpcError) as caught:
                        await unary(channel, "wait")
                    ends.append(caught.value.status)

                async with anyio.create_task_group() as callers:
                    callers.start_soon(wait)
                    await slow.begun.wait()
                    with anyio.move_on_after(0.05):
                        await server.drain(grace=PATIENCE)
                    assert not over.is_set()
                    await server.drain(grace=0.0)  # it has changed its mind
                await over.wait()
                assert ends == [StatusCode.UNAVAILABLE]
    assert slow.causes == [CancellationCause.SERVER_STOPPING]


async def test_an_idle_client_keeps_nobody(tmp_path: Path) -> None:
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            server, address, over = await serving(group, tmp_path, Slow())
            async with connect(address, credentials=ALICE) as channel:
                assert await unary(channel, "now") == 1
                await server.drain(grace=10 * PATIENCE)
                await over.wait()


async def test_closing_a_server_drains_it(tmp_path: Path) -> None:
    slow = Slow()
    results: list[int] = []
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            server, address, over = await serving(group, tmp_path, slow)
            async with connect(address, credentials=ALICE) as channel:

                async def wait() -> None:
                    results.append(await unary(channel, "wait"))

                group.start_soon(wait)
                await slow.begun.wait()
                group.start_soon(server.aclose)
                slow.go.set()
                await over.wait()
    assert results == [2] and slow.causes == []


# Who vanishes.


async def test_a_call_without_a_deadline_outlives_no_vanished_server(
    tmp_path: Path,
) -> None:
    slow = Slow()
    items: list[int] = []
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            _, address, _ = await serving(group, tmp_path, slow, keepalive=SHORT)
            async with (
                proxied(address) as proxy,
                connect(proxy.address, credentials=ALICE, keepalive=SHORT) as channel,
            ):

                async def read() -> None:
                    with pytest.raises(RpcError, match="no sign of life") as caught:
                        await stream(channel, items)
                    assert caught.value.status is StatusCode.UNAVAILABLE

                async with anyio.create_task_group() as callers:
                    callers.start_soon(read)
                    await slow.begun.wait()
                    while not items:
                        await anyio.lowlevel.checkpoint()
                    proxy.stop()
                # And its handler outlives no vanished client.
                await slow.ended.wait()
            group.cancel_scope.cancel()
    assert items == [1] and slow.causes == [CancellationCause.CONNECTION_LOST]


async def test_a_client_that_asks_too_often_learns_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    eager = KeepalivePolicy(idle_seconds=0.01)
    strict = KeepalivePolicy(min_ping_seconds=PATIENCE, max_strikes=1)
    slow = Slow()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            _, address, _ = await serving(group, tmp_path, slow, keepalive=strict)
            async with connect(address, credentials=ALICE, keepalive=eager) as channel:
                with pytest.raises(RpcError) as caught:
                    await stream(channel, [])
                assert caught.value.status is StatusCode.UNAVAILABLE
                said = "the server says: 'too many pings: 2 less than 60 sec"
                assert said in caught.value.message
                assert await unary(channel, "now") == 1
            group.cancel_scope.cancel()
    assert "the server sends this client away: 'too many pings" in caplog.text
    assert slow.causes == [CancellationCause.CONNECTION_LOST]
