"""What callers delegate, in the processes that run as them: theirs and nothing else."""

import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from signetrpc.rpc import Channel, RpcError, StatusCode, TicketCache, UnaryMethod
from signetrpc.rpc._decorators import service_definition
from tests.e2e.hops import Stop, hopping
from tests.e2e.processes import ServerProcess as PlainServer
from tests.impersonation.processes import ServerProcess
from tests.impersonation.purse import Holding, Purse
from tests.support.delegation import without_granting_ticket
from tests.support.kdc import OTHER_SERVICE, REALM
from tests.support.ldap_kdc import BACK, FRONT, LdapKdc
from tests.support.people import ALICE, BOB, People, Person

pytestmark = pytest.mark.anyio

TGT = f"krbtgt/{REALM}@{REALM}"


@dataclass(frozen=True)
class World:
    """A front that runs as its callers, a back that does not, and their KDC."""

    kdc: LdapKdc
    front: ServerProcess
    back: PlainServer

    @asynccontextmanager
    async def front_as(
        self, credentials: TicketCache, level: str = "DELEGATE"
    ) -> AsyncGenerator[Channel]:
        """Connect to the front."""
        stop = Stop(self.front.address, FRONT, level)
        async with hopping(stop, credentials) as channel:
            yield channel

    def forwardable(self, person: Person) -> TicketCache:
        """Log somebody in who can forward."""
        return TicketCache(self.kdc.kinit(person.name, forwardable=True))

    async def beyond(self, channel: Channel) -> str:
        """Have the front call the back; return whom that saw."""
        where = {"address": self.back.address, "service_principal": BACK}
        found: str = await _call(channel, "seen_beyond", **where)
        return found


async def _call(channel: Channel, name: str, **arguments: Any) -> Any:
    wanted = service_definition(Purse).handlers[f"impersonation.Purse/{name}"].method
    assert isinstance(wanted, UnaryMethod)
    return await channel.unary(wanted, wanted.arguments(**arguments))


@pytest.fixture(params=[False, True], ids=["root", "plain"])
def world(
    request: pytest.FixtureRequest,
    people: People,
    ldap_kdc: LdapKdc,
    anyio_backend: str,
) -> Iterator[World]:
    keytab = people.open_kerberos(ldap_kdc)
    with ExitStack() as stack:
        front = stack.enter_context(
            ServerProcess(
                plain=request.param,
                services=["tests.impersonation.purse:Purse"],
                flavour=anyio_backend,
                keytab=str(keytab),
                delegate_to=[BACK, OTHER_SERVICE],
            )
        )
        back = stack.enter_context(
            PlainServer(
                env=dict(os.environ),
                flavour=anyio_backend,
                keytab=str(ldap_kdc.keytab(BACK)),
            )
        )
        yield World(ldap_kdc, front, back)


async def test_a_forwarded_ticket_is_the_workers_own_cache(world: World) -> None:
    async with world.front_as(world.forwardable(ALICE)) as channel:
        holding: Holding = await _call(channel, "holding")
        assert holding == Holding(ALICE.uid, [TGT], f"600 {ALICE.uid}")
        assert await world.beyond(channel) == f"alice@{REALM}"
        assert await _call(channel, "kvno", service_principal=OTHER_SERVICE)


async def test_two_callers_at_once_never_mix(world: World) -> None:
    found: dict[Person, list[str]] = {ALICE: [], BOB: []}

    async def calls(person: Person) -> None:
        async with world.front_as(world.forwardable(person)) as channel:
            for _ in range(6):
                found[person].append(await world.beyond(channel))

    async with anyio.create_task_group() as group:
        for person in found:
            group.start_soon(calls, person)
    for person, seen in found.items():
        assert seen == [f"{person.name}@{REALM}"] * 6


async def test_of_a_constrained_one_the_worker_has_the_callers_tickets_alone(
    world: World,
) -> None:
    credentials = without_granting_ticket(world.kdc, "alice", FRONT)
    async with world.front_as(credentials) as channel:
        holding: Holding = await _call(channel, "holding")
        tickets = [f"{BACK}@{REALM}"]
        assert holding == Holding(ALICE.uid, tickets, f"600 {ALICE.uid}")
        assert await world.beyond(channel) == f"alice@{REALM}"
        assert await _call(channel, "kvno", service_principal=BACK)
        for other in (OTHER_SERVICE, FRONT):
            assert not await _call(channel, "kvno", service_principal=other)
    assert f"no ticket of alice@{REALM} for {OTHER_SERVICE}" in world.front.log()


async def test_who_delegates_nothing_has_a_worker_without_tickets(
    world: World,
) -> None:
    not_forwardable = TicketCache(world.kdc.kinit("alice"))
    forwardable = world.forwardable(ALICE)
    for credentials, level, hint in (
        (not_forwardable, "DELEGATE", "kinit -f"),
        (forwardable, "IMPERSONATE", "the client allows IMPERSONATE"),
    ):
        async with world.front_as(credentials, level) as channel:
            assert await _call(channel, "holding") == Holding(ALICE.uid, [], "")
            with pytest.raises(RpcError) as caught:
                await world.beyond(channel)
        assert caught.value.status is StatusCode.FAILED_PRECONDITION
        assert hint in caught.value.message


async def test_a_worker_that_was_given_tickets_is_its_sessions_alone(
    world: World,
) -> None:
    async with (
        world.front_as(world.forwardable(ALICE)) as delegating,
        world.front_as(world.forwardable(ALICE), "IMPERSONATE") as other,
    ):
        assert (await _call(delegating, "holding")).tickets == [TGT]
        assert (await _call(other, "holding")).tickets == []
        assert (await _call(delegating, "holding")).tickets == [TGT]
