"""Who a caller is on this machine, by a name service that the tests make up.

tests/impersonation/test_users.py asks the real one.
"""

import grp
import logging
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from signetrpc.rpc import Identity, LocalUser, Mechanism
from signetrpc.rpc._local_users import LocalUsers, NotImpersonated
from signetrpc.rpc._mapping import NameMapping
from signetrpc.transport import ANONYMOUS, ImpersonationLevel

CALLER = Identity(
    mechanism=Mechanism.KERBEROS,
    realm="EXAMPLE.COM",
    name="caller",
    impersonation=ImpersonationLevel.IMPERSONATE,
)


@dataclass
class NameService:
    """The users and groups of a machine, in place of NSS."""

    users: dict[str, tuple[str, int, int]] = field(
        default_factory=dict[str, tuple[str, int, int]]
    )
    groups: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    names: dict[int, str] = field(default_factory=dict[int, str])

    def add(self, name: str, uid: int, gid: int, *more: int, spelt: str = "") -> None:
        """Add a user; `spelt` is how the name service itself writes the name."""
        self.users[name] = (spelt or name, uid, gid)
        self.groups[spelt or name] = list(more)

    def getpwnam(self, name: str) -> pwd.struct_passwd:
        spelt, uid, gid = self.users[name]
        return pwd.struct_passwd((spelt, "x", uid, gid, "", f"/home/{spelt}", "/bin/a"))

    def getgrouplist(self, name: str, gid: int) -> list[int]:
        return [gid, *self.groups[name], gid]

    def getgrgid(self, gid: int) -> grp.struct_group:
        return grp.struct_group((self.names[gid], "x", gid, []))


@pytest.fixture
def nss(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameService]:
    """Put a name service in the machine's place."""
    service = NameService()
    monkeypatch.setattr(pwd, "getpwnam", service.getpwnam)
    monkeypatch.setattr(os, "getgrouplist", service.getgrouplist)
    monkeypatch.setattr(grp, "getgrgid", service.getgrgid)
    yield service


def named(name: str | None) -> NameMapping:
    """Return a rule that says one name."""

    def rule(caller: Identity, /) -> str | None:
        return name

    return rule


def find(name: str | None = "caller", caller: Identity = CALLER) -> LocalUser:
    """Find the user that a rule names."""
    return LocalUsers(named(name)).find(caller)


def refusal(name: str | None = "caller", caller: Identity = CALLER) -> str:
    """Return why there is none."""
    with pytest.raises(NotImpersonated) as caught:
        find(name, caller)
    return str(caught.value)


def test_a_user_with_all_there_is(nss: NameService) -> None:
    nss.add("caller", 1000, 1005, 200, 1001)
    nss.names = {1005: "callers", 200: "zeta"}
    assert find() == LocalUser(
        name="caller",
        uid=1000,
        gid=1005,
        groups=(200, 1001, 1005),
        group_names=("callers", "zeta"),  # 1001 has no name
        home="/home/caller",
        shell="/bin/a",
    )


def test_the_name_service_spells_the_name(nss: NameService) -> None:
    nss.add("CORP\\Caller", 3000000, 100, 3000001, spelt="CORP\\caller")
    user = find("CORP\\Caller")
    assert user.name == "CORP\\caller"
    assert user.groups == (100, 3000001)


def test_several_rules(nss: NameService) -> None:
    nss.add("second", 1000, 1000)
    users = LocalUsers([named(None), named("second"), named("third")])
    assert users.find(CALLER).name == "second"


# Whom no rule is asked about.


@pytest.mark.parametrize("mechanism", [Mechanism.KERBEROS, Mechanism.NTLM])
def test_identify_is_refused(nss: NameService, mechanism: Mechanism) -> None:
    caller = Identity(mechanism=mechanism, realm="EXAMPLE.COM", name="caller")
    assert refusal(caller=caller) == (
        "the client allows to be identified only (IDENTIFY)"
    )


def test_the_anonymous_are_refused(nss: NameService) -> None:
    assert refusal(caller=ANONYMOUS) == "the caller is anonymous"
    eager = Identity(
        mechanism=Mechanism.ANONYMOUS, impersonation=ImpersonationLevel.DELEGATE
    )
    assert refusal(caller=eager) == "the caller is anonymous"


# Mappings.


def test_no_rule_knows_the_caller(nss: NameService) -> None:
    assert refusal(None) == "no mapping knows the caller"
    with pytest.raises(NotImpersonated, match="no mapping knows the caller"):
        LocalUsers([]).find(CALLER)


