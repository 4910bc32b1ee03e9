"""SPNEGO between two processes: one server with both mechanisms, and downgrades."""

from collections.abc import Iterator

import pytest

from signetrpc.rpc import (
    ClientCredentials,
    Mechanism,
    Password,
    SecurityPolicy,
    TicketCache,
)
from signetrpc.transport import AuthenticationFailed, FailureReason, NegotiationProtocol
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import FLAVOURS, ServerProcess, connected
from tests.e2e.trial import call
from tests.support.kdc import REALM, SERVICE, USERS, Kdc
from tests.support.negotiation import ALICE

NEGOTIATE = NegotiationProtocol.NEGOTIATE
EITHER = SecurityPolicy.allow_ntlm()
STRICT = SecurityPolicy.kerberos_only()

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=FLAVOURS)
def both(
    request: pytest.FixtureRequest, kdc: Kdc, accounts: str
) -> Iterator[ServerProcess]:
    """A server that accepts Kerberos and NTLM."""
    with ServerProcess(
        env=kdc.environment(),
        flavour=request.param,
        keytab=str(kdc.keytab_file),
        accounts=accounts,
    ) as server:
        yield server


async def test_kerberos_where_it_can_be_had(
    both: ServerProcess, kerberos_environment: Kdc
) -> None:
    credentials = TicketCache(kerberos_environment.kinit("alice"))
    async with connected(
        both.address, credentials=credentials, policy=EITHER
    ) as channel:
        seen = await call(channel, "seen")
        assert (seen.mechanism, seen.principal) == ("kerberos", f"alice@{REALM}")
        assert seen.mutual and channel.peer.mutual


async def test_a_password_serves_both(
    both: ServerProcess, kerberos_environment: Kdc
) -> None:
    # A DNS domain is a realm: Kerberos comes first.
    credentials = Password(f"{REALM}\\alice", USERS["alice"])
    async with connected(both.address, credentials=credentials) as channel:
        assert (await call(channel, "seen")).mechanism == "kerberos"
    # A NetBIOS domain is not.
    async with connected(both.address, credentials=ALICE) as channel:
        seen = await call(channel, "seen")
        assert (seen.mechanism, seen.principal) == ("ntlm", r"CORP\alice")
        assert not channel.peer.mutual


@pytest.mark.parametrize("mechanism", ["kerberos", "ntlm"])
async def test_each_mechanism_inside_spnego_and_by_itself(
    both: ServerProcess, kerberos_environment: Kdc, mechanism: str
) -> None:
    credentials: ClientCredentials = ALICE
    if mechanism == "kerberos":
        credentials = TicketCache(kerberos_environment.kinit("alice"))
    for form in (NEGOTIATE, NegotiationProtocol(mechanism)):
        policy = SecurityPolicy(
            mechanisms=frozenset({Mechanism(mechanism)}), negotiation=form
        )
        async with connected(
            both.address, credentials=credentials, policy=policy
        ) as channel:
            assert (await call(channel, "seen")).mechanism == mechanism


async def test_without_a_kdc_the_password_falls_to_ntlm(
    both: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The form of the name asks for NTLM too, and the caller can see which it got.
    monkeypatch.setenv("KRB5_CONFIG", "/dev/null")
    async with connected(
        both.address,
        credentials=Password("carol", "C4rol"),
        service_principal=SERVICE,
    ) as channel:
        assert (await call(channel, "seen")).mechanism == "ntlm"
        assert channel.peer.mechanism is Mechanism.NTLM
        assert not channel.peer.mutual


@pytest.mark.parametrize("form", [NEGOTIATE, NegotiationProtocol.KERBEROS])
async def test_kerberos_is_not_talked_down(
    ntlm_servers: ServerOf,
    anyio_backend: str,
    kerberos_environment: Kdc,
    form: NegotiationProtocol,
) -> None:
    policy = SecurityPolicy(
        mechanisms=STRICT.mechanisms, require_mutual=True, negotiation=form
    )
    with pytest.raises(AuthenticationFailed) as caught:
        async with connected(
            ntlm_servers(anyio_backend).address,
            credentials=TicketCache(kerberos_environment.kinit("alice")),
            policy=policy,
        ):
            raise AssertionError("let in")
    assert caught.value.reason is FailureReason.MECHANISM


async def test_ntlm_is_off_where_nobody_asked_for_it(
    kerberos_servers: ServerOf, anyio_backend: str
) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        async with connected(
            kerberos_servers(anyio_backend).address, credentials=ALICE
        ):
            raise AssertionError("let in")
    assert caught.value.reason is FailureReason.MECHANISM
