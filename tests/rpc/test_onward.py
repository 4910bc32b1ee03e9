"""Calls that handlers make in turn: their time and their end are the handler's."""

import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from signetrpc.rpc import (
    BlockingChannel,
    CallContext,
    CancellationCause,
    Channel,
    ClientStreamMethod,
    DeadlineExceeded,
    Protection,
    RpcError,
    Server,
    ServerStreamMethod,
    StatusCode,
    UnaryMethod,
    connect,
    connect_blocking,
    current_call,
    method,
    service,
)
from signetrpc.rpc._context import CURRENT, time_bound
from tests.rpc.test_context import context
from tests.support.negotiation import ALICE, account_file

pytestmark = pytest.mark.anyio

SIGN = Protection.SIGN


@service("test.Last", protection=SIGN)
class Last:
    """What is called onward: it says how much time it was given."""

    def __init__(self) -> None:
        self.calls: list[CallContext] = []
        self.begun = anyio.Event()
        self.over = anyio.Event()

    @method
    async def left(self) -> float | None:
        return current_call().time_left()

    @method
    async def lefts(self) -> AsyncIterator[float | None]:
        yield current_call().time_left()

    @method
    async def taken(self, items: AsyncIterator[int]) -> float | None:
        async for _ in items:
            pass
        return current_call().time_left()

    @method
    async def wait(self) -> None:
        self.calls.append(current_call())
        self.begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.over.set()


@service("test.First", protection=SIGN)
class First:
    """Calls onward, as it is told."""

    def __init__(self, channel: Channel, blocking: BlockingChannel | None) -> None:
        self.channel = channel
        self.blocking = blocking
        self.problems: list[RpcError] = []
        self.over = threading.Event()

    @method
    async def left(self, seconds: float | None) -> float | None:
        return await self.channel.unary(LEFT, NOTHING, timeout=seconds)

    @method
    async def of_streams(self) -> list[float | None]:
        stream = self.channel.server_stream(LEFTS, NOTHING)
        found = [left async for left in stream]
        found.append(await self.channel.client_stream(TAKEN, NOTHING, [1]))
        return found

    @method
    def left_in_thread(self, seconds: float | None) -> float | None:
        assert self.blocking is not None
        return self.blocking.unary(LEFT, NOTHING, timeout=seconds)

    @method
    async def wait(self) -> None:
        await self.channel.unary(WAIT, NOTHING)

    @method
    def wait_in_thread(self) -> None:
        assert self.blocking is not None
        try:
            self.blocking.unary(WAIT, NOTHING)
        except RpcError as error:
            self.problems.append(error)
            raise
        finally:
            self.over.set()


class Nothing(msgspec.Struct):
    """No arguments."""


class Seconds(msgspec.Struct):
    """One argument."""

    seconds: float | None


NOTHING = Nothing()


def to_last(
    name: str, result: object = float | None
) -> UnaryMethod[Nothing, float | None]:
    return UnaryMethod(
        service="test.Last",
        name=name,
        protection=SIGN,
        arguments=Nothing,
        result=result,
    )


LEFT, WAIT = to_last("left"), to_last("wait", None)
LEFTS = ServerStreamMethod[Nothing, float | None](
    service="test.Last",
    name="lefts",
    protection=SIGN,
    arguments=Nothing,
    result=float | None,
)
TAKEN = ClientStreamMethod[Nothing, int, float | None](
    service="test.Last",
    name="taken",
    protection=SIGN,
    arguments=Nothing,
    item=int,
    result=float | None,
)


def to_first(name: str) -> UnaryMethod[Seconds, float | None]:
    return UnaryMethod(
        service="test.First",
        name=name,
        protection=SIGN,
        arguments=Seconds,
        result=float | None,
    )


ASK, ASK_IN_THREAD = to_first("left"), to_first("left_in_thread")
OF_STREAMS = UnaryMethod[Nothing, list[float | None]](
    service="test.First",
    name="of_streams",
    protection=SIGN,
    arguments=Nothing,
    result=list[float | None],
)
WAITS = {
    name: UnaryMethod[Nothing, None](
        service="test.First",
        name=name,
        protection=SIGN,
        arguments=Nothing,
        result=None,
    )
    for name in ("wait", "wait_in_thread")
}


