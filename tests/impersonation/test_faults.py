"""Trouble on the way to callers' processes; see tests/e2e/test_faults.py."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import anyio
import pytest

from signetrpc.rpc import StatusCode
from tests.e2e.faults import Fault
from tests.e2e.ledger import Journal, held, held_by, no_more
from tests.e2e.processes import PATIENCE
from tests.e2e.trouble import AT_ONCE, trouble
from tests.impersonation.calling import calling_as
from tests.impersonation.processes import ServerProcess
from tests.impersonation.watching import (
    IdentityWatch,
    children_of,
    descriptors_of,
    settled,
    template_of,
)
from tests.support.people import ALICE, People

pytestmark = pytest.mark.anyio

IDLE_SECONDS: Final = 0.3


@pytest.fixture
def server(people: People, anyio_backend: str) -> Iterator[ServerProcess]:
    """Root's on one event loop, a plain user's on the other."""
    with (
        ServerProcess(
            services=["tests.e2e.ledger:Ledger"],
            flavour=anyio_backend,
            plain=anyio_backend == "trio",
            accounts=str(people.accounts),
            impersonation={"idle_seconds": IDLE_SECONDS},
        ) as server,
        IdentityWatch(server.pid),
    ):
        yield server


@pytest.mark.parametrize("fault", [*Fault])
async def test_calls_of_all_kinds(
    people: People, server: ServerProcess, anyio_backend: str, fault: Fault
) -> None:
    path = people.square / f"faults {anyio_backend} {fault}"
    journal = Journal(path, random.Random(7420))
    template = template_of(server.pid)

    async def left_alone() -> None:
        await settled(lambda: not children_of(template))

    with anyio.fail_after(3 * PATIENCE):
        async with calling_as(ALICE, server.address) as observer:
            for _ in range(AT_ONCE):  # the first bring in code and fill caches
                assert await journal.make(observer) is StatusCode.OK
            await left_alone()
            there, here = await held_by(observer), held()
            forking = descriptors_of(template)
            await trouble(server.address, ALICE.credentials, journal, fault)
            await left_alone()
            no_more(await held_by(observer, at_most=there), there)
            # The watch opens files of its own in this process, for a moment each.
            await settled(lambda: held().descriptors <= here.descriptors)
            no_more(replace(held(), descriptors=0), here)
            assert descriptors_of(template) <= forking
    assert template_of(server.pid) == template
    journal.check()
