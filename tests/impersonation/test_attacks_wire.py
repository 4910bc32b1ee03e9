"""A handler that writes to the service's sockets itself is believed of nothing."""

from collections.abc import Iterator

import anyio
import pytest

from signetrpc.rpc import StatusCode
from tests.impersonation.besieged import (
    VARIANTS,
    besieged,
    cut_off,
    do,
    perhaps_refused,
    refused,
    unharmed,
)
from tests.impersonation.calling import call, calling_as
from tests.impersonation.forging import FORGED_LINE
from tests.impersonation.hostile import Hostile
from tests.impersonation.processes import ServerProcess
from tests.impersonation.watching import settled
from tests.support.people import ALICE, People

pytestmark = pytest.mark.anyio

FATAL = (
    "garbage",
    "garbage in a record",
    "a frame too long",
    "an answer to no call",
    "pings",
)
"""What breaks the rules costs the process its life."""


@pytest.fixture(scope="module", params=VARIANTS)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with besieged(people, request.param) as server:
        yield server


@pytest.mark.parametrize("forgery", FATAL)
async def test_a_handler_that_writes_garbage(
    server: ServerProcess, forgery: str, anyio_backend: str
) -> None:
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        async with cut_off(alice):
            with perhaps_refused(StatusCode.UNAVAILABLE):
                await do(alice, forgery)


async def test_a_handler_that_shuts_the_connections_of_its_process(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        for _ in range(2):
            with refused(StatusCode.UNAVAILABLE):
                await do(alice, "shut")
            assert await call(alice, Hostile, "worker")


@pytest.mark.parametrize("forgery", ["garbage as control", "send files"])
async def test_a_handler_that_writes_to_the_control_socket(
    server: ServerProcess, forgery: str, anyio_backend: str
) -> None:
    """Nobody takes files: the packet ends the process, and no descriptor stays."""
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        async with cut_off(alice):
            with perhaps_refused(StatusCode.UNAVAILABLE):
                await do(alice, forgery)
    assert "files come with this" not in server.log()


async def test_answers_to_a_call_that_has_ended_are_nothing(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        worker = await call(alice, Hostile, "worker")
        assert await do(alice, "answers to an old call") != ""
        assert await call(alice, Hostile, "worker") == worker


async def test_an_answer_to_a_call_that_the_service_runs_itself(
    server: ServerProcess, anyio_backend: str
) -> None:
    heard: list[str] = []

    async def served() -> None:
        heard.append(await call(alice, Hostile, "served"))

    async with calling_as(ALICE, server.address) as alice:
        async with anyio.create_task_group() as group:
            group.start_soon(served)  # one of its first two calls
            await call(alice, Hostile, "serving")
            await call(alice, Hostile, "forge", call_ids=[1, 2], text="forged")
            assert heard == []
            await call(alice, Hostile, "serve_on")
        assert heard == [f"by {server.pid}"]


async def test_a_caller_can_deceive_itself_alone(
    server: ServerProcess, anyio_backend: str
) -> None:
    """All calls of one user run in one process, and may answer each other."""
    heard: list[str] = []

    async def hold() -> None:
        heard.append(await call(alice, Hostile, "held"))

    async with (
        unharmed(server) as bob,
        calling_as(ALICE, server.address) as alice,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(hold)  # one of its first two calls
            await call(alice, Hostile, "holding")
            await call(alice, Hostile, "forge", call_ids=[1, 2], text="forged")
        assert heard == ["forged"]
        assert await call(bob, Hostile, "worker")


async def test_what_handlers_log_is_marked_as_theirs(
    server: ServerProcess, anyio_backend: str
) -> None:
    before = len(server.log())
    said = f"end\nINFO:signetrpc.audit:principal=root\n{FORGED_LINE}\x1b[1A"
    async with calling_as(ALICE, server.address) as alice:
        assert await do(alice, "forge log") == ""
        for logger in ("signetrpc.rpc", "signetrpc.audit", "root"):
            await call(alice, Hostile, "say", logger=logger, text=said)
        await call(alice, Hostile, "say", logger="last", text="the last of it")
        await settled(lambda: "last: the last of it" in server.log()[before:])
    lines = server.log()[before:].splitlines()
    marked = ("    | ", "CRITICAL:signetrpc.worker:worker ", "INFO:signetrpc.worker:")
    forged = [line for line in lines if FORGED_LINE in line or "=root" in line]
    assert len(forged) >= 8
    assert [line for line in forged if not line.startswith(marked)] == []
    assert not any("\x1b" in line or "\r" in line for line in lines)


async def test_the_audit_is_the_services_alone(
    server: ServerProcess, anyio_backend: str
) -> None:
    before = len(server.log())
    async with calling_as(ALICE, server.address) as alice:
        await call(alice, Hostile, "say", logger="signetrpc.audit", text="a record")
        await call(alice, Hostile, "user")
        await settled(lambda: "Hostile/user " in server.log()[before:])
    lines = server.log()[before:].splitlines()
    assert [line for line in lines if line.endswith("signetrpc.audit: a record")]
    records = [line for line in lines if line.split(":")[1:2] == ["signetrpc.audit"]]
    assert len([each for each in records if "Hostile/user " in each]) == 1
    for line in records:
        assert line.startswith('INFO:signetrpc.audit:principal="PEOPLE\\\\')
        assert "a record" not in line
