"""The machine of these tests is as it says."""

import os
import pwd
import subprocess
import sys

import pytest

from tests.impersonation.processes import (
    ServerProcess,
    as_plain_user,
    closed_python,
    status_of,
)
from tests.support.people import (
    ALICE,
    BOB,
    EVENS,
    FORBIDDEN,
    PLAIN,
    PROJECTS,
    SERVER,
    People,
    Person,
)

_STATUS = "from tests.impersonation.processes import status_of; print(status_of())"


def run_as(person: Person, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a login of a person would."""
    ids = [f"--reuid={person.name}", f"--regid={person.gid}", "--init-groups"]
    return subprocess.run(
        ["setpriv", *ids, "--", *command], capture_output=True, text=True
    )


@pytest.mark.parametrize(
    "person", [*PLAIN[:4], SERVER, *FORBIDDEN], ids=lambda p: p.name
)
def test_users_are_there(people: People, person: Person) -> None:
    entry = pwd.getpwnam(person.name)
    assert (entry.pw_uid, entry.pw_gid) == (person.uid, person.gid)
    groups = os.getgrouplist(person.name, person.gid)
    assert tuple(sorted(groups)) == person.groups


def test_the_crowd(people: People) -> None:
    crowd = PLAIN[2:]
    assert len(crowd) == len({each.uid for each in crowd}) == 50
    assert [each.name for each in (crowd[0], crowd[-1])] == ["u00", "u49"]
    assert crowd[0].groups == (crowd[0].gid, EVENS)
    assert run_as(crowd[49], "id", "-Gn").stdout.split() == ["u49", "odds"]


def test_homes_are_their_owners_alone(people: People) -> None:
    assert run_as(ALICE, "cat", str(ALICE.secret)).stdout == "of alice"
    other = run_as(ALICE, "cat", str(BOB.secret))
    assert other.returncode != 0 and "Permission denied" in other.stderr
    file = people.square / "of-alice"
    assert run_as(ALICE, "touch", str(file)).returncode == 0
    assert file.stat().st_uid == ALICE.uid


def test_deleted_and_changed_users_come_back(people: People) -> None:
    with people.without(ALICE):
        with pytest.raises(KeyError):
            pwd.getpwnam("alice")
        assert os.getgrouplist("alice", ALICE.gid) == [ALICE.gid]
    with people.changed(Person("alice", ALICE.uid, ALICE.gid)):
        assert os.getgrouplist("alice", ALICE.gid) == [ALICE.gid]
    assert PROJECTS in os.getgrouplist("alice", ALICE.gid)


def test_every_user_can_run_python_unless_it_is_closed(people: People) -> None:
    look = (sys.executable, "-c", "import signetrpc.rpc, os; print(os.getuid())")
    assert run_as(ALICE, *look).stdout == f"{ALICE.uid}\n"
    with closed_python():
        assert run_as(ALICE, *look).returncode != 0
        mine = subprocess.run(look, capture_output=True, text=True)
        assert mine.stdout == "0\n", mine.stderr
    assert run_as(ALICE, *look).stdout == f"{ALICE.uid}\n"


def test_a_plain_user_with_two_capabilities(people: People) -> None:
    done = subprocess.run(
        as_plain_user(sys.executable, "-c", _STATUS),
        capture_output=True,
        text=True,
        check=True,
    )
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
        assert f"'{name}': '00000000000000c0'" in done.stdout
    assert f"'Uid': '{' '.join([str(SERVER.uid)] * 4)}'" in done.stdout
    assert f"'Gid': '{' '.join([str(SERVER.gid)] * 4)}'" in done.stdout
    assert "'Groups': ''" in done.stdout


@pytest.mark.parametrize("plain", [False, True], ids=["root", "plain"])
@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_servers_run_as_root_or_as_a_plain_user(
    people: People, *, plain: bool, flavour: str
) -> None:
    services = ["tests.e2e.trial:Trial"]
    with ServerProcess(
        plain=plain,
        services=services,
        flavour=flavour,
        accounts=str(people.accounts),
        impersonation=None,
    ) as server:
        uid = SERVER.uid if plain else 0
        assert status_of(server.pid)["Uid"].split() == [str(uid)] * 4
        assert server.address.startswith("tcp://127.0.0.1:")


def test_a_server_that_does_not_start_says_why(people: People) -> None:
    with pytest.raises(AssertionError, match="no_such_module"):
        ServerProcess(services=["no_such_module:X"], impersonation=None)


@pytest.mark.parametrize("folder", ["/etc", "/home", "/run", "/tmp"])
def test_what_the_tests_write_to_is_not_the_machine_outside(folder: str) -> None:
    assert os.path.ismount(folder)
