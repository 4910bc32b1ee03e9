"""A handler that ruins its own process harms its own caller's calls, and no others."""

from collections.abc import Iterator

import pytest

from signetrpc.rpc import StatusCode
from tests.impersonation.besieged import (
    VARIANTS,
    besieged,
    cut_off,
    do,
    next_worker,
    refused,
    unharmed,
)
from tests.impersonation.calling import call, calling_as
from tests.impersonation.hostile import STYLES, Hostile
from tests.impersonation.processes import ServerProcess
from tests.impersonation.ruins import RUINS
from tests.support.people import ALICE, BOB, People

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=VARIANTS)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with besieged(people, request.param) as server:
        yield server


@pytest.mark.parametrize("ruin", RUINS)
async def test_a_handler_that_ends_its_own_process(
    server: ServerProcess, ruin: str, anyio_backend: str
) -> None:
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        async with cut_off(alice):
            style = STYLES[[*RUINS].index(ruin) % len(STYLES)]
            with refused(StatusCode.UNAVAILABLE):
                await do(alice, ruin, style)


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt"])
async def test_a_handler_that_raises_what_ends_a_program(
    server: ServerProcess, error: str, anyio_backend: str
) -> None:
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        # Its last word may be that handlers ended; or the process is faster.
        ended = StatusCode.CANCELLED, StatusCode.UNAVAILABLE
        async with cut_off(alice, *ended):
            with refused(*ended):
                await call(alice, Hostile, "raising", error=error)


async def test_a_process_that_ends_takes_no_other_connection_with_it(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with (
        calling_as(ALICE, server.address) as first,
        calling_as(ALICE, server.address) as second,
    ):
        assert await call(first, Hostile, "worker") == await call(
            second, Hostile, "worker"
        )
        with refused(StatusCode.UNAVAILABLE):
            await do(first, "kill")
        # Both connections stay, and have one process again.
        assert await next_worker(second) == await next_worker(first)


async def test_the_end_of_a_process_is_in_the_log(
    server: ServerProcess, anyio_backend: str
) -> None:
    before = server.log().count(" of bob ended by signal 9")
    async with calling_as(BOB, server.address) as bob:
        async with cut_off(bob):
            with refused(StatusCode.UNAVAILABLE):
                await do(bob, "kill")
    assert server.log().count(" of bob ended by signal 9") == before + 1
