"""Many users at once, whose calls end in every way; `scripts/soak` runs them all.

No handler may ever be anybody but its caller, and nothing may stay behind.
"""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import anyio
import pytest

from signetrpc.rpc import Channel, DeadlineExceeded, RpcError, StatusCode
from tests.impersonation.calling import call, calling_as
from tests.impersonation.crowd import MISMATCHES, STYLES, Crowd, End, Seen
from tests.impersonation.processes import ServerProcess
from tests.impersonation.watching import (
    IdentityWatch,
    children_of,
    descriptors_of,
    processes,
    resident_bytes,
    settled,
    template_of,
)
from tests.support.people import CROWD_OF, People, Person
from tests.support.scale import scaled

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

CALLS: Final = 20_000
CONNECTIONS: Final = 8
"""At once."""
CALLS_EACH: Final = 8
"""Over one connection, at once."""
MOST_SECONDS: Final = 0.05
"""Within this time, by chance, calls end that do not by themselves."""
IDLE_SECONDS: Final = 0.5
"""Short, so that processes come and go all the time."""
MEBIBYTE: Final = 1024 * 1024


@pytest.fixture(scope="module")
def mismatches(people: People) -> None:
    MISMATCHES.mkdir()
    MISMATCHES.chmod(0o1777)


@pytest.fixture(params=[False, True], ids=["root", "plain"])
def server(
    people: People,
    mismatches: None,
    anyio_backend: str,
    request: pytest.FixtureRequest,
) -> Iterator[ServerProcess]:
    before = processes()
    plain: bool = request.param
    with (
        ServerProcess(
            services=["tests.impersonation.crowd:Crowd"],
            flavour=anyio_backend,
            plain=plain,
            accounts=str(people.accounts),
            impersonation={"idle_seconds": IDLE_SECONDS, "max_workers": 60},
        ) as server,
        IdentityWatch(server.pid),
    ):
        yield server
    assert processes() - before == set()
    assert [each.read_text() for each in MISMATCHES.iterdir()] == []


def seen_as(person: Person) -> Seen:
    """Return what a handler of that person's sees of itself."""
    return Seen(
        name=person.name,
        uids=[person.uid] * 3,
        gids=[person.gid] * 3,
        groups=[*person.groups],
    )


async def one_call(channel: Channel, person: Person, chance: random.Random) -> str:
    """Make a call that ends in some way, and return in which."""
    style = chance.choice(STYLES)
    end = chance.choices([*End], weights=[6, 1, 1, 2])[0]
    wanted = seen_as(person)
    soon = chance.random() * MOST_SECONDS
    given_up, timeout = chance.choices(
        [(None, None), (soon, None), (None, soon)],
        # Who is told to stay is made to go.
        weights=[0 if end is End.STAY and style == "waiting" else 8, 1, 1],
    )[0]
    try:
        with anyio.move_on_after(given_up) as scope:
            found: Seen = await call(
                channel, Crowd, style, timeout=timeout, wanted=wanted, end=end
            )
            assert found == wanted
            assert end is End.RETURN or (end is End.STAY and style != "waiting")
    except DeadlineExceeded:
        assert timeout is not None
        return "deadline"
    except RpcError as error:
        if end is End.FAIL:
            assert error.status is StatusCode.INTERNAL
            assert error.message == "the handler failed"
        else:
            assert (end, error.status) == (End.REFUSE, StatusCode.NOT_FOUND)
            assert error.message == f"refused by {person.uid}"
            assert error.trailers == (("refused-by", person.name),)
        return str(end)
    return "cancelled" if scope.cancelled_caught else "answered"


async def visit(
    server: ServerProcess, person: Person, count: int, chance: random.Random
) -> Counter[str]:
    """Connect, make calls all at once, and go."""
    ends: Counter[str] = Counter()

    async def one() -> None:
        ends[await one_call(channel, person, chance)] += 1

    async with calling_as(person, server.address) as channel:
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(one)
    return ends


