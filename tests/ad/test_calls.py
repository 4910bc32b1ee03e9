"""Calls of a real server in the domain, by each way of logging on."""

import pytest

from signetrpc.rpc import (
    ClientCredentials,
    Keytab,
    Mechanism,
    Password,
    TicketCache,
    Winbind,
    connect,
)
from signetrpc.transport import (
    AuthenticationFailed,
    FailureReason,
    HandshakeError,
    NegotiationProtocol,
    SecurityPolicy,
    listen,
)
from tests.ad.domain import (
    ALLOW_NTLM,
    KERBEROS_ONLY,
    Seen,
    by_kerberos,
    by_ntlm,
    password,
    seen_by,
    serving,
)
from tests.support.samba import OTHER_SERVICE, REALM, SERVICE, USERS, DomainController

pytestmark = pytest.mark.anyio

NTLM_ALONE = SecurityPolicy(negotiation=NegotiationProtocol.NTLM)


async def _refused(
    dc: DomainController,
    credentials: ClientCredentials,
    *,
    policy: SecurityPolicy = ALLOW_NTLM,
    service_principal: str = SERVICE,
) -> HandshakeError:
    accept = (Winbind(), Keytab(dc.keytab_file))
    with pytest.raises(HandshakeError) as caught:
        await seen_by(
            accept, credentials, policy=policy, service_principal=service_principal
        )
    return caught.value


# Kerberos.


async def test_tickets(dc: DomainController) -> None:
    tickets = TicketCache(dc.kinit("alice"))
    seen = await seen_by([Keytab(dc.keytab_file)], tickets, policy=KERBEROS_ONLY)
    assert seen == by_kerberos("alice")


async def test_the_signed_in_user(
    dc: DomainController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{dc.kinit('bob')}")
    seen = await seen_by([Keytab(dc.keytab_file)], None, policy=KERBEROS_ONLY)
    assert seen == by_kerberos("bob")


async def test_a_password(dc: DomainController) -> None:
    credentials = Password(f"alice@{REALM}", USERS["alice"])
    seen = await seen_by([Keytab(dc.keytab_file)], credentials, policy=KERBEROS_ONLY)
    assert seen == by_kerberos("alice")


async def test_a_keytab(dc: DomainController) -> None:
    credentials = Keytab(dc.user_keytab_file, principal=f"alice@{REALM}")
    seen = await seen_by([Keytab(dc.keytab_file)], credentials, policy=KERBEROS_ONLY)
    assert seen == by_kerberos("alice")


async def test_a_user_in_300_groups(dc: DomainController) -> None:
    tickets = TicketCache(dc.kinit("grace"))
    seen = await seen_by([Keytab(dc.keytab_file)], tickets, policy=KERBEROS_ONLY)
    assert seen == by_kerberos("grace")


async def test_a_wrong_password(dc: DomainController) -> None:
    wrong = Password(f"alice@{REALM}", "wr0ng")
    error = await _refused(dc, wrong, policy=KERBEROS_ONLY)
    assert isinstance(error, AuthenticationFailed)
    assert error.reason is FailureReason.BAD_CREDENTIALS


@pytest.mark.parametrize("service", [OTHER_SERVICE, "host/nowhere.corp.example.com"])
async def test_a_service_that_is_not_served(dc: DomainController, service: str) -> None:
    """The KDC has tickets for the first, and the server no key."""
    tickets = TicketCache(dc.kinit("alice"))
    error = await _refused(dc, tickets, policy=KERBEROS_ONLY, service_principal=service)
    assert isinstance(error, AuthenticationFailed)


async def test_a_service_the_server_is_told_not_to_be(dc: DomainController) -> None:
    policy = SecurityPolicy(service_principals=frozenset({OTHER_SERVICE}))
    with pytest.raises(AuthenticationFailed, match="has no key of") as caught:
        await listen(
            "tcp://127.0.0.1:0", accept=[Keytab(dc.keytab_file)], policy=policy
        )
    assert caught.value.reason is FailureReason.NO_CREDENTIALS


# NTLM.


@pytest.mark.parametrize("policy", [NTLM_ALONE, ALLOW_NTLM], ids=["ntlm", "spnego"])
@pytest.mark.parametrize(
    ("user", "typed"),
    [
        ("alice", r"CORP\alice"),
        ("alice", r"corp\ALICE"),
        ("alice", r"\alice"),
        ("alice", r"corp.example.com\Alice"),
        ("Carol", r"CORP\Carol"),
        ("Carol", r"CORP\CAROL"),
        ("grace", r"CORP\grace"),
    ],
)
async def test_ntlm_names_the_domain_s_own_account(
    dc: DomainController, policy: SecurityPolicy, user: str, typed: str
) -> None:
    seen = await seen_by([Winbind()], password(user, typed), policy=policy)
    assert seen == by_ntlm(user.lower())


@pytest.mark.parametrize("policy", [NTLM_ALONE, ALLOW_NTLM], ids=["ntlm", "spnego"])
async def test_ntlm_refusals_read_the_same(
    dc: DomainController, policy: SecurityPolicy
) -> None:
    answers: set[str] = set()
    for typed in (r"CORP\alice", r"CORP\nobody", r"NOWHERE\alice", r"\nobody"):
        error = await _refused(dc, Password(typed, "wr0ng"), policy=policy)
        assert isinstance(error, AuthenticationFailed)
        assert error.reason is FailureReason.REFUSED
        answers.add(str(error))
    assert len(answers) == 1


async def test_ntlm_is_off_where_kerberos_alone_is_allowed(
    dc: DomainController,
) -> None:
    accept = (Winbind(), Keytab(dc.keytab_file))
    async with serving(*accept, policy=KERBEROS_ONLY) as address:
        with pytest.raises(AuthenticationFailed):
            async with connect(
                address, credentials=password("alice"), policy=ALLOW_NTLM
            ):
                pass


async def test_ntlm_cannot_be_mutual(dc: DomainController) -> None:
    policy = SecurityPolicy(
        negotiation=NegotiationProtocol.NTLM,
        mechanisms=frozenset({Mechanism.NTLM}),
        require_mutual=True,
    )
    error = await _refused(dc, password("alice"), policy=policy)
    assert "use Kerberos" in str(error)


# Both.


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        # The domain's DNS name is its realm; of a NetBIOS name nothing tells it.
        (password("alice", rf"{REALM}\alice"), by_kerberos("alice")),
        (password("alice", r"CORP\alice"), by_ntlm("alice")),
    ],
    ids=["realm", "domain"],
)
async def test_negotiate_chooses_kerberos_where_it_can(
    dc: DomainController, credentials: Password, expected: Seen
) -> None:
    accept = (Winbind(), Keytab(dc.keytab_file))
    assert await seen_by(accept, credentials) == expected


async def test_a_client_of_kerberos_is_not_talked_down(dc: DomainController) -> None:
    credentials = password("alice", rf"{REALM}\alice")
    with pytest.raises(HandshakeError):
        await seen_by([Winbind()], credentials, policy=KERBEROS_ONLY)
    assert await seen_by([Winbind()], credentials) == by_ntlm("alice")
