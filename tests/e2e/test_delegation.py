"""Calls that go on in their caller's name, through processes and real KDCs."""

from collections.abc import Iterator
from contextlib import ExitStack

import anyio
import pytest

from signetrpc.rpc import (
    ImpersonationLevel,
    Password,
    RpcError,
    StatusCode,
    TicketCache,
)
from signetrpc.transport import DelegationKind
from tests.e2e.hops import Seen, Stop, hopping, onward
from tests.e2e.processes import ServerProcess
from tests.support.delegation import without_granting_ticket
from tests.support.kdc import OTHER_SERVICE, REALM, SERVICE, USERS, Kdc
from tests.support.ldap_kdc import BACK, FRONT, LdapKdc

ALICE, BOB = f"alice@{REALM}", f"bob@{REALM}"
FORWARDED = DelegationKind.FORWARDED.value
CONSTRAINED = DelegationKind.CONSTRAINED.value
IMPERSONATE = ImpersonationLevel.IMPERSONATE.name

pytestmark = pytest.mark.anyio


@pytest.fixture
def realm(kerberos_environment: Kdc) -> Kdc:
    return kerberos_environment


@pytest.fixture
def stops(realm: Kdc, anyio_backend: str) -> Iterator[tuple[Stop, Stop]]:
    """Two servers, each in a process of its own and without tickets of its own."""
    with ExitStack() as stack:
        front, back = (
            stack.enter_context(
                ServerProcess(
                    env=realm.environment(),
                    flavour=anyio_backend,
                    keytab=str(realm.keytab(service)),
                )
            )
            for service in (SERVICE, OTHER_SERVICE)
        )
        yield Stop(front.address, SERVICE), Stop(back.address, OTHER_SERVICE)


def _forwardable(realm: Kdc, user: str = "alice") -> TicketCache:
    return TicketCache(realm.kinit(user, forwardable=True))


async def test_the_last_server_sees_the_first_client(
    realm: Kdc, stops: tuple[Stop, Stop]
) -> None:
    front, back = stops
    for credentials in (_forwardable(realm), Password(ALICE, USERS["alice"])):
        async with hopping(front, credentials) as channel:
            # And over a third hop, from the second server back to the first.
            seen = await onward(channel, [back, front])
    assert seen == [Seen(ALICE, FORWARDED)] * 3


async def test_it_ends_where_the_level_says(
    realm: Kdc, stops: tuple[Stop, Stop]
) -> None:
    front, back = stops
    last = Stop(back.address, back.service_principal, IMPERSONATE)
    async with hopping(front, _forwardable(realm)) as channel:
        seen = await onward(channel, [last])
        assert seen == [Seen(ALICE, FORWARDED), Seen(ALICE, "")]
        with pytest.raises(RpcError) as caught:
            await onward(channel, [last, front])
    assert caught.value.status is StatusCode.FAILED_PRECONDITION
    assert "the client allows IMPERSONATE" in caught.value.message


async def test_a_ticket_that_is_not_forwardable_says_how_to_get_one(
    realm: Kdc, stops: tuple[Stop, Stop]
) -> None:
    front, back = stops
    async with hopping(front, TicketCache(realm.kinit("alice"))) as channel:
        assert await onward(channel, []) == [Seen(ALICE, "")]
        with pytest.raises(RpcError) as caught:
            await onward(channel, [back])
    assert caught.value.status is StatusCode.FAILED_PRECONDITION
    assert "not forwardable" in caught.value.message
    assert "kinit -f" in caught.value.message


async def test_two_callers_at_once_never_mix(
    realm: Kdc, stops: tuple[Stop, Stop]
) -> None:
    front, back = stops
    rounds = 12
    found: dict[str, list[list[Seen]]] = {ALICE: [], BOB: []}

    async def calls(principal: str) -> None:
        credentials = _forwardable(realm, principal.partition("@")[0])
        async with hopping(front, credentials) as channel:
            for number in range(rounds):
                seen = await onward(channel, [back], meeting=f"{number}", callers=2)
                found[principal].append(seen)

    async with anyio.create_task_group() as group:
        for principal in found:
            group.start_soon(calls, principal)
    for principal, seen in found.items():
        assert seen == [[Seen(principal, FORWARDED)] * 2] * rounds


@pytest.fixture
def allowed(
    delegation_environment: LdapKdc, anyio_backend: str
) -> Iterator[list[Stop]]:
    """A front that may act for its callers, and the servers it may call and may not."""
    realm = delegation_environment
    with ExitStack() as stack:
        yield [
            Stop(
                stack.enter_context(
                    ServerProcess(
                        env=realm.environment(),
                        flavour=anyio_backend,
                        keytab=str(realm.keytab(service)),
                        delegate_to=targets,
                    )
                ).address,
                service,
            )
            for service, targets in (
                (FRONT, [BACK, OTHER_SERVICE]),
                (BACK, list[str]()),
                (OTHER_SERVICE, list[str]()),
            )
        ]


async def test_a_service_acts_for_its_caller_only_where_the_kdc_lets_it(
    delegation_environment: LdapKdc, allowed: list[Stop]
) -> None:
    front, back, other = allowed
    credentials = without_granting_ticket(delegation_environment, "alice", FRONT)
    async with hopping(front, credentials) as channel:
        seen = await onward(channel, [back])
        # It cannot be passed on: the second server may act for nobody.
        assert seen == [Seen(ALICE, CONSTRAINED), Seen(ALICE, "")]
        with pytest.raises(RpcError) as caught:
            await onward(channel, [other])
    assert caught.value.status is StatusCode.PERMISSION_DENIED
    assert caught.value.message == (
        f"the KDC does not let this service act for {ALICE!r} towards the service "
        f"principal {OTHER_SERVICE!r}"
    )


async def test_constrained_and_forwarded_callers_at_once(
    delegation_environment: LdapKdc, allowed: list[Stop]
) -> None:
    front, back, _ = allowed
    realm = delegation_environment
    found: dict[str, list[Seen]] = {}

    async def calls(principal: str, credentials: TicketCache) -> None:
        async with hopping(front, credentials) as channel:
            seen = await onward(channel, [back], meeting="both", callers=2)
            found[principal] = seen

    async with anyio.create_task_group() as group:
        alone = without_granting_ticket(realm, "alice", FRONT)
        group.start_soon(calls, ALICE, alone)
        group.start_soon(calls, BOB, _forwardable(realm, "bob"))
    assert found == {
        ALICE: [Seen(ALICE, CONSTRAINED), Seen(ALICE, "")],
        BOB: [Seen(BOB, FORWARDED), Seen(BOB, FORWARDED)],
    }


async def test_below_that_level_a_service_acts_for_nobody(
    delegation_environment: LdapKdc, allowed: list[Stop]
) -> None:
    front, back, _ = allowed
    below = Stop(front.address, front.service_principal, IMPERSONATE)
    alone = without_granting_ticket(delegation_environment, "alice", FRONT)
    for credentials in (alone, _forwardable(delegation_environment)):
        async with hopping(below, credentials) as channel:
            assert await onward(channel, []) == [Seen(ALICE, "")]
            with pytest.raises(RpcError, match="the client allows IMPERSONATE"):
                await onward(channel, [back])