async def crowd(
    server: ServerProcess, calls: int, chance: random.Random
) -> Counter[str]:
    """Have everybody in the crowd call, several at once."""
    visits = -(-calls // CALLS_EACH)
    everybody = [CROWD_OF[number % len(CROWD_OF)] for number in range(visits)]
    chance.shuffle(everybody)
    remaining = iter(everybody)
    ends: Counter[str] = Counter()

    async def connection() -> None:
        for person in remaining:
            ends.update(await visit(server, person, CALLS_EACH, chance))

    async with anyio.create_task_group() as group:
        for _ in range(CONNECTIONS):
            group.start_soon(connection)
    return ends


async def left_alone(server: ServerProcess) -> tuple[int, int, int]:
    """Return what is held once all connections and workers are gone.

    The descriptors of the service, those of its template, the service's memory.
    """
    template = template_of(server.pid)
    await settled(lambda: not children_of(template))
    return (
        descriptors_of(server.pid),
        descriptors_of(template),
        resident_bytes(server.pid),
    )


async def test_many_calls_of_many_users(
    server: ServerProcess, anyio_backend: str
) -> None:
    chance = random.Random(7420)
    # The first of each kind brings in code and fills caches.
    await crowd(server, scaled(CALLS) // 10, chance)
    template = template_of(server.pid)
    service, forking, memory = await left_alone(server)
    ends = await crowd(server, scaled(CALLS), chance)
    assert sum(ends.values()) >= scaled(CALLS)
    assert {*ends} == {"answered", "cancelled", "deadline", End.FAIL, End.REFUSE}
    assert ends["answered"] > sum(ends.values()) / 2
    await settled(lambda: descriptors_of(server.pid) <= service)
    assert template_of(server.pid) == template
    _, forking_then, memory_then = await left_alone(server)
    assert forking_then <= forking
    assert memory_then - memory < 32 * MEBIBYTE


@pytest.mark.parametrize("plain", [False, True], ids=["root", "plain"])
async def test_a_process_does_not_end_while_its_caller_comes(
    people: People, mismatches: None, anyio_backend: str, *, plain: bool
) -> None:
    with ServerProcess(
        services=["tests.impersonation.crowd:Crowd"],
        flavour=anyio_backend,
        plain=plain,
        accounts=str(people.accounts),
        impersonation={"idle_seconds": 1e-9},
    ) as server:
        chance = random.Random(7420)
        for person in CROWD_OF[:20]:
            for _ in range(2):
                ends = await visit(server, person, 2, chance)
                assert sum(ends.values()) == 2


async def test_more_callers_than_there_may_be_processes(
    people: People, mismatches: None, anyio_backend: str
) -> None:
    most = 10
    pids: list[int] = []
    running: set[int] = set()
    refused: list[Channel] = []
    enough = anyio.Event()

    async def hold(channel: Channel) -> None:
        try:
            pids.append(await call(channel, Crowd, "hold"))
        except RpcError as error:
            assert error.status is StatusCode.RESOURCE_EXHAUSTED
            assert error.message == f"{most} processes run for callers, limit {most}"
            refused.append(channel)
            if len(refused) == len(CROWD_OF) - most:
                enough.set()

    with ServerProcess(
        services=["tests.impersonation.crowd:Crowd"],
        flavour=anyio_backend,
        accounts=str(people.accounts),
        impersonation={"max_workers": most},
    ) as server:
        template = template_of(server.pid)
        async with AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(calling_as(each, server.address))
                for each in CROWD_OF
            ]
            async with anyio.create_task_group() as group:
                for channel in channels:
                    group.start_soon(hold, channel)
                await enough.wait()
                for channel in channels:
                    if channel not in refused:
                        await call(channel, Crowd, "let_go")
                running.update(children_of(template))
    assert len(pids) == most
    assert {*pids} == running
