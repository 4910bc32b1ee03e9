"""Who callers are on a machine with real users."""

import re
import subprocess
import sys

import pytest

from signetrpc.rpc import (
    AuthToLocal,
    Identity,
    LocalUser,
    Mechanism,
    RpcError,
    StatusCode,
    UserTable,
    connect,
)
from signetrpc.rpc._local_users import LocalUsers, NotImpersonated
from signetrpc.transport import ImpersonationLevel
from tests.impersonation.imports import UID, NoArguments
from tests.impersonation.processes import ServerProcess, as_plain_user
from tests.support.kdc import Kdc
from tests.support.parts import Part, require
from tests.support.people import (
    ALICE,
    BOB,
    DOMAIN,
    FORBIDDEN,
    GIDZERO,
    INNOGROUP,
    INROOT,
    LOWGROUP,
    LOWPRIMARY,
    NOBODY,
    NOGROUPPRIMARY,
    OVERFLOW,
    PLAIN,
    PROJECTS,
    SERVER,
    SYSTEM,
    TOOR,
    People,
    Person,
)

pytestmark = pytest.mark.usefixtures("people")

_TABLE = UserTable(
    {
        (Mechanism.NTLM, DOMAIN, each.name): each.name
        for each in (*PLAIN, SERVER, *FORBIDDEN)
    }
)
_USERS = LocalUsers(_TABLE)
_REASONS = {
    TOOR: "user 'toor' is root",
    GIDZERO: "user 'gidzero' has the primary group 0",
    INROOT: "user 'inroot' has the group 0",
    SYSTEM: "user 'system' has the id 900, lowest allowed 1000",
    LOWPRIMARY: "user 'lowprimary' has the primary group 60, lowest allowed 100",
    LOWGROUP: "user 'lowgroup' has the group 60, lowest allowed 100",
    NOBODY: "user 'nobody' has the id 65534, which stands for nobody",
    OVERFLOW: "user 'overflow' has the id 4294967294, which stands for nobody",
    NOGROUPPRIMARY: (
        "user 'nogroupprimary' has the primary group 65534, which stands for nobody"
    ),
    INNOGROUP: "user 'innogroup' has the group 65534, which stands for nobody",
}
_IMPORTS = ["tests.impersonation.imports:Imports"]


def by_ntlm(person: Person) -> Identity:
    """Return the identity of a person who came by NTLM."""
    return Identity(
        mechanism=Mechanism.NTLM,
        realm=DOMAIN,
        name=person.name,
        impersonation=ImpersonationLevel.IMPERSONATE,
    )


@pytest.mark.parametrize("person", PLAIN[:4], ids=lambda each: each.name)
def test_people_are_who_they_are(person: Person) -> None:
    user = _USERS.find(by_ntlm(person))
    more = {PROJECTS: "projects", 21901: "evens", 21902: "odds"}
    assert user == LocalUser(
        name=person.name,
        uid=person.uid,
        gid=person.gid,
        groups=person.groups,
        group_names=tuple(sorted([person.name, *(more[gid] for gid in person.more)])),
        home=str(person.home),
        shell="/bin/sh",
    )


@pytest.mark.parametrize("person", FORBIDDEN, ids=lambda each: each.name)
def test_nobody_is_whom_nobody_may_be(person: Person) -> None:
    with pytest.raises(NotImpersonated) as caught:
        _USERS.find(by_ntlm(person))
    assert str(caught.value) == _REASONS[person]


@pytest.mark.parametrize("target", ["root", "daemon", "nobody", "no-such-user"])
def test_no_table_makes_anybody_another_forbidden_user(target: str) -> None:
    table = UserTable({(Mechanism.NTLM, DOMAIN, "alice"): target})
    with pytest.raises(NotImpersonated, match=target):
        LocalUsers(table).find(by_ntlm(ALICE))


def test_the_server_is_nobody_else() -> None:
    program = (
        "from tests.impersonation.test_users import _USERS, by_ntlm, ALICE, SERVER\n"
        "print(_USERS.find(by_ntlm(ALICE)).uid)\n"
        "_USERS.find(by_ntlm(SERVER))\n"
    )
    done = subprocess.run(
        as_plain_user(sys.executable, "-c", program), capture_output=True, text=True
    )
    assert done.stdout == f"{ALICE.uid}\n"
    # What measures coverage may add that it cannot write as that user.
    said = "NotImpersonated: user 'server' is who the server runs as\n"
    assert said in done.stderr
    assert _USERS.find(by_ntlm(SERVER)).uid == SERVER.uid  # for root it is another


