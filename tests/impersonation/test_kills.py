"""Callers' processes, what makes them, servers and clients are killed.

In full by `scripts/soak`, as tests/soak/test_kills.py without callers' processes.  One
caller comes by Kerberos and one by NTLM, each in another suite.

No call runs twice or hangs, and nobody's process stays.
"""

import os
import random
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

import anyio
import pytest

from signetrpc.rpc import (
    Channel,
    ClientCredentials,
    SecurityPolicy,
    StatusCode,
    TicketCache,
    connect,
)
from tests.e2e.ledger import Journal, held, held_by, no_more
from tests.impersonation.processes import ServerProcess
from tests.impersonation.watching import children_of, running, settled
from tests.soak.kills import (
    AT_ONCE,
    ENDS,
    SECONDS,
    Returning,
    kill_a_client,
    under_fire,
)
from tests.support.kdc import SERVICE, Kdc
from tests.support.parts import Part, require
from tests.support.people import BOB, People
from tests.support.scale import scaled

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

SUITES: Final = ("gss", "aes256gcm")
IDLE_SECONDS: Final = 0.5
"""Short, so that they end by themselves too."""

_numbers = count()


@pytest.fixture
def journal(people: People) -> Journal:
    """One that every caller's process can write to."""
    return Journal(people.square / f"journal {next(_numbers)}", random.Random(7420))


class _Server(Returning[ServerProcess]):
    """A server, its template and its callers' processes."""

    def __init__(self, people: People, keytab: Path, flavour: str) -> None:
        def start(target: str) -> ServerProcess:
            return ServerProcess(
                services=["tests.e2e.ledger:Ledger"],
                flavour=flavour,
                accounts=str(people.accounts),
                keytab=str(keytab),
                target=target,
                impersonation={"idle_seconds": IDLE_SECONDS},
            )

        super().__init__(start)

    @property
    def warden(self) -> set[int]:
        """The parent of the next; none while they are replaced."""
        return children_of(self.process.pid)

    @property
    def template(self) -> set[int]:
        """The process that makes the callers'."""
        return _children_of_all(self.warden)

    @property
    def workers(self) -> set[int]:
        """The callers' processes."""
        return _children_of_all(self.template)

    async def kill_warden(self) -> None:
        await settled(lambda: bool(self.warden))
        _kill(self.warden)

    async def kill_template(self) -> None:
        await settled(lambda: bool(self.template))
        _kill(self.template)

    async def kill_worker(self) -> None:
        await settled(lambda: bool(self.workers))
        _kill(self.workers)


def _children_of_all(pids: set[int]) -> set[int]:
    found: set[int] = set()
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found |= children_of(pid)
    return found


def _kill(pids: set[int]) -> None:
    for pid in sorted(pids)[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def _calling(
    address: str, credentials: ClientCredentials, suite: str
) -> AsyncGenerator[Channel]:
    async with connect(
        address,
        credentials=credentials,
        policy=SecurityPolicy(suites=(suite,)),
        service_principal=SERVICE,
    ) as channel:
        yield channel


async def test_any_of_the_processes_is_killed(
    people: People,
    kdc: Kdc,
    journal: Journal,
    anyio_backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require(Part.GSSAPI)
    keytab = people.open_kerberos(kdc)
    monkeypatch.delenv("KRB5_CONFIG", raising=False)
    ticket = TicketCache(kdc.kinit("alice"))
    suites = SUITES if anyio_backend == "asyncio" else SUITES[::-1]
    chance = random.Random(7420)
    owners = count()
    before = running()
    with _Server(people, keytab, anyio_backend) as server:

        async def client() -> None:
            owner = f"{next(owners)}/"
            await kill_a_client(server.address, journal.path, owner, BOB.credentials)

        async with (
            _calling(server.address, ticket, suites[0]) as alice,
            _calling(server.address, BOB.credentials, suites[1]) as bob,
        ):
            # The first bring in code and fill caches.
            async with anyio.create_task_group() as group:
                for number in range(AT_ONCE):
                    group.start_soon(journal.make, bob if number % 2 else alice)
            await settled(lambda: not server.workers)
            there, here = await held_by(alice), held()
            strikes = {
                "worker": server.kill_worker,
                "template": server.kill_template,
                "warden": server.kill_warden,
                "server": server.kill,
                "client": client,
            }
            ends = await under_fire(
                [alice, bob], journal, strikes, chance, scaled(SECONDS)
            )
            await settled(lambda: len(server.template) == 1 and not server.workers)
            no_more(await held_by(alice, at_most=there), there)
            no_more(held(), here)
    await settled(lambda: running() <= before)
    assert {*ends} <= ENDS, journal.errors
    assert ends[StatusCode.UNAVAILABLE] > 0
    journal.check()
