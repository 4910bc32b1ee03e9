"""The groups of a caller, by each mechanism, against what the directory says."""

import re
from collections.abc import Iterable

import msgspec
import pytest

from signetrpc.rpc import (
    ClientCredentials,
    Keytab,
    Protection,
    ServerCredentials,
    TicketCache,
    UnaryMethod,
    Winbind,
    connect,
)
from signetrpc.transport import AuthenticationFailed, FailureReason, NegotiationProtocol
from signetrpc.transport._negotiate import AcceptorFactory
from tests.ad.domain import ALLOW_NTLM, KERBEROS_ONLY, password, serving
from tests.ad.logons import acceptor, client_of
from tests.support.negotiation import admit, exchange, initiator
from tests.support.samba import (
    GROUPS,
    LOCAL_GROUP,
    NESTED_GROUPS,
    SERVICE,
    DomainController,
    run,
)

EVERYBODY = "Domain Users"
# Which a PAC has beside the groups: a domain controller knows the user by a proof.
ASSERTED = "S-1-18-1"
OF = {
    "alice": {*NESTED_GROUPS, LOCAL_GROUP},
    "bob": set[str](),
    "grace": {f"group{number:03}" for number in range(GROUPS)},
}


class _NoArguments(msgspec.Struct):
    pass


GROUPS_OF_CALLER = UnaryMethod[_NoArguments, list[str]](
    service="ad.Mirror",
    name="groups",
    protection=Protection.SEAL,
    arguments=_NoArguments,
    result=list[str],
)


@pytest.fixture(scope="module")
def directory(dc: DomainController) -> dict[str, str]:
    """The SIDs of all accounts and groups, by their names."""
    database = "/var/lib/samba/private/sam.ldb"
    found = run("ldbsearch", "-H", database, "objectSid=*", "objectSid", "cn")
    entries = (
        dict(re.findall(r"^(cn|objectSid): (.+)$", entry, re.M))
        for entry in found.split("\n\n")
    )
    return {
        entry["cn"]: entry["objectSid"]
        for entry in entries
        if len(entry) == 2 and entry["objectSid"].startswith("S-1-5-21-")
    }


def _expected(directory: dict[str, str], user: str) -> set[str]:
    names: Iterable[str] = {user, EVERYBODY, *OF[user]}
    return {directory[name] for name in names}


def test_the_directory_and_winbind_agree(directory: dict[str, str]) -> None:
    for name in ("alice", NESTED_GROUPS[1], LOCAL_GROUP):
        sid, *_ = run("wbinfo", "--name-to-sid", rf"CORP\{name}").split()
        assert directory[name] == sid
    assert set(NESTED_GROUPS) - set(_direct("alice")) == {NESTED_GROUPS[1]}
    assert len(_expected(directory, "grace")) == GROUPS + 2


def _direct(user: str) -> list[str]:
    return run("samba-tool", "user", "getgroups", user).splitlines()


@pytest.mark.parametrize(
    "form", [NegotiationProtocol.KERBEROS, NegotiationProtocol.NEGOTIATE]
)
@pytest.mark.parametrize("user", OF)
def test_kerberos_has_them_from_the_pac(
    dc: DomainController,
    directory: dict[str, str],
    user: str,
    form: NegotiationProtocol,
) -> None:
    factory = AcceptorFactory([Keytab(dc.keytab_file)], KERBEROS_ONLY)
    client = initiator(TicketCache(dc.kinit(user)), form, service=SERVICE)
    server = factory.context(form)
    exchange(client, server)
    identity = admit(server, factory, policy=KERBEROS_ONLY, target=SERVICE)
    assert identity.sids == _expected(directory, user) | {ASSERTED}
    assert client.facts().sids == frozenset()


@pytest.mark.parametrize(
    "form", [NegotiationProtocol.NTLM, NegotiationProtocol.NEGOTIATE]
)
@pytest.mark.parametrize("user", OF)
def test_ntlm_has_them_from_winbind(
    dc: DomainController,
    directory: dict[str, str],
    user: str,
    form: NegotiationProtocol,
) -> None:
    factory = AcceptorFactory([Winbind()], ALLOW_NTLM)
    server = acceptor(factory, form)
    exchange(client_of(password(user), form), server)
    assert admit(server, factory).sids == _expected(directory, user)


def test_a_pac_over_the_limit(
    dc: DomainController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signetrpc.transport._pac.MAX_GROUPS", GROUPS)
    factory = AcceptorFactory([Keytab(dc.keytab_file)], KERBEROS_ONLY)
    form = NegotiationProtocol.KERBEROS
    client = initiator(TicketCache(dc.kinit("grace")), form, service=SERVICE)
    server = factory.context(form)
    exchange(client, server)
    with pytest.raises(AuthenticationFailed, match="301 groups in one list") as caught:
        server.facts()
    assert caught.value.reason is FailureReason.MALFORMED


async def _groups_seen(
    accept: ServerCredentials, credentials: ClientCredentials
) -> set[str]:
    async with serving(accept) as address:
        async with connect(
            address,
            credentials=credentials,
            policy=ALLOW_NTLM,
            service_principal=SERVICE,
        ) as channel:
            seen = await channel.unary(GROUPS_OF_CALLER, _NoArguments())
            return set(seen)


@pytest.mark.anyio
async def test_a_handler_sees_them(
    dc: DomainController, directory: dict[str, str]
) -> None:
    expected = _expected(directory, "alice")
    tickets = TicketCache(dc.kinit("alice"))
    seen = await _groups_seen(Keytab(dc.keytab_file), tickets)
    assert seen == expected | {ASSERTED}
    assert await _groups_seen(Winbind(), password("alice")) == expected


@pytest.mark.anyio
async def test_a_pac_that_cannot_be_read_lets_nobody_in(
    dc: DomainController, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, tickets = Keytab(dc.keytab_file), TicketCache(dc.kinit("grace"))
    with monkeypatch.context() as patch:
        patch.setattr("signetrpc.transport._pac.MAX_GROUPS", GROUPS)
        with pytest.raises(AuthenticationFailed) as caught:
            await _groups_seen(accept, tickets)
    assert "group" not in str(caught.value)  # the server's log has it
    assert len(await _groups_seen(accept, tickets)) == GROUPS + 3
