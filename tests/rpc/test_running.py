"""How handlers run: what is closed, where, and what stands in for what."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from signetrpc.rpc import (
    Protection,
    RpcError,
    StatusCode,
    current_call,
    method,
    service,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Item,
    Status,
    encode_call,
    encode_cancel,
    encode_end,
    encode_item,
)
from tests.support.calls import server_end
from tests.support.desk import answers, reply, status, until
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NIL = b"\xc0"
_tenant: ContextVar[str] = ContextVar("tenant", default="nobody's")


class Given:
    """An asynchronous iterator that is no generator: nothing closes it."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __aiter__(self) -> "Given":
        return self

    async def __anext__(self) -> int:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return self._left


@service("test.Mill", protection=Protection.SIGN)
class Mill:
    """Handlers that look around."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.closed_in: list[object] = []
        self.go = anyio.Event()
        self.thread_go = threading.Event()

    @method
    def given(self, number: int) -> AsyncIterator[int]:
        return Given(number)

    @method
    def listed(self, number: int) -> Iterator[int]:
        return iter(range(number))

    @method
    async def tasks(self) -> AsyncIterator[int]:
        task = anyio.get_current_task().id
        try:
            while True:
                yield 1
                await anyio.lowlevel.checkpoint()
                self.seen.append(anyio.get_current_task().id == task)
        finally:
            self.closed_in.append(anyio.get_current_task().id == task)

    @method
    def threads(self, number: int) -> Iterator[int]:
        thread = threading.get_ident()
        try:
            for each in range(number):
                self.seen.append(threading.get_ident() == thread)
                yield each
        finally:
            self.closed_in.append(threading.get_ident() == thread)

    @method
    async def context(self) -> AsyncIterator[str]:
        _tenant.set("mine")
        yield current_call().method
        await anyio.lowlevel.checkpoint()
        yield f"{_tenant.get()} {current_call().caller.name}"

    @method
    def thread_context(self) -> Iterator[str]:
        _tenant.set("mine")
        yield current_call().method
        yield f"{_tenant.get()} {current_call().caller.name}"

    @method
    async def bad_end(self) -> AsyncIterator[int]:
        try:
            yield 1
            await self.go.wait()
        finally:
            raise KeyError("the secret is 42")

    @method
    async def rescued(self, numbers: AsyncIterator[int]) -> int:
        total = 0
        while True:
            try:
                total += await anext(numbers)
            except RpcError as error:
                self.seen.append(error.status)
            except StopAsyncIteration:
                return total

    @method
    def block(self) -> Iterator[int]:
        self.seen.append("begun")
        assert self.thread_go.wait(10)
        yield 1

    @method
    async def read_twice(self, numbers: AsyncIterator[int]) -> list[int]:
        first = [number async for number in numbers]
        return first + [number async for number in numbers]


def call(call_id: int, name: str, **arguments: object) -> bytes:
    wire_name = encode_value(f"test.Mill/{name}")
    return encode_call(call_id, wire_name, None, NIL, encode_value(arguments))


def item(value: object) -> bytes:
    return encode_item(1, encode_value(value))


def values(*given: object) -> list[Item]:
    return [Item(1, False, encode_value(each)) for each in given]


OK = Status(1, 0, "", None, None)


async def test_iterators_that_are_no_generators_do_too() -> None:
    async with server_end(Mill()) as (_, far, _):
        far.say(call(1, "given", number=2))
        await settle()
        assert far.heard() == [*values(1, 0), OK]


async def test_a_list_is_given_from_a_thread() -> None:
    async with server_end(Mill()) as (_, far, _):
        far.say(call(1, "listed", number=2))
        assert await answers(far, 3) == [*values(0, 1), OK]


async def test_a_generator_begins_and_ends_in_one_task() -> None:
    mill = Mill()
    async with server_end(mill) as (_, far, _):
        far.say(call(1, "tasks"))
        await until(lambda: len(mill.seen) > 200)
        far.say(encode_cancel(1))
        await settle()
        assert all(mill.seen) and mill.closed_in == [True]


async def test_a_generator_begins_and_ends_in_one_thread() -> None:
    mill = Mill()
    async with server_end(mill) as (_, far, _):
        far.say(call(1, "threads", number=5))
        assert await answers(far, 6) == [*values(*range(5)), OK]
        assert all(mill.seen) and mill.closed_in == [True]


@pytest.mark.parametrize("name", ["context", "thread_context"])
async def test_a_generator_knows_its_call_all_the_time(name: str) -> None:
    async with server_end(Mill()) as (_, far, _):
        far.say(call(1, name))
        heard = await answers(far, 3)
        assert heard == [*values(f"test.Mill/{name}", "mine alice"), OK]
        assert _tenant.get() == "nobody's"


async def test_what_a_generator_raises_while_it_is_closed_hurts_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mill = Mill()
    async with server_end(mill) as (connection, far, _):
        far.say(call(1, "bad_end"))
        await settle()
        far.say(encode_cancel(1))
        await settle()
        assert far.heard() == values(1)
        far.say(call(2, "listed", number=0))
        assert await answers(far, 1) == [Status(2, 0, "", None, None)]
        assert connection.ended is None
    assert "test.Mill/bad_end failed" in caplog.text


async def test_a_handler_may_go_on_after_an_item_that_was_wrong() -> None:
    mill = Mill()
    async with server_end(mill) as (_, far, _):
        far.say(call(1, "rescued"), item(1), item("two"), item(3), encode_end(1))
        await settle()
        assert far.heard() == [reply(1, 4)]
        assert mill.seen == [StatusCode.INVALID_ARGUMENT]


async def test_a_stream_that_has_ended_stays_so() -> None:
    async with server_end(Mill()) as (_, far, _):
        far.say(call(1, "read_twice"), item(1), item(2), encode_end(1))
        await settle()
        assert far.heard() == [reply(1, [1, 2])]


async def test_streams_in_threads_wait_for_a_thread_and_can_be_cancelled() -> None:
    mill = Mill()
    async with server_end(mill, max_threads=1) as (_, far, _):
        far.say(call(1, "block"))
        await until(lambda: mill.seen == ["begun"])
        far.say(call(2, "block"), call(3, "listed", number=1))
        await settle()
        far.say(encode_cancel(2))
        await settle()
        mill.thread_go.set()
        heard = await answers(far, 4)
        # Which of the first and the third gets the thread first is chance on trio.
        assert {each.id for each in heard if isinstance(each, Status)} == {1, 3}
        assert mill.seen == ["begun"]


async def test_an_async_handler_needs_no_thread() -> None:
    mill = Mill()
    async with server_end(mill, max_threads=1) as (_, far, _):
        far.say(call(1, "block"))
        await until(lambda: mill.seen == ["begun"])
        far.say(call(2, "given", number=0))
        await settle()
        assert [status(each)[:2] for each in far.heard()] == [(2, StatusCode.OK)]
        mill.thread_go.set()
        await answers(far, 2)


@pytest.mark.parametrize("at", [0, 1, 5])
async def test_cancelling_at_any_moment_closes_it_once(at: int) -> None:
    mill = Mill()
    async with server_end(mill) as (connection, far, _):
        far.say(call(1, "tasks"))
        reached: Callable[[], bool] = lambda: len(mill.seen) >= at  # noqa: E731
        await until(reached)
        far.say(encode_cancel(1))
        await settle()
        seen = len(mill.seen)
        far.heard()
        await settle()
        # It has stopped; and what never began has nothing to close.
        assert len(mill.seen) == seen and far.heard() == []
        assert mill.closed_in in ([True], [])
        assert not connection.busy