def test_a_rule_that_fails_refuses_and_is_logged(
    nss: NameService, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(caller: Identity, /) -> str | None:
        raise RuntimeError("the directory is down")

    nss.add("caller", 1000, 1000)
    with caplog.at_level(logging.ERROR), pytest.raises(NotImpersonated) as caught:
        LocalUsers([broken, named("caller")]).find(CALLER)
    assert str(caught.value) == "the mapping failed: RuntimeError"
    (record,) = caplog.records
    assert record.getMessage() == "mapping caller@EXAMPLE.COM to a local user"
    assert "the directory is down" in caplog.text


# Users.


@pytest.mark.parametrize("name", ["nobody-here", "", "a\0b", "\ud800", "x" * 5000])
def test_a_user_that_is_not_there(name: str) -> None:
    assert refusal(name) == f"there is no user {name!r}"


def test_a_rule_that_returns_no_name() -> None:
    def wrong(caller: Identity, /) -> str | None:
        return cast("str", 1000)

    with pytest.raises(NotImpersonated, match="there is no user 1000"):
        LocalUsers(wrong).find(CALLER)


def test_root_by_any_name_is_refused(nss: NameService) -> None:
    nss.add("toor", 0, 1000)
    assert refusal("toor") == "user 'toor' is root"


@pytest.mark.parametrize("uid", [65534, 65535, 2**32 - 1, 2**32 - 2, -1, -2])
def test_ids_that_stand_for_nobody_are_refused(nss: NameService, uid: int) -> None:
    nss.add("caller", uid, 1000)
    assert refusal() == f"user 'caller' has the id {uid}, which stands for nobody"


@pytest.mark.parametrize("uid", [1, 999])
def test_low_ids_are_refused(nss: NameService, uid: int) -> None:
    nss.add("caller", uid, 1000)
    assert refusal() == f"user 'caller' has the id {uid}, lowest allowed 1000"


@pytest.mark.parametrize("at", [0, 1, 2], ids=["real", "effective", "saved"])
def test_the_server_itself_is_refused(
    nss: NameService, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    ids = [5000, 5000, 5000]
    ids[at] = 1000
    monkeypatch.setattr(os, "getresuid", lambda: tuple(ids))
    nss.add("caller", 1000, 1000)
    assert refusal() == "user 'caller' is who the server runs as"
    nss.add("caller", 1001, 1001)
    assert find().uid == 1001


# Groups.


@pytest.mark.parametrize(
    ("gid", "why"),
    [
        (0, " 0"),
        (65534, " 65534, which stands for nobody"),
        (65535, " 65535, which stands for nobody"),
        (2**32 - 1, " 4294967295, which stands for nobody"),
        (-1, " -1, which stands for nobody"),
        (99, " 99, lowest allowed 100"),
    ],
)
def test_groups_that_nobody_may_be_in(nss: NameService, gid: int, why: str) -> None:
    nss.add("caller", 1000, gid)
    assert refusal() == f"user 'caller' has the primary group{why}"
    nss.add("caller", 1000, 1000, 1001, gid, 1002)
    assert refusal() == f"user 'caller' has the group{why}"


# The floor.


def test_the_floor_is_settable(nss: NameService) -> None:
    users = LocalUsers(named("caller"), lowest_uid=500, lowest_gid=20)
    nss.add("caller", 500, 20, 21)
    assert users.find(CALLER).groups == (20, 21)
    for uid, gid, more in ((499, 20, 21), (500, 19, 21), (500, 20, 19)):
        nss.add("caller", uid, gid, more)
        with pytest.raises(NotImpersonated, match="lowest allowed"):
            users.find(CALLER)


def test_no_floor_lets_root_in(
    nss: NameService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever runs the tests, the server is somebody else.
    monkeypatch.setattr(os, "getresuid", lambda: (5000, 5000, 5000))
    users = LocalUsers(named("caller"), lowest_uid=-5, lowest_gid=-5)
    for uid, gid, more in ((0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1), (1, 1, -1)):
        nss.add("caller", uid, gid, more)
        with pytest.raises(NotImpersonated):
            users.find(CALLER)
    nss.add("caller", 1, 1, 1)
    assert users.find(CALLER).uid == 1


def test_nothing_is_kept(nss: NameService) -> None:
    users = LocalUsers(named("caller"))
    nss.add("caller", 1000, 1000)
    assert users.find(CALLER).groups == (1000,)
    nss.add("caller", 1000, 1000, 1001)
    assert users.find(CALLER).groups == (1000, 1001)
    nss.users.clear()
    with pytest.raises(NotImpersonated, match="there is no user 'caller'"):
        users.find(CALLER)
