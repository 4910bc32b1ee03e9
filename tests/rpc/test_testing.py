"""Client and server in memory: everything but the network and the cryptography."""

import dataclasses
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import msgspec
import pytest

from signetrpc.rpc import (
    AuthorizationRequest,
    BidirectionalMethod,
    ClientStreamMethod,
    DeadlineExceeded,
    Identity,
    Impersonation,
    LocalUser,
    Protection,
    RpcError,
    SchemaError,
    ServerStreamMethod,
    StatusCode,
    UnaryMethod,
    current_call,
    current_caller,
    method,
    service,
)
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc.testing import (
    CALLER,
    SERVER,
    _Doorway,  # pyright: ignore[reportPrivateUsage]
    _MemoryConnector,  # pyright: ignore[reportPrivateUsage]
    blocking_channel_for,
    channel_for,
)
from signetrpc.transport import ANONYMOUS, ConnectFailed, Link
from signetrpc.transport._loops import open_loop
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

SIGN, SEAL = Protection.SIGN, Protection.SEAL


@service("test.Desk", protection=SIGN)
class Desk:
    """Does a little of everything."""

    def __init__(self) -> None:
        self.waiting = anyio.Event()
        self.ended: list[str] = []

    @method
    async def who(self) -> str:
        """Return who calls, and as whom that counts here."""
        user = current_caller().impersonated_as
        return f"{current_caller()} as {user.name if user else 'nobody'}"

    @method(impersonate=Impersonation.REQUIRED)
    def user(self) -> str:
        """The same, as something that has to run as its caller."""
        user = current_caller().impersonated_as
        return user.name if user else "nobody"

    @method
    async def level(self) -> str:
        return current_call().protection.name

    @method(SEAL)
    async def secret(self) -> str:
        return current_call().protection.name

    @method
    async def wait(self) -> None:
        """Wait for ever, and take a while to go."""
        self.waiting.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                self.ended.append("wait")

    @method
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @method
    def total(self, numbers: Iterator[int]) -> int:
        return sum(numbers)

    @method
    async def double(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield 2 * number


class Nothing(msgspec.Struct):
    """No arguments."""


class To(msgspec.Struct):
    """The argument of `count`."""

    to: int


def unary(name: str) -> UnaryMethod[Nothing, str]:
    found = service_definition(Desk).handlers[f"test.Desk/{name}"].method
    return UnaryMethod(
        service="test.Desk",
        name=name,
        protection=found.protection,
        arguments=Nothing,
        result=str,
    )


WHO, USER, LEVEL, SECRET = (unary(n) for n in ("who", "user", "level", "secret"))
WAIT = UnaryMethod[Nothing, None](
    service="test.Desk",
    name="wait",
    protection=SIGN,
    arguments=Nothing,
    result=type(None),
)
COUNT = ServerStreamMethod[To, int](
    service="test.Desk", name="count", protection=SIGN, arguments=To, result=int
)
TOTAL = ClientStreamMethod[Nothing, int, int](
    service="test.Desk",
    name="total",
    protection=SIGN,
    arguments=Nothing,
    item=int,
    result=int,
)
DOUBLE = BidirectionalMethod[Nothing, int, int](
    service="test.Desk",
    name="double",
    protection=SIGN,
    arguments=Nothing,
    item=int,
    result=int,
)


def _threads_of_ours() -> list[str]:
    # anyio's own wait for further work for a while.
    return [each.name for each in threading.enumerate() if "signet" in each.name]


def _tasks() -> int:
    return len(anyio.get_running_tasks())


async def test_all_kinds_of_call() -> None:
    async with channel_for(Desk) as channel:
        assert await channel.unary(WHO, Nothing()) == "caller@TEST as nobody"
        stream = channel.server_stream(COUNT, To(3))
        assert [number async for number in stream] == [0, 1, 2]
        assert await channel.client_stream(TOTAL, Nothing(), [1, 2, 3]) == 6
        doubled = channel.bidirectional(DOUBLE, Nothing(), [4, 5])
        assert [number async for number in doubled] == [8, 10]


async def test_bodies_longer_than_what_the_pipes_hold() -> None:
    # And than the windows, 1 MiB for all calls.
    numbers = 40_000
    async with channel_for(Desk) as channel:
        stream = channel.server_stream(COUNT, To(numbers))
        assert sum([number async for number in stream]) == sum(range(numbers))


async def test_the_caller_is_as_the_test_says() -> None:
    user = LocalUser(name="al", uid=1001, gid=1001, groups=(1001,))
    alice = dataclasses.replace(CALLER, name="alice", impersonated_as=user)
    async with channel_for(Desk, caller=alice) as channel:
        assert await channel.unary(WHO, Nothing()) == "alice@TEST as al"
        assert channel.peer.principal == SERVER.principal


async def test_what_must_run_as_its_caller_runs_here() -> None:
    user = LocalUser(name="al", uid=1001, gid=1001, groups=(1001,))
    for caller, name in [
        (CALLER, "nobody"),
        (dataclasses.replace(CALLER, impersonated_as=user), "al"),
    ]:
        async with channel_for(Desk, caller=caller) as channel:
            assert await channel.unary(USER, Nothing()) == name


async def test_levels_are_those_of_the_methods() -> None:
    async with channel_for(Desk) as channel:
        assert await channel.unary(LEVEL, Nothing()) == "SIGN"
        assert await channel.unary(LEVEL, Nothing(), protection=SEAL) == "SEAL"
        assert await channel.unary(SECRET, Nothing()) == "SEAL"


async def test_more_protection_than_there_is() -> None:
    async with channel_for(Desk, protection=SIGN) as channel:
        assert await channel.unary(LEVEL, Nothing()) == "SIGN"
        with pytest.raises(RpcError) as caught:
            await channel.unary(SECRET, Nothing())
        assert caught.value.status is StatusCode.FAILED_PRECONDITION
        assert channel.minimum_protection is SIGN


async def test_without_protection_there_is_only_none() -> None:
    async with channel_for(Desk, protection=Protection.NONE) as channel:
        assert channel.minimum_protection is Protection.NONE
        with pytest.raises(RpcError) as caught:
            await channel.unary(LEVEL, Nothing())
        assert caught.value.status is StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("caller", "allowed"), [(CALLER, True), (ANONYMOUS, False)], ids=str
)
async def test_only_who_is_somebody_may_call(caller: Identity, allowed: bool) -> None:
    async with channel_for(Desk, caller=caller) as channel:
        if allowed:
            assert await channel.unary(LEVEL, Nothing()) == "SIGN"
            return
        with pytest.raises(RpcError) as caught:
            await channel.unary(LEVEL, Nothing())
        assert caught.value.status is StatusCode.PERMISSION_DENIED


