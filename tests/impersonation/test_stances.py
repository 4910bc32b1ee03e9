"""What runs as whom: the method's word, the client's, and what the machine says."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from signetrpc.rpc import (
    ImpersonationLevel,
    LinuxImpersonation,
    RpcError,
    SchemaError,
    Server,
    StatusCode,
    UserTable,
)
from tests.impersonation.calling import call, calling_as
from tests.impersonation.processes import ServerProcess, as_plain_user, status_of
from tests.impersonation.stances import STYLES, Allowing, Mixed, Ran, Unprotected
from tests.impersonation.watching import IdentityWatch, children_of, template_of
from tests.support.people import ALICE, BOB, People

pytestmark = pytest.mark.anyio

LIKE_CALLER = [
    f"{stance}_{style}" for stance in ("allowed", "required") for style in STYLES
]
LIKE_SERVER = [f"not_allowed_{style}" for style in STYLES]
MAPPING = {"alice": "alice"}
"""Bob is nobody here."""


@pytest.fixture(
    scope="module",
    params=[("asyncio", False), ("asyncio", True), ("trio", False), ("trio", True)],
    ids=["asyncio-root", "asyncio-plain", "trio-root", "trio-plain"],
)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    flavour, plain = request.param
    with ServerProcess(
        services=["tests.impersonation.stances:Mixed"],
        flavour=flavour,
        plain=plain,
        accounts=str(people.accounts),
        impersonation={"mapping": MAPPING},
    ) as server:
        with IdentityWatch(server.pid):
            yield server


def uid_of(server: ServerProcess) -> int:
    return int(status_of(server.pid)["Uid"].split()[0])


@pytest.mark.parametrize("name", LIKE_SERVER)
@pytest.mark.parametrize("level", ImpersonationLevel, ids=lambda each: each.name)
async def test_what_must_not_runs_as_the_server_whoever_calls(
    server: ServerProcess, anyio_backend: str, level: ImpersonationLevel, name: str
) -> None:
    for person in (ALICE, BOB):
        async with calling_as(person, server.address, level=level) as channel:
            assert await call(channel, Mixed, name) == Ran(
                uid=uid_of(server),
                impersonated_as="",
                caller=person.name,
                delegated=False,
                pid=server.pid,
            )


@pytest.mark.parametrize("name", LIKE_CALLER)
@pytest.mark.parametrize("level", ["IMPERSONATE", "DELEGATE"])
async def test_what_may_or_must_runs_as_the_caller(
    server: ServerProcess, anyio_backend: str, level: str, name: str
) -> None:
    allowed = ImpersonationLevel[level]
    async with calling_as(ALICE, server.address, level=allowed) as channel:
        ran: Ran = await call(channel, Mixed, name)
    assert (ran.uid, ran.impersonated_as, ran.caller) == (ALICE.uid, "alice", "alice")
    assert not ran.delegated  # NTLM has nothing to delegate
    template = template_of(server.pid)
    assert ran.pid in children_of(template)


@pytest.mark.parametrize("name", LIKE_CALLER)
async def test_identify_lets_nothing_run_as_the_caller(
    server: ServerProcess, anyio_backend: str, name: str
) -> None:
    level = ImpersonationLevel.IDENTIFY
    async with calling_as(ALICE, server.address, level=level) as channel:
        with pytest.raises(RpcError) as caught:
            await call(channel, Mixed, name)
        ran: Ran = await call(channel, Mixed, "not_allowed_waiting")
    assert ran.caller == "alice"
    assert caught.value.status is StatusCode.PERMISSION_DENIED
    assert caught.value.message == (
        f"impersonation.Mixed/{name} runs as its caller, who lets the server only "
        "IDENTIFY it: connect with impersonation=IMPERSONATE"
    )


@pytest.mark.parametrize("name", LIKE_CALLER)
async def test_who_is_nobody_here_runs_nothing_as_a_caller(
    server: ServerProcess, anyio_backend: str, name: str
) -> None:
    async with calling_as(BOB, server.address) as channel:
        with pytest.raises(RpcError) as caught:
            await call(channel, Mixed, name)
        ran: Ran = await call(channel, Mixed, "not_allowed_waiting")
    assert (ran.uid, ran.caller) == (uid_of(server), "bob")
    assert caught.value.status is StatusCode.PERMISSION_DENIED
    assert caught.value.message == "the caller has no local user to run as"
    assert r"PEOPLE\bob cannot be impersonated: " in server.log()


async def test_state_is_shared_in_the_server_and_a_callers_own_elsewhere(
    people: People, anyio_backend: str
) -> None:
    with ServerProcess(
        services=["tests.impersonation.stances:Mixed"],
        flavour=anyio_backend,
        accounts=str(people.accounts),
    ) as server:
        counts: list[tuple[int, int]] = []
        for person in (ALICE, BOB, ALICE):
            async with calling_as(person, server.address) as channel:
                shared = await call(channel, Mixed, "count_shared")
                counts.append((shared, await call(channel, Mixed, "count_own")))
    assert counts == [(1, 1), (2, 1), (3, 2)]


@pytest.mark.parametrize("style", STYLES)
async def test_without_an_impersonator_what_may_runs_as_the_server(
    people: People, anyio_backend: str, style: str
) -> None:
    with ServerProcess(
        services=["tests.impersonation.stances:Allowing"],
        flavour=anyio_backend,
        accounts=str(people.accounts),
        impersonation=None,
    ) as server:
        for level in ImpersonationLevel:
            async with calling_as(BOB, server.address, level=level) as channel:
                assert await call(channel, Allowing, style) == Ran(
                    uid=0,
                    impersonated_as="",
                    caller="bob",
                    delegated=False,
                    pid=server.pid,
                )
        assert children_of(server.pid) == set()
        assert "no caller is impersonated" in server.log()


# Refused before anything is served.


def test_what_must_run_as_its_caller_needs_an_impersonator() -> None:
    with pytest.raises(SchemaError, match="has to run as its caller, and this server"):
        Server([Mixed])


def test_what_nobody_proves_cannot_run_as_its_caller(people: People) -> None:
    impersonate = LinuxImpersonation(mapping=UserTable({}))
    says = "impersonation.Unprotected/ping has protection NONE, so nobody knows"
    with pytest.raises(SchemaError, match=says):
        Server([Unprotected], impersonate=impersonate)
    assert Server([Unprotected]).service_names == ("impersonation.Unprotected",)


def test_who_may_not_be_others_impersonates_nobody(people: People) -> None:
    program = (
        "from signetrpc.rpc import LinuxImpersonation, Server, UserTable\n"
        "Server([], impersonate=LinuxImpersonation(mapping=UserTable({})))\n"
    )
    both = as_plain_user(sys.executable, "-c", program)
    ids = [word for word in both if not word.startswith(("--inh", "--amb", "--bound"))]
    for command, missing in (
        (both, ""),
        (ids, "CAP_SETGID and CAP_SETUID"),
        ([word.replace(",+setgid", "") for word in both], "CAP_SETGID"),
        ([word.replace(",+setuid", "") for word in both], "CAP_SETUID"),
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert bool(done.returncode) is bool(missing), done.stderr
        says = f"ImpersonationError: impersonation needs {missing}: run the server"
        assert (says in done.stderr) is bool(missing)


# What a caller's process is, from outside.


async def test_a_callers_process_has_nothing_of_the_servers(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with calling_as(ALICE, server.address) as channel:
        ran: Ran = await call(channel, Mixed, "allowed_waiting")
    status = status_of(ran.pid)
    for name in ("Uid", "Gid"):
        found = ALICE.uid if name == "Uid" else ALICE.gid
        assert status[name].split() == [str(found)] * 4
    assert status["Groups"].split() == [str(each) for each in ALICE.groups]
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0
    assert (status["NoNewPrivs"], status["Umask"]) == ("1", "0077")


@pytest.mark.parametrize("which", ["template", "warden"])
async def test_the_template_and_its_warden_have_two_capabilities(
    server: ServerProcess, anyio_backend: str, which: str
) -> None:
    (warden,) = children_of(server.pid)
    status = status_of(template_of(server.pid) if which == "template" else warden)
    assert status["Threads"] == "1"
    for name in ("CapPrm", "CapEff"):
        assert int(status[name], 16) == 0xC0  # setgid and setuid
    assert int(status["CapAmb"], 16) == 0
    assert status["Uid"].split() == [str(uid_of(server))] * 4
