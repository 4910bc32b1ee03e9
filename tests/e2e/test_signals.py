"""`serve(..., drain_on=...)` in a process of its own: what signals do to its calls."""

import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from signetrpc.rpc import Channel, ConnectivityState, RpcError, StatusCode, connect
from tests.e2e.processes import PATIENCE, start_module
from tests.e2e.signalled import Slow
from tests.support.kinds import of
from tests.support.negotiation import ALICE

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["asyncio", "trio"]),
]

READY = ConnectivityState.READY


class Signalled:
    """A server, a channel to it, and a call that waits there."""

    def __init__(self, process: "subprocess.Popen[str]", channel: Channel) -> None:
        self.process = process
        self.channel = channel
        self.outcomes: list[object] = []

    async def line(self) -> str:
        """Return what the server says next."""
        assert self.process.stdout is not None
        return (await anyio.to_thread.run_sync(self.process.stdout.readline)).strip()

    def go(self) -> None:
        """Let the call end."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    async def call(self) -> None:
        """Call, and note how it ends."""
        declared: Any = of("wait", Slow)
        try:
            result = await self.channel.unary(declared, declared.arguments())
            self.outcomes.append(result)
        except RpcError as error:
            self.outcomes.append(error.status)

    async def terminate(self) -> None:
        """Send the signal, and wait until the server says that it goes."""
        self.process.send_signal(signal.SIGTERM)
        await self.channel.wait_for_state_change(READY)


@asynccontextmanager
async def signalled(
    backend: str, folder: Path, grace: float
) -> AsyncGenerator[Signalled]:
    arguments = (backend, str(grace), str(folder))
    with start_module(
        "tests.e2e.signalled", *arguments, env=None, errors=sys.stderr
    ) as process:
        try:
            with anyio.fail_after(PATIENCE):
                assert process.stdout is not None
                address = await anyio.to_thread.run_sync(process.stdout.readline)
                async with (
                    connect(address.strip(), credentials=ALICE) as channel,
                    anyio.create_task_group() as group,
                ):
                    server = Signalled(process, channel)
                    group.start_soon(server.call)
                    assert await server.line() == "begun"
                    yield server
        finally:
            process.kill()


async def test_the_first_lets_calls_finish(backend: str, tmp_path: Path) -> None:
    async with signalled(backend, tmp_path, PATIENCE) as server:
        await server.terminate()
        assert server.outcomes == []
        server.go()
        assert await server.line() == "over"
        assert await anyio.to_thread.run_sync(server.process.wait) == 0
    assert server.outcomes == [2]


async def test_but_for_no_longer_than_the_grace(backend: str, tmp_path: Path) -> None:
    async with signalled(backend, tmp_path, 0.1) as server:
        await server.terminate()
        assert await server.line() == "over"
        server.process.communicate()
        assert server.process.returncode == 0
    assert server.outcomes == [StatusCode.UNAVAILABLE]


async def test_the_second_ends_it_at_once(backend: str, tmp_path: Path) -> None:
    async with signalled(backend, tmp_path, PATIENCE) as server:
        await server.terminate()
        server.process.send_signal(signal.SIGTERM)
        ended = await anyio.to_thread.run_sync(server.process.wait)
        assert ended == -signal.SIGTERM
    assert server.outcomes == [StatusCode.UNAVAILABLE]
