"""Servers and clients are killed, for as long as `scripts/soak` says.

No call runs twice or hangs, and what is left holds what it held at the start.
"""

import random
from itertools import count
from pathlib import Path

import anyio
import pytest

from signetrpc.rpc import (
    ClientCredentials,
    SecurityPolicy,
    StatusCode,
    TicketCache,
    connect,
)
from tests.e2e.ledger import Journal, held, held_by, no_more
from tests.e2e.processes import FLAVOURS, PATIENCE, ServerProcess
from tests.e2e.trouble import way_of
from tests.soak.kills import (
    AT_ONCE,
    ENDS,
    SECONDS,
    Returning,
    kill_a_client,
    under_fire,
)
from tests.support.kdc import SERVICE, Kdc
from tests.support.negotiation import ALICE, account_file
from tests.support.scale import scaled

pytestmark = [pytest.mark.anyio, pytest.mark.soak]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_either_end_is_killed(
    kerberos_environment: Kdc, tmp_path: Path, flavour: str, anyio_backend: str
) -> None:
    mechanism, suite = way_of(FLAVOURS.index(flavour), anyio_backend)
    credentials: ClientCredentials = ALICE
    if mechanism == "kerberos":
        credentials = TicketCache(kerberos_environment.kinit("alice"))
    keytab = kerberos_environment.keytab_file
    accounts = str(account_file(tmp_path).path)
    chance = random.Random(7420)
    journal = Journal(tmp_path / "journal", chance)
    owners = count()

    def start(target: str) -> ServerProcess:
        return ServerProcess(
            env=kerberos_environment.environment(keytab=keytab),
            flavour=flavour,
            accounts=accounts,
            keytab=str(keytab),
            target=target,
        )

    with Returning(start) as server:

        async def client() -> None:
            owner = f"{next(owners)}/"
            await kill_a_client(server.address, journal.path, owner, ALICE)

        async with connect(
            server.address,
            credentials=credentials,
            policy=SecurityPolicy(suites=(suite,)),
            service_principal=SERVICE,
        ) as channel:
            # The first bring in code and fill caches.
            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(journal.make, channel)
            there, here = await held_by(channel), held()
            strikes = {"server": server.kill, "client": client}
            ends = await under_fire(
                [channel], journal, strikes, chance, scaled(SECONDS)
            )
            with anyio.fail_after(PATIENCE):
                no_more(await held_by(channel, at_most=there), there)
            no_more(held(), here)
    assert {*ends} <= ENDS, journal.errors
    assert ends[StatusCode.UNAVAILABLE] > 0
    journal.check()