@asynccontextmanager
async def chain(
    tmp_path: Path, *, propagate_deadline: bool = True, blocking: bool = False
) -> AsyncGenerator[tuple[Channel, First, Last]]:
    """Give a channel to a service that calls another, and both."""
    last = Last()
    accept = [account_file(tmp_path)]
    async with anyio.create_task_group() as group:
        far = str(
            await group.start(Server([last], accept=accept).serve, "tcp://127.0.0.1:0")
        )
        async with connect(
            far, credentials=ALICE, propagate_deadline=propagate_deadline
        ) as onward:
            manager = connect_blocking(
                far, credentials=ALICE, propagate_deadline=propagate_deadline
            )
            in_thread = None
            if blocking:
                in_thread = await anyio.to_thread.run_sync(manager.__enter__)
            first = First(onward, in_thread)
            server = Server([first], accept=accept)
            near = str(await group.start(server.serve, "tcp://127.0.0.1:0"))
            async with connect(near, credentials=ALICE) as channel:
                yield channel, first, last
            if blocking:
                await anyio.to_thread.run_sync(manager.__exit__, None, None, None)
        group.cancel_scope.cancel()


async def test_a_call_onward_has_what_is_left_of_the_handlers_time(
    tmp_path: Path,
) -> None:
    async with chain(tmp_path) as (channel, _, _):
        left = await channel.unary(ASK, Seconds(None), timeout=30.0)
        assert left is not None and 10 < left <= 30
        shorter = await channel.unary(ASK, Seconds(5.0), timeout=30.0)
        assert shorter is not None and shorter <= 5
        longer = await channel.unary(ASK, Seconds(500.0), timeout=30.0)
        assert longer is not None and longer <= 30


async def test_a_stream_onward_ends_with_the_handlers_time_too(tmp_path: Path) -> None:
    async with chain(tmp_path) as (channel, _, _):
        found = await channel.unary(OF_STREAMS, NOTHING, timeout=30.0)
        assert len(found) == 2
        assert all(left is not None and left <= 30 for left in found)


async def test_a_channel_can_be_told_not_to(tmp_path: Path) -> None:
    async with chain(tmp_path, propagate_deadline=False) as (channel, _, _):
        left = await channel.unary(ASK, Seconds(None), timeout=30.0)
        assert left is not None and left > 30
        assert await channel.unary(OF_STREAMS, NOTHING, timeout=30.0) == [None, None]


async def test_the_same_from_a_handlers_thread(tmp_path: Path) -> None:
    async with chain(tmp_path, blocking=True) as (channel, _, _):
        left = await channel.unary(ASK_IN_THREAD, Seconds(None), timeout=30.0)
        assert left is not None and 10 < left <= 30


@pytest.mark.parametrize("name", ["wait", "wait_in_thread"])
async def test_who_gives_up_cancels_what_is_called_onward(
    name: str, tmp_path: Path
) -> None:
    threaded = name == "wait_in_thread"
    async with chain(tmp_path, blocking=threaded) as (channel, first, last):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(channel.unary, WAITS[name], NOTHING)
                await last.begun.wait()
                scope.cancel()
        with anyio.fail_after(10):
            await last.over.wait()
        (call,) = last.calls
        assert call.cancelled_because is CancellationCause.CALLER
        if threaded:
            assert await anyio.to_thread.run_sync(first.over.wait, 10)
            (problem,) = first.problems
            assert problem.status is StatusCode.CANCELLED
            assert problem.message == "the call that this is part of has ended"


async def test_time_that_runs_out_cancels_what_is_called_onward(tmp_path: Path) -> None:
    async with chain(tmp_path) as (channel, _, last):
        with pytest.raises(DeadlineExceeded):
            await channel.unary(WAITS["wait"], NOTHING, timeout=1.0)
        with anyio.fail_after(10):
            await last.over.wait()
        (call,) = last.calls
        assert call.cancelled_because is CancellationCause.DEADLINE


def test_the_bound_is_the_lower_of_both() -> None:
    assert time_bound(5.0) == 5.0 and time_bound(None) is None
    for deadline, bounds in (
        (None, (5.0, None)),
        (12.0, (2.0, 2.0)),
        (19.0, (5.0, 9.0)),
    ):
        token = CURRENT.set(context(deadline))
        try:
            assert (time_bound(5.0), time_bound(None)) == bounds
        finally:
            CURRENT.reset(token)


async def test_a_server_that_is_cancelled_says_so_to_its_handlers(
    tmp_path: Path,
) -> None:
    last = Last()
    server = Server([last], accept=[account_file(tmp_path)])
    ends: list[RpcError] = []

    async def call(address: str) -> None:
        async with connect(address, credentials=ALICE) as channel:
            with pytest.raises(RpcError) as caught:
                await channel.unary(WAIT, NOTHING)
            ends.append(caught.value)

    async with anyio.create_task_group() as outer:
        async with anyio.create_task_group() as serving:
            address = str(await serving.start(server.serve, "tcp://127.0.0.1:0"))
            outer.start_soon(call, address)
            await last.begun.wait()
            serving.cancel_scope.cancel()
        assert last.over.is_set()
    assert last.calls[0].cancelled_because is CancellationCause.SERVER_STOPPING
    assert [error.status for error in ends] == [StatusCode.UNAVAILABLE]
