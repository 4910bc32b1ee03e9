"""A handler that tries to become somebody else stays who it is, and so do its programs.

`CLIMBS` compares the rights of its thread before and after each attempt by itself.
"""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.impersonation.besieged import (
    VARIANTS,
    besieged,
    cut_off,
    do,
    trespasses_of,
    unharmed,
)
from tests.impersonation.calling import call, calling_as
from tests.impersonation.climbing import CLIMBS
from tests.impersonation.hostile import STYLES, Hostile
from tests.impersonation.processes import ServerProcess
from tests.impersonation.trespassing import WAYS
from tests.impersonation.watching import children_of, template_of
from tests.support.people import ALICE, SERVER, SET_UID_ID, People

pytestmark = pytest.mark.anyio

DENIED = "PermissionError"
HARMLESS = {
    "setfsuid": {""},
    # The kernel lets everybody say so; nothing comes of it without capabilities.
    "keep capabilities": {""},
    "secure bits": {DENIED, ""},
    "new privileges": {"OSError"},  # EINVAL: it cannot be taken back
    "set-uid program": {f"{ALICE.uid}\n"},
    "set-gid program": {f"{ALICE.gid}\n"},
    "su": {"status 1"},
    "mount": {"status 1", "status 32"},
    # It may be root in a namespace of its own, where files are whose they are.
    "namespace reads": {"status 1"},
    "namespace writes": {"status 1"},
    "namespace uid": {"0\n", "status 1"},
}
"""What becomes of those attempts that are not refused as such."""


@pytest.fixture(scope="module", params=VARIANTS)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with besieged(people, request.param) as server:
        yield server


def test_the_set_uid_program_works(people: People) -> None:
    as_alice = ["setpriv", f"--reuid={ALICE.uid}", f"--regid={ALICE.gid}"]
    command = [*as_alice, "--clear-groups", str(SET_UID_ID), "-u"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "0\n"


@pytest.mark.parametrize("climb", CLIMBS)
async def test_a_handler_that_tries_to_become_root(
    server: ServerProcess, climb: str, anyio_backend: str
) -> None:
    async with calling_as(ALICE, server.address) as alice:
        for style in STYLES:
            assert await do(alice, climb, style) in HARMLESS.get(climb, {DENIED})
    assert not os.path.exists("/etc/planted")


async def test_a_handler_reaches_no_other_process(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with unharmed(server) as bob, calling_as(ALICE, server.address) as alice:
        template = template_of(server.pid)
        assert await call(alice, Hostile, "parent") == template
        others = server.pid, *children_of(server.pid), template, 1
        for pid in (*others, await call(bob, Hostile, "worker")):
            found = await call(alice, Hostile, "trespass", pid=pid)
            assert found == dict.fromkeys([*WAYS, "SIGKILL", "SIGSTOP"], DENIED)


async def test_the_callers_own_account_can_end_its_worker_and_no_more(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with unharmed(server) as bob, calling_as(ALICE, server.address) as alice:
        template = template_of(server.pid)
        others = server.pid, *children_of(server.pid), template
        for pid in (*others, await call(bob, Hostile, "worker")):
            found = trespasses_of(ALICE, pid)
            assert found == dict.fromkeys([*WAYS, "SIGKILL", "SIGSTOP"], DENIED)
        for number in ("SIGKILL", "SIGSTOP"):
            async with cut_off(alice) as worker:
                found = trespasses_of(ALICE, worker, number)
                assert found.pop(number) == ""
                assert found == dict.fromkeys(WAYS, DENIED)


async def test_the_services_own_account_reaches_no_worker(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with calling_as(ALICE, server.address) as alice:
        worker = await call(alice, Hostile, "worker")
        found = trespasses_of(SERVER, worker)
        assert found == dict.fromkeys([*WAYS, "SIGKILL", "SIGSTOP"], DENIED)
        assert await call(alice, Hostile, "worker") == worker