async def test_a_caller_is_an_identity() -> None:
    given: Any = "alice"
    with pytest.raises(TypeError, match="a caller of type str; like replace"):
        async with channel_for(Desk, caller=given):
            raise AssertionError("served")


async def test_authorize_decides() -> None:
    def only_who(request: AuthorizationRequest) -> bool:
        return request.method == "who"

    async with channel_for(Desk, authorize=only_who) as channel:
        assert await channel.unary(WHO, Nothing()) == "caller@TEST as nobody"
        with pytest.raises(RpcError) as caught:
            await channel.unary(LEVEL, Nothing())
        assert caught.value.status is StatusCode.PERMISSION_DENIED


async def test_deadlines_are_real() -> None:
    desk = Desk()
    async with channel_for(desk) as channel:
        with pytest.raises(DeadlineExceeded):
            await channel.unary(WAIT, Nothing(), timeout=0.05)


async def test_the_end_cancels_handlers_and_waits_for_them() -> None:
    desk = Desk()
    ended: list[StatusCode] = []

    async def call() -> None:
        try:
            await channel.unary(WAIT, Nothing())
        except RpcError as error:
            ended.append(error.status)

    async with anyio.create_task_group() as group:
        async with channel_for(desk) as channel:
            group.start_soon(call)
            await desk.waiting.wait()
        assert desk.ended == ["wait"]
    assert ended == [StatusCode.UNAVAILABLE]


async def test_a_channel_that_is_over() -> None:
    async with channel_for(Desk) as channel:
        pass
    with pytest.raises(RpcError) as caught:
        await channel.unary(WHO, Nothing())
    assert caught.value.status is StatusCode.CANCELLED


async def test_nothing_stays_behind() -> None:
    before = _tasks()
    async with channel_for(Desk) as channel:
        await channel.unary(WHO, Nothing())
        assert _tasks() > before
    await settle()
    assert _tasks() == before and not _threads_of_ours()


async def test_an_error_of_the_test_is_its_own() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with channel_for(Desk) as channel:
            await channel.unary(WHO, Nothing())
            raise KeyError("mine")


async def test_cancelled_from_outside() -> None:
    desk = Desk()
    with anyio.CancelScope() as scope:
        async with channel_for(desk) as channel:
            async with anyio.create_task_group() as group:
                group.start_soon(channel.unary, WAIT, Nothing())
                await desk.waiting.wait()
                scope.cancel()
    assert scope.cancelled_caught
    assert desk.ended == ["wait"]


def test_from_code_that_blocks() -> None:
    desk = Desk()
    alice = dataclasses.replace(CALLER, name="alice")
    with blocking_channel_for(desk, caller=alice, protection=SIGN) as channel:
        assert channel.unary(WHO, Nothing()) == "alice@TEST as nobody"
        assert channel.client_stream(TOTAL, Nothing(), [1, 2, 3]) == 6
        with channel.server_stream(COUNT, To(3)) as stream:
            assert list(stream) == [0, 1, 2]
        with pytest.raises(RpcError) as caught:
            channel.unary(SECRET, Nothing())
        assert caught.value.status is StatusCode.FAILED_PRECONDITION
    assert not _threads_of_ours()
    with pytest.raises(RpcError):
        channel.unary(WHO, Nothing())


def test_what_blocks_gets_the_reason_of_a_failure() -> None:
    with pytest.raises(SchemaError, match="is not a service"):
        with blocking_channel_for(object):
            raise AssertionError


@pytest.mark.parametrize("given", [object, lambda: 7])
async def test_what_is_no_service_is_refused(given: Callable[[], object]) -> None:
    with pytest.raises(SchemaError, match="is not a service"):
        async with channel_for(given):
            raise AssertionError


async def test_a_doorway_waits_for_who_is_inside() -> None:
    doorway = _Doorway(CALLER, SEAL)
    inside, leave, over = anyio.Event(), anyio.Event(), anyio.Event()
    with pytest.raises(ConnectFailed):
        doorway.enter()  # nobody serves yet

    async def handle(link: Link) -> None:
        assert link.session.peer.principal == CALLER.principal
        inside.set()
        await leave.wait()

    async with open_loop() as loop:

        async def serve() -> None:
            await doorway.serve_links(loop, handle)
            over.set()

        loop.spawn(serve())
        await doorway.ready.wait()
        # One that goes away before it has said anything.
        await doorway.enter().aclose(linger=False)
        await _MemoryConnector(doorway, SEAL).connect()
        await inside.wait()
        doorway.close()
        await settle()
        assert not over.is_set()
        with pytest.raises(ConnectFailed):
            doorway.enter()
        leave.set()
        await over.wait()
