"""Users who change while they are served, and users who would be somebody else.

Whom nobody may be at all: test_users.
"""

from pathlib import Path

import anyio
import pytest

from signetrpc.rpc import StatusCode
from tests.impersonation.besieged import VARIANTS, besieged, refused, unharmed
from tests.impersonation.calling import call, calling_as
from tests.impersonation.hostile import Hostile
from tests.impersonation.processes import ServerProcess
from tests.support.people import (
    ALICE,
    BOB,
    CROWD_OF,
    EVENS,
    ODDS,
    SERVER,
    People,
    Person,
)

pytestmark = pytest.mark.anyio

OFTEN = 1e-9
"""Who a caller is is asked again at each call."""


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_user_deleted_while_its_process_runs(
    people: People, variant: tuple[str, bool], anyio_backend: str
) -> None:
    held: list[int] = []
    with besieged(people, variant, recheck_seconds=OFTEN) as server:
        async with unharmed(server), calling_as(ALICE, server.address) as alice:

            async def hold() -> None:
                held.append(await call(alice, Hostile, "hold"))

            worker = await call(alice, Hostile, "worker")
            async with anyio.create_task_group() as group:
                group.start_soon(hold)
                await call(alice, Hostile, "holding")
                with people.without(ALICE), refused(StatusCode.PERMISSION_DENIED):
                    await call(alice, Hostile, "worker")
                # What had begun goes on; nothing has begun since.
                assert held == []
                async with calling_as(ALICE, server.address) as again:
                    await call(again, Hostile, "let_go")
            assert held == [worker]


@pytest.mark.parametrize("variant", VARIANTS)
async def test_who_gets_the_id_of_another_gets_no_process_of_the_others(
    people: People, variant: tuple[str, bool], anyio_backend: str
) -> None:
    with besieged(people, variant) as server:
        async with calling_as(ALICE, server.address) as alice:
            worker = await call(alice, Hostile, "worker")
            whose = await call(alice, Hostile, "user")
            assert whose == f"alice {ALICE.uid} {ALICE.home} {[*ALICE.groups]}"
            with people.changed(Person("bob", ALICE.uid, ALICE.gid, ALICE.more)):
                async with calling_as(BOB, server.address) as bob:
                    assert await call(bob, Hostile, "worker") != worker
                    whose = await call(bob, Hostile, "user")
            assert whose == f"bob {ALICE.uid} {BOB.home} {[*ALICE.groups]}"


@pytest.mark.parametrize("variant", VARIANTS)
async def test_who_leaves_a_group_has_it_in_no_later_call(
    people: People, variant: tuple[str, bool], anyio_backend: str
) -> None:
    with besieged(people, variant, recheck_seconds=OFTEN) as server:
        async with calling_as(ALICE, server.address) as alice:
            for more in (ALICE.more, (), (EVENS,)):
                changed = Person("alice", ALICE.uid, ALICE.gid, more)
                with people.changed(changed):
                    whose = await call(alice, Hostile, "user")
                assert whose.endswith(f" {[*changed.groups]}")


@pytest.mark.parametrize("variant", VARIANTS)
async def test_one_user_does_not_take_all_processes(
    people: People, variant: tuple[str, bool], anyio_backend: str
) -> None:
    limits = {"max_workers": 4, "max_user_workers": 2, "recheck_seconds": OFTEN}
    with besieged(people, variant, **limits) as server:
        async with (
            unharmed(server),
            calling_as(ALICE, server.address) as alice,
            anyio.create_task_group() as group,
        ):
            # As many as there are sets of groups: each has a call under way.
            for number, more in enumerate(((EVENS,), (ODDS,), ())):
                with people.changed(Person("alice", ALICE.uid, ALICE.gid, more)):
                    if number == 2:
                        with refused(StatusCode.RESOURCE_EXHAUSTED):
                            await call(alice, Hostile, "hold")
                        break
                    group.start_soon(call, alice, Hostile, "held")
                    await call(alice, Hostile, "holding")
            async with calling_as(CROWD_OF[0], server.address) as other:
                assert await call(other, Hostile, "worker")
            group.cancel_scope.cancel()


async def test_the_services_own_user_is_nobody_to_be(
    people: People, anyio_backend: str
) -> None:
    for plain in (False, True):
        with ServerProcess(
            plain=plain,
            services=["tests.impersonation.hostile:Hostile"],
            accounts=str(people.accounts),
            impersonation={"mapping": {"server": "server", "alice": "alice"}},
        ) as server:
            async with calling_as(SERVER, server.address) as itself:
                if plain:
                    with refused(StatusCode.PERMISSION_DENIED):
                        await call(itself, Hostile, "worker")
                    said = "user 'server' is who the server runs as"
                    assert said in server.log()
                else:  # for root's service it is a user like any other
                    whose: str = await call(itself, Hostile, "user")
                    assert whose.startswith(f"server {SERVER.uid} ")


@pytest.mark.parametrize("variant", VARIANTS)
async def test_workers_listen_nowhere(
    people: People, variant: tuple[str, bool], anyio_backend: str
) -> None:
    def named() -> set[str]:
        lines = Path("/proc/net/unix").read_text().splitlines()[1:]
        return {" ".join(line.split()[7:]) for line in lines}

    before = named()
    with besieged(people, variant) as server:
        async with calling_as(ALICE, server.address) as alice:
            assert await call(alice, Hostile, "worker")
            assert named() <= before | {""}
