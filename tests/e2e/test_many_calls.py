"""Ten thousand calls, and each gets its own answer."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from signetrpc.rpc import Channel
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import ServerProcess, connected
from tests.e2e.trial import call

CALLS = 10_000
IN_FLIGHT = 64

pytestmark = pytest.mark.anyio


async def square_all(channels: Sequence[Channel], calls: int, style: str) -> None:
    """Square the numbers below `calls`, `IN_FLIGHT` at a time, and check each."""
    numbers = iter(range(calls))
    answers: dict[int, int] = {}

    async def worker(channel: Channel) -> None:
        for number in numbers:
            # Different numbers of turns, so that answers overtake each other.
            turns: dict[str, Any] = {"turns": number % 5} if style == "square" else {}
            answers[number] = await call(channel, style, number=number, **turns)

    async with anyio.create_task_group() as group:
        for index in range(IN_FLIGHT):
            group.start_soon(worker, channels[index % len(channels)])
    assert answers == {number: number * number for number in range(calls)}


async def test_on_one_connection(server: ServerProcess) -> None:
    async with connected(server.address) as channel:
        await square_all([channel], CALLS, "square")


async def test_handlers_that_run_on_the_spot(server: ServerProcess) -> None:
    async with connected(server.address) as channel:
        await square_all([channel], CALLS, "square_inline")


async def test_handlers_in_threads(server: ServerProcess) -> None:
    async with connected(server.address) as channel:
        await square_all([channel], CALLS // 10, "square_in_thread")


async def test_on_several_connections(ntlm_servers: ServerOf, flavour: str) -> None:
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(connected(ntlm_servers(flavour).address))
            for _ in range(4)
        ]
        await square_all(channels, CALLS // 5, "square")


async def test_more_at_once_than_anybody_needs(server: ServerProcess) -> None:
    """All in one turn: they share records, and no record grows over its limit."""
    async with connected(server.address) as channel:
        answers: list[str] = []

        async def echo(text: str) -> None:
            answers.append(await call(channel, "signed", text=text))

        texts = [f"{number:04d}" * 500 for number in range(500)]
        async with anyio.create_task_group() as group:
            for text in texts:
                group.start_soon(echo, text)
        assert sorted(answers) == texts
