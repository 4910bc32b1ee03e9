"""Interceptors of the server run where the handlers do: in their callers' processes."""

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from signetrpc.rpc import CallInfo, RpcError, ServerStream, StatusCode
from tests.e2e.processes import FLAVOURS
from tests.impersonation.calling import calling_as
from tests.impersonation.processes import ServerProcess
from tests.support.kinds import CHANGED, EACH, GIVING, KINDS, call, of
from tests.support.people import ALICE, BOB, People

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=FLAVOURS)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with ServerProcess(
        services=["tests.support.kinds:Numbers"],
        interceptors=[
            "tests.impersonation.marking:Marking",
            "tests.support.around:Changing",
        ],
        flavour=request.param,
        plain=True,
        accounts=str(people.accounts),
    ) as server:
        yield server


async def mark_of(channel: Any, name: str) -> list[str]:
    """Call a method and return what marked the call."""
    made: Any = of(name)
    given = made.arguments(number=1)
    if name in (*GIVING, *EACH):
        stream: ServerStream[int]
        if name in GIVING:
            stream = channel.server_stream(made, given)
        else:
            stream = channel.bidirectional(made, given, [1])
        async with stream:
            async for _ in stream:
                pass
            trailers = stream.trailers
    else:
        info = CallInfo()
        await call(channel, name, call_info=info)
        trailers = info.trailers
    return str(dict(trailers)["mark"]).split()


@pytest.mark.parametrize("name", KINDS)
async def test_they_run_as_the_caller_around_each_kind(
    server: ServerProcess, name: str
) -> None:
    async with calling_as(ALICE, server.address) as channel:
        uid, pid, _ = await mark_of(channel, name)
        assert int(uid) == ALICE.uid and int(pid) != server.pid
        assert await call(channel, name) == CHANGED[name]


async def test_what_they_keep_is_kept_for_each_caller(server: ServerProcess) -> None:
    numbers: dict[str, list[int]] = {"alice": [], "bob": []}

    async def count(person: Any) -> None:
        async with calling_as(person, server.address) as channel:
            for _ in range(3):
                uid, _, number = await mark_of(channel, "twice")
                assert int(uid) == person.uid
                numbers[person.name].append(int(number))

    async with anyio.create_task_group() as group:
        group.start_soon(count, ALICE)
        group.start_soon(count, BOB)
    for counted in numbers.values():
        assert counted == list(range(counted[0], counted[0] + 3))


@pytest.mark.parametrize("name", KINDS)
async def test_they_refuse_calls_there(server: ServerProcess, name: str) -> None:
    async with calling_as(BOB, server.address) as channel:
        with pytest.raises(RpcError) as caught:
            await call(channel, name, metadata={"refuse": "yes"})
    assert caught.value.status is StatusCode.PERMISSION_DENIED
    assert caught.value.message == f"{BOB.uid} bob"
