"""Users who do odd things: what they get is an error or what they asked for.

No hang, no server that goes down for one handler, no call that nobody can end.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    Channel,
    Protection,
    RpcError,
    Server,
    StatusCode,
    current_call,
    method,
    service,
)
from signetrpc.rpc.testing import channel_for
from signetrpc.transport import BusyError
from tests.support.kinds import of
from tests.support.negotiation import account_file
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


class Panic(BaseException):
    """As libraries in Rust raise it: no `Exception`."""


@service("test.Odd", protection=Protection.SIGN)
class Odd:
    """Handlers that users should not write."""

    def __init__(self) -> None:
        self.go = anyio.Event()
        self.begun = 0
        self.ended: list[str] = []

    @method
    async def held(self) -> AsyncIterator[int]:
        self.begun += 1
        try:
            await self.go.wait()
            current_call().send_headers({"k": "v"})
            yield 1
        finally:
            self.ended.append("held")

    @method
    async def panic(self) -> int:
        raise Panic("the secret is 42")

    @method(inline=True)
    def panic_inline(self) -> int:
        raise Panic("the secret is 42")

    @method
    def panic_in_thread(self) -> int:
        raise Panic("the secret is 42")

    @method
    async def panic_in_a_group(self) -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(self.panic)
            await anyio.sleep_forever()
        raise AssertionError

    @method
    async def panic_between(self) -> AsyncIterator[int]:
        yield 1
        raise Panic("the secret is 42")

    @method
    async def deaf(self) -> AsyncIterator[int]:
        """Give items whatever happens, to the very end."""
        while len(self.ended) < 2:
            try:
                yield 1
                await anyio.sleep_forever()
            except BaseException as error:
                self.ended.append(type(error).__name__)

    @method
    async def late(self) -> int:
        """Answer a call that was given up."""
        try:
            await anyio.sleep_forever()
        except BaseException:
            self.ended.append("late")
        return 1

    @method
    async def torn(self, numbers: AsyncIterator[int]) -> list[str]:
        """Have two tasks read one stream."""
        found: list[str] = []

        async def take() -> None:
            try:
                found.append(str(await anext(numbers)))
            except BusyError:
                found.append("busy")
                self.go.set()

        async with anyio.create_task_group() as group:
            group.start_soon(take)
            group.start_soon(take)
        return found

    @method
    async def well(self) -> str:
        return "well"


def odd_call(name: str) -> tuple[Any, Any]:
    declared: Any = of(name, Odd)
    return declared, declared.arguments()


@asynccontextmanager
async def odd() -> AsyncGenerator[tuple[Odd, Channel]]:
    served = Odd()
    with anyio.fail_after(20):
        async with channel_for(served) as channel:
            yield served, channel
            assert await channel.unary(*odd_call("well")) == "well"


@pytest.mark.parametrize(
    "name", ["panic_inline", "panic", "panic_in_thread", "panic_in_a_group"]
)
async def test_what_is_no_exception_ends_its_call_alone(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with odd() as (_, channel):
        with pytest.raises(RpcError) as caught:
            await channel.unary(*odd_call(name))
        assert caught.value.status is StatusCode.INTERNAL
        assert caught.value.message == "the handler failed"
    assert any("42" in str(each.exc_text) for each in caplog.records)


async def test_what_is_no_exception_between_items() -> None:
    async with odd() as (_, channel):
        async with channel.server_stream(*odd_call("panic_between")) as stream:
            assert await anext(stream) == 1
            with pytest.raises(RpcError) as caught:
                await anext(stream)
        assert caught.value.status is StatusCode.INTERNAL


async def test_a_handler_that_will_not_stop_giving_is_not_heard() -> None:
    async with odd() as (served, channel):
        async with channel.server_stream(*odd_call("deaf")) as stream:
            assert await anext(stream) == 1
        await settle()
        assert len(served.ended) == 2


async def test_a_handler_that_answers_what_was_given_up_is_not_heard() -> None:
    async with odd() as (served, channel):
        with anyio.move_on_after(0.05):
            await channel.unary(*odd_call("late"))
        await settle()
        assert served.ended == ["late"]


async def test_two_tasks_of_a_handler_read_one_stream() -> None:
    async with odd() as (served, channel):

        async def numbers() -> AsyncIterator[int]:
            await served.go.wait()
            yield 7

        found = await channel.client_stream(*odd_call("torn"), numbers())
        assert found == ["busy", "7"]


async def test_several_tasks_wait_for_headers() -> None:
    async with odd() as (served, channel):
        found: list[Any] = []
        async with channel.server_stream(*odd_call("held")) as stream:

            async def wait() -> None:
                found.append(await stream.headers())

            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(wait)
                await settle()
                served.go.set()
        assert found == [(("k", "v"),)] * 3


async def test_one_who_waits_for_headers_goes_and_the_other_gets_them() -> None:
    async with odd() as (served, channel):
        found: list[Any] = []
        async with channel.server_stream(*odd_call("held")) as stream:

            async def wait() -> None:
                found.append(await stream.headers())

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await settle()
                with anyio.move_on_after(0.01):
                    await stream.headers()
                served.go.set()
            assert await anext(stream) == 1
        assert found == [(("k", "v"),)]


async def test_a_stream_that_is_given_up_before_it_begins_does_not_begin() -> None:
    async with odd() as (served, channel):
        stream = channel.server_stream(*odd_call("held"))
        stream.cancel()
        for _ in range(2):
            with pytest.raises(RpcError) as caught:
                await anext(stream)
            assert caught.value.status is StatusCode.CANCELLED
        assert not served.begun


async def test_draining_for_less_than_no_time_is_refused_and_changes_nothing() -> None:
    server = Server([Odd])
    for grace in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="is below 0"):
            await server.drain(grace)


async def test_draining_several_times_at_once(tmp_path: Path) -> None:
    server = Server([Odd], accept=[account_file(tmp_path)])
    async with anyio.create_task_group() as group:
        target = await group.start(server.serve, "tcp://127.0.0.1:0")
        assert target
        with anyio.fail_after(20):
            async with anyio.create_task_group() as drains:
                for grace in (30.0, 0.0, 30.0):
                    drains.start_soon(server.drain, grace)
            await server.drain()
