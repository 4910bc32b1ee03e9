"""Kerberos between two processes, against a real KDC."""

import pytest

from signetrpc.rpc import (
    ClientCredentials,
    Keytab,
    Mechanism,
    Password,
    Protection,
    SecurityPolicy,
    TicketCache,
    connect,
    connect_blocking,
)
from signetrpc.transport import NegotiationProtocol
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import ServerProcess, connected
from tests.e2e.trial import call, call_blocking
from tests.support.kdc import OTHER_SERVICE, REALM, SERVICE, USERS, Kdc

STRICT = SecurityPolicy.kerberos_only()
UNPROTECTED = SecurityPolicy(minimum_protection=Protection.NONE)
ALICE = f"alice@{REALM}"

pytestmark = pytest.mark.anyio


@pytest.fixture
def realm(kerberos_environment: Kdc, monkeypatch: pytest.MonkeyPatch) -> Kdc:
    """The KDC, with alice signed in."""
    ccache = kerberos_environment.kinit("alice")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{ccache}")
    return kerberos_environment


async def test_both_ends_know_each_other(
    realm: Kdc, kerberos_servers: ServerOf, flavour: str
) -> None:
    address = kerberos_servers(flavour).address
    async with connected(address, credentials=TicketCache(), policy=STRICT) as channel:
        assert channel.peer.mutual
        assert channel.peer.mechanism is Mechanism.KERBEROS
        assert channel.peer.name == SERVICE
        for name in ("seen", "seen_in_thread", "seen_inline"):
            seen = await call(channel, name)
            assert seen.principal == ALICE
            assert seen.mechanism == "kerberos"
            assert seen.mutual


async def test_calls_at_each_level(
    realm: Kdc, kerberos_servers: ServerOf, flavour: str
) -> None:
    async with connected(
        kerberos_servers(flavour).address,
        credentials=TicketCache(),
        policy=UNPROTECTED,
    ) as channel:
        for name in ("plain", "signed", "sealed"):
            assert await call(channel, name, text=f"{name} ü") == f"{name} ü"
        assert (await call(channel, "seen_unprotected")).principal == "anonymous"


@pytest.mark.parametrize("form", [NegotiationProtocol.KERBEROS, None])
@pytest.mark.parametrize("kind", ["cache", "named cache", "password", "keytab"])
async def test_each_kind_of_credentials(
    realm: Kdc,
    kerberos_servers: ServerOf,
    anyio_backend: str,
    kind: str,
    form: NegotiationProtocol | None,
) -> None:
    credentials: ClientCredentials
    match kind:
        case "cache":
            principal, credentials = ALICE, TicketCache()
        case "named cache":
            principal = f"bob@{REALM}"
            credentials = TicketCache(realm.kinit("bob"))
        case "password":
            principal = f"bob@{REALM}"
            credentials = Password(principal, USERS["bob"])
        case _:
            principal = f"bob@{REALM}"
            credentials = Keytab(realm.keytab("bob"), "bob")
    policy = SecurityPolicy(
        mechanisms=frozenset({Mechanism.KERBEROS}),
        negotiation=form or NegotiationProtocol.NEGOTIATE,
        require_mutual=True,
    )
    async with connected(
        kerberos_servers(anyio_backend).address,
        credentials=credentials,
        policy=policy,
    ) as channel:
        seen = await call(channel, "seen")
        assert (seen.principal, seen.mutual) == (principal, True)
        assert channel.peer.mutual


async def test_the_service_is_named_by_the_host_as_typed(
    realm: Kdc, kerberos_servers: ServerOf, anyio_backend: str
) -> None:
    target = f"LocalHost:{kerberos_servers(anyio_backend).port}"
    async with connect(target, policy=STRICT) as channel:
        assert channel.peer.name == SERVICE
        assert (await call(channel, "seen")).principal == ALICE


async def test_a_server_with_several_names(realm: Kdc, anyio_backend: str) -> None:
    keytab = realm.keytab(SERVICE, OTHER_SERVICE)
    with ServerProcess(
        env=realm.environment(), flavour=anyio_backend, keytab=str(keytab)
    ) as server:
        for name in (SERVICE, OTHER_SERVICE):
            async with connected(
                server.address, credentials=TicketCache(), service_principal=name
            ) as channel:
                assert channel.peer.name == name
                assert (await call(channel, "seen")).principal == ALICE


def test_the_blocking_client(
    realm: Kdc, kerberos_servers: ServerOf, flavour: str
) -> None:
    with connect_blocking(
        kerberos_servers(flavour).address, policy=STRICT, service_principal=SERVICE
    ) as channel:
        assert channel.peer.mutual
        assert call_blocking(channel, "seen").principal == ALICE
