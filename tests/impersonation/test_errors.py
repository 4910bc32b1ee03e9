"""Errors, headers and reasons come through the caller's process as they are."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import anyio
import msgspec
import pytest

from signetrpc.rpc import (
    CallInfo,
    CancellationCause,
    Channel,
    DeadlineExceeded,
    Protection,
    RpcError,
    StatusCode,
    UnaryMethod,
)
from signetrpc.rpc.details import ErrorInfo, UnknownDetail
from tests.e2e.processes import FLAVOURS, PATIENCE
from tests.impersonation.calling import calling_as
from tests.impersonation.processes import ServerProcess
from tests.rpc.test_handler_errors import EACH, failure
from tests.support.mishaps import RETRY, Locked
from tests.support.people import ALICE, BOB, People

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=FLAVOURS)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with ServerProcess(
        services=["tests.support.mishaps:Mishaps"],
        errors="tests.support.mishaps:MAPPING",
        flavour=request.param,
        plain=True,
        accounts=str(people.accounts),
    ) as server:
        yield server


@pytest.fixture
async def alice(server: ServerProcess, anyio_backend: str) -> AsyncGenerator[Channel]:
    async with calling_as(ALICE, server.address) as channel:
        yield channel


class Key(msgspec.Struct):
    """One argument."""

    key: str


OPTIONS: dict[str, Any] = {
    "service": "test.Mishaps",
    "protection": Protection.SIGN,
    "arguments": Key,
}
WAIT = UnaryMethod[Key, None](name="wait", result=None, **OPTIONS)
CAUSE = UnaryMethod[Key, str | None](name="cause", result=str | None, **OPTIONS)


@pytest.mark.parametrize("name", EACH)
async def test_errors_of_each_kind_of_call(alice: Channel, name: str) -> None:
    error = await failure(alice, name, "declared and details")
    assert isinstance(error, Locked)
    assert (error.by, error.status) == ("bob", StatusCode.ABORTED)
    assert error.details == (RETRY,)
    plain = await failure(alice, name, "details")
    assert plain.details == (RETRY, UnknownDetail("acme.X", b"\x07"))
    assert plain.trailers == (("from", "context"),)


@pytest.mark.parametrize("name", EACH)
async def test_exceptions_are_what_the_servers_mapping_says(
    alice: Channel, name: str
) -> None:
    mapped = await failure(alice, name, "mapped")
    assert mapped.status is StatusCode.FAILED_PRECONDITION
    assert mapped.message == "the handler raised Overdrawn"
    explained = await failure(alice, name, "explained")
    assert explained.status is StatusCode.NOT_FOUND
    assert explained.details == (
        ErrorInfo(reason="NO_ACCOUNT", metadata={"account": "42"}),
    )
    other = await failure(alice, name, "forbidden")
    assert (other.status, other.message) == (StatusCode.INTERNAL, "the handler failed")


async def test_a_handler_learns_of_its_deadline(alice: Channel) -> None:
    info = CallInfo()
    with pytest.raises(DeadlineExceeded):
        await alice.unary(WAIT, Key("late"), timeout=1.0, call_info=info)
    assert info.headers == (("waiting", "late"),)
    assert await cause_of(alice, "late") is CancellationCause.DEADLINE


async def test_a_handler_learns_that_its_caller_gave_up(alice: Channel) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(alice.unary, WAIT, Key("given up"))
            await begun(alice, "given up")
            scope.cancel()
    assert await cause_of(alice, "given up") is CancellationCause.CALLER


async def test_a_handler_learns_that_its_caller_is_gone(server: ServerProcess) -> None:
    async with calling_as(BOB, server.address) as watching:
        async with anyio.create_task_group() as group:
            async with calling_as(BOB, server.address) as leaving:
                group.start_soon(ended, leaving, "gone")
                await begun(watching, "gone")
        assert await cause_of(watching, "gone") is CancellationCause.CONNECTION_LOST


async def ended(channel: Channel, key: str) -> None:
    """Wait for a call that ends with its connection."""
    with pytest.raises(RpcError) as caught:
        await channel.unary(WAIT, Key(key))
    assert caught.value.status is StatusCode.UNAVAILABLE


async def begun(channel: Channel, key: str) -> None:
    """Wait until a handler waits."""
    with anyio.fail_after(PATIENCE):
        while await channel.unary(CAUSE, Key(key)) != "waiting":
            pass


async def cause_of(channel: Channel, key: str) -> CancellationCause:
    """Wait until a handler has ended and return why."""
    with anyio.fail_after(PATIENCE):
        while (found := await channel.unary(CAUSE, Key(key))) in (None, "waiting"):
            pass
    assert found is not None
    return CancellationCause[found]