def test_changes_count_at_once(people: People) -> None:
    assert _USERS.find(by_ntlm(BOB)).groups == BOB.groups
    with people.changed(Person("bob", BOB.uid, BOB.gid)):
        assert _USERS.find(by_ntlm(BOB)).groups == (BOB.gid,)
    with people.changed(Person("bob", BOB.uid, BOB.gid, (0,))):
        with pytest.raises(NotImpersonated, match="has the group 0"):
            _USERS.find(by_ntlm(BOB))
    with people.without(BOB):
        with pytest.raises(NotImpersonated, match="there is no user 'bob'"):
            _USERS.find(by_ntlm(BOB))
    assert _USERS.find(by_ntlm(BOB)).groups == BOB.groups


@pytest.mark.parametrize("plain", [False, True], ids=["root", "plain"])
@pytest.mark.anyio
async def test_a_user_deleted_between_handshake_and_call(
    people: People, anyio_backend: str, *, plain: bool
) -> None:
    accounts = str(people.accounts)
    # Asked again with each call: otherwise one may run for as long as is allowed.
    often = {"recheck_seconds": 1e-9}
    with ServerProcess(
        plain=plain, services=_IMPORTS, accounts=accounts, impersonation=often
    ) as server:
        for calls in (0, 1):
            # A new connection, for a refusal stands a while on the old one.
            async with connect(
                server.address, credentials=ALICE.credentials
            ) as channel:
                for _ in range(calls):
                    assert await channel.unary(UID, NoArguments()) == ALICE.uid
                with people.without(ALICE):
                    with pytest.raises(RpcError) as caught:
                        await channel.unary(UID, NoArguments())
                assert caught.value.status is StatusCode.PERMISSION_DENIED
                assert "alice" not in caught.value.message
        log = server.log()
    said = r"PEOPLE\\alice cannot be impersonated: there is no user 'alice'"
    assert len(re.findall(said, log)) == 2


@pytest.mark.parametrize("plain", [False, True], ids=["root", "plain"])
@pytest.mark.anyio
async def test_callers_hear_no_rule(
    people: People, anyio_backend: str, *, plain: bool
) -> None:
    everybody = {each.name: each.name for each in FORBIDDEN} | {"alice": "root"}
    impersonation = {"mapping": everybody}
    heard: set[str] = set()
    with ServerProcess(
        plain=plain,
        services=_IMPORTS,
        accounts=str(people.accounts),
        impersonation=impersonation,
    ) as server:
        for person in (*FORBIDDEN, ALICE, BOB):
            async with connect(
                server.address, credentials=person.credentials
            ) as channel:
                with pytest.raises(RpcError) as caught:
                    await channel.unary(UID, NoArguments())
            assert caught.value.status is StatusCode.PERMISSION_DENIED
            heard.add(caught.value.message)
        log = server.log()
    assert heard == {"the caller has no local user to run as"}
    for reason in (*_REASONS.values(), "user 'root' is root", "no mapping knows"):
        assert reason in log


@pytest.mark.anyio
async def test_kerberos_callers_by_auth_to_local(
    people: People, kdc: Kdc, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(Part.GSSAPI)
    keytab = people.open_kerberos(
        kdc,
        "auth_to_local_names = {",
        "    bob = u07",
        "}",
        "auth_to_local = DEFAULT",
    )
    monkeypatch.delenv("KRB5_CONFIG", raising=False)
    with ServerProcess(plain=True, services=_IMPORTS, keytab=str(keytab)) as server:
        for name, person in (("alice", ALICE), ("bob", PLAIN[2 + 7])):
            monkeypatch.setenv("KRB5CCNAME", f"FILE:{kdc.kinit(name)}")
            async with connect(
                server.address, service_principal="host/localhost"
            ) as channel:
                assert await channel.unary(UID, NoArguments()) == person.uid


def test_principals_of_other_realms_are_nobody(
    people: People, kdc: Kdc, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.open_kerberos(kdc)
    monkeypatch.delenv("KRB5_CONFIG", raising=False)
    users = LocalUsers([AuthToLocal(), _TABLE])

    def by_kerberos(name: str, realm: str) -> Identity:
        return Identity(
            mechanism=Mechanism.KERBEROS,
            realm=realm,
            name=name,
            impersonation=ImpersonationLevel.IMPERSONATE,
        )

    assert users.find(by_kerberos("alice", kdc.realm)).uid == ALICE.uid
    assert users.find(by_ntlm(ALICE)).uid == ALICE.uid
    for name, realm in (
        ("alice", "OTHER.COM"),
        (r"alice\0", kdc.realm),
        (r"alice\/x", kdc.realm),
        ("alice/admin", kdc.realm),
        ("alice", ""),
        ("alice", DOMAIN),
    ):
        with pytest.raises(NotImpersonated, match="no mapping knows the caller"):
            users.find(by_kerberos(name, realm))
    with pytest.raises(NotImpersonated, match="user 'root' is root"):
        users.find(by_kerberos("root", kdc.realm))
