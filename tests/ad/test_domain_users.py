"""Users of a Windows domain as users of this machine, by winbind in NSS."""

import dataclasses
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from signetrpc.rpc import Identity, Mechanism, Winbind
from signetrpc.rpc._local_users import LocalUsers, NotImpersonated
from signetrpc.rpc._mapping import DomainNames
from signetrpc.transport import ImpersonationLevel
from signetrpc.transport._negotiate import AcceptorFactory
from tests.ad.domain import password
from tests.ad.logons import acceptor, client_of
from tests.support.negotiation import ALLOW_NTLM, admit, exchange
from tests.support.samba import DOMAIN, REALM, DomainController

# On its controller, winbind gives every user of the domain the primary group 100.
_USERS = LocalUsers(DomainNames({REALM: DOMAIN}))


@pytest.fixture(autouse=True)
def names(dc: DomainController) -> Iterator[None]:
    """Have NSS ask winbind, whatever the machine outside has it do."""
    file = Path("/etc/nsswitch.conf")
    before = file.read_text()
    file.write_text("passwd: files winbind\ngroup: files winbind\nhosts: files\n")
    yield
    file.write_text(before)


def by_ntlm(user: str) -> Identity:
    """Return the identity of a user who logged on."""
    factory = AcceptorFactory([Winbind()], ALLOW_NTLM)
    server = acceptor(factory)
    exchange(client_of(password(user)), server)
    return admit(server, factory)


def by_kerberos(name: str, realm: str = REALM) -> Identity:
    """Return an identity as a ticket makes it."""
    return Identity(
        mechanism=Mechanism.KERBEROS,
        realm=realm,
        name=name,
        impersonation=ImpersonationLevel.IMPERSONATE,
    )


@pytest.mark.parametrize("user", ["alice", "Carol", "grace"])
def test_callers_are_the_domains_users(user: str) -> None:
    found = _USERS.find(by_ntlm(user))
    entry = pwd.getpwnam(f"{DOMAIN}\\{user}")
    assert (found.uid, found.gid) == (entry.pw_uid, entry.pw_gid)
    assert found.uid >= 3_000_000 and found.gid == 100
    assert found.name.casefold() == f"{DOMAIN}\\{user}".casefold()
    assert set(found.groups) == set(os.getgrouplist(entry.pw_name, entry.pw_gid))
    same = _USERS.find(by_kerberos(user))
    assert (same.uid, same.groups) == (found.uid, found.groups)


def test_a_user_in_hundreds_of_groups() -> None:
    found = _USERS.find(by_ntlm("grace"))
    assert len(found.groups) > 300
    assert {rf"{DOMAIN}\group000", rf"{DOMAIN}\group299"} <= set(found.group_names)


def test_the_domains_administrator_is_root_here_and_refused(
    dc: DomainController,
) -> None:
    # So winbind has it on a controller.
    assert pwd.getpwnam(f"{DOMAIN}\\administrator").pw_uid == 0
    for caller in (
        by_kerberos("Administrator"),
        dataclasses.replace(
            by_kerberos("administrator", DOMAIN), mechanism=Mechanism.NTLM
        ),
    ):
        with pytest.raises(NotImpersonated, match="is root"):
            _USERS.find(caller)


@pytest.mark.parametrize(
    ("name", "realm", "why"),
    [
        ("nobody-there", REALM, r"there is no user 'CORP\\\\nobody-there'"),
        ("alice", "OTHER.EXAMPLE.COM", "no mapping knows the caller"),
        ("host/rpc.corp.example.com", REALM, "no mapping knows the caller"),
        (r"alice\@CORP.EXAMPLE.COM", REALM, "no mapping knows the caller"),
    ],
)
def test_others_are_nobody(name: str, realm: str, why: str) -> None:
    with pytest.raises(NotImpersonated, match=why):
        _USERS.find(by_kerberos(name, realm))
