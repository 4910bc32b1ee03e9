"""The ready services beside handlers that run as their callers."""

from collections.abc import Iterator

import anyio
import pytest

from signetrpc.rpc.health_client import HealthClient, ServingStatus
from signetrpc.rpc.statistics_client import StatisticsClient
from tests.impersonation.calling import call, calling_as
from tests.impersonation.errands import Errands
from tests.impersonation.processes import ServerProcess
from tests.support.people import ALICE, BOB, People

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(people: People) -> Iterator[ServerProcess]:
    with ServerProcess(
        services=[
            "tests.impersonation.errands:Errands",
            "signetrpc.rpc.health:Health",
            "signetrpc.rpc.statistics:Statistics",
        ],
        plain=True,
        accounts=str(people.accounts),
    ) as server:
        yield server


async def test_workers_and_their_calls_are_told(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with calling_as(ALICE, server.address) as alice:
        async with calling_as(BOB, server.address) as bob:
            client = StatisticsClient(bob)
            assert await HealthClient(bob).check() is ServingStatus.SERVING
            async with anyio.create_task_group() as group:

                async def hold() -> None:
                    await call(alice, Errands, "hold", key=anyio_backend)

                group.start_soon(hold)
                while not (
                    busy := [
                        worker.user
                        for worker in (await client.server()).workers
                        if worker.calls_open
                    ]
                ):
                    await anyio.lowlevel.checkpoint()
                assert busy == ["alice"]
                told = await client.connections()
                # The last to come: connections of others may not have ended quite yet.
                assert [each.traffic.calls_open for each in told[-2:]] == [1, 1]
                group.cancel_scope.cancel()
            traffic = (await client.server()).traffic
            while traffic.calls_open > 1:
                traffic = (await client.server()).traffic
            assert traffic.calls_failed["CANCELLED"] >= 1
