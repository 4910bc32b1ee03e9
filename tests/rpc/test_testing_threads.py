"""Handlers in threads when the block of `channel_for` ends: they are waited for."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
import pytest

from signetrpc.rpc import Protection, RpcError, method, service
from signetrpc.rpc.testing import channel_for
from tests.support.kinds import of
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


@service("test.Bench", protection=Protection.SIGN)
class Bench:
    """Works in a thread until it is let go, whoever waits for that."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.ended: list[str] = []

    @method
    def work(self) -> None:
        try:
            self.begun.set()
            self.go.wait(10)
        finally:
            self.ended.append("work")

    @method
    def give(self) -> Iterator[int]:
        try:
            self.begun.set()
            self.go.wait(10)
            yield 1
        finally:
            self.ended.append("give")


class Passing:
    """Passes on what comes."""

    async def intercept_unary(
        self, call_next: Any, request: Any, context: Any, /
    ) -> Any:
        return await call_next(request, context)


@pytest.mark.parametrize("name", ["work", "give", "work, intercepted"])
@pytest.mark.parametrize("failing", [False, True])
async def test_the_end_waits_for_handlers_in_threads(name: str, failing: bool) -> None:
    bench = Bench()
    name, _, intercepted = name.partition(", ")
    declared: Any = of(name, Bench)
    before: list[int] = []

    async def call() -> None:
        with pytest.raises(RpcError):
            if name == "give":
                async with channel.server_stream(declared, given) as items:
                    await anext(items)
            else:
                await channel.unary(declared, given)

    async def let_go() -> None:
        await settle()
        before.append(len(bench.ended))
        bench.go.set()

    given = declared.arguments()
    interceptors = [Passing()] if intercepted else []
    async with anyio.create_task_group() as group:
        with suppress(KeyError):
            async with channel_for(bench, interceptors=interceptors) as channel:
                group.start_soon(call)
                await anyio.to_thread.run_sync(bench.begun.wait)
                group.start_soon(let_go)
                if failing:
                    raise KeyError
        assert bench.ended == [name]
    assert before == [0]
