"""A handler that takes all it can get is bounded, and the others' calls go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from signetrpc.rpc import StatusCode
from tests.impersonation.besieged import (
    VARIANTS,
    besieged,
    cut_off,
    do,
    refused,
    unharmed,
)
from tests.impersonation.calling import call, calling_as
from tests.impersonation.floods import CHILDREN, LINES
from tests.impersonation.hostile import STYLES, Hostile
from tests.impersonation.processes import ServerProcess, status_of
from tests.impersonation.watching import processes, settled
from tests.support.people import ALICE, People, Person

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024

STALL_SECONDS = 4.0
"""Longer than a busy machine keeps a process from answering."""


@pytest.fixture(scope="module", params=VARIANTS)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    limits = {"max_memory_bytes": 256 * MEBIBYTE, "stall_seconds": STALL_SECONDS}
    with besieged(people, request.param, **limits) as server:
        yield server


def processes_of(person: Person) -> set[int]:
    """Return the processes that run as a person."""
    found: set[int] = set()
    for pid in processes():
        try:
            uid = status_of(pid)["Uid"].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        if uid == str(person.uid):
            found.add(pid)
    return found


async def test_a_handler_that_holds_its_event_loop_up(
    server: ServerProcess, anyio_backend: str
) -> None:
    style = "waiting" if anyio_backend == "asyncio" else "inline"
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        async with cut_off(alice):
            with refused(StatusCode.UNAVAILABLE):
                await do(alice, "spin", style)
    assert "of alice does not react: killed" in server.log()


async def test_a_handler_that_computes_for_ever_in_a_thread(
    server: ServerProcess, anyio_backend: str
) -> None:
    """Its caller's deadline ends the call, and its caller's other calls go on."""
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        worker = await call(alice, Hostile, "worker")
        with refused(StatusCode.DEADLINE_EXCEEDED):
            await call(alice, Hostile, "threaded", deed="spin", timeout=0.2)
        assert await call(alice, Hostile, "worker") == worker
        with refused(StatusCode.UNAVAILABLE):
            await do(alice, "kill")


@pytest.mark.parametrize("style", STYLES)
async def test_a_handler_that_wants_all_memory(
    server: ServerProcess, style: str, anyio_backend: str
) -> None:
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        assert await do(alice, "memory", style) == "MemoryError"
        assert await call(alice, Hostile, "worker")


async def test_a_handler_that_takes_all_descriptors(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        worker = await call(alice, Hostile, "worker")
        assert await do(alice, "files") == "24"  # EMFILE
        # It cannot take another connection, and so another process does.
        async with calling_as(ALICE, server.address) as again:
            assert await call(again, Hostile, "worker") != worker


async def test_programs_that_are_left_behind_are_ended(
    server: ServerProcess, anyio_backend: str
) -> None:
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        assert await do(alice, "children") == ""
        worker = await call(alice, Hostile, "worker")
        # Those with a parent stay with it, and go with it.
        await settled(lambda: len(processes_of(ALICE)) == 1 + CHILDREN)
        with refused(StatusCode.UNAVAILABLE):
            await do(alice, "kill")
        await settled(lambda: not processes_of(ALICE))
        assert not Path(f"/proc/{worker}").exists()


@pytest.mark.parametrize("flood", ["log", "print"])
async def test_a_handler_that_floods_the_log(
    server: ServerProcess, flood: str, anyio_backend: str
) -> None:
    before = len(server.log())
    async with unharmed(server), calling_as(ALICE, server.address) as alice:
        assert await do(alice, flood) == ""
        await settled(lambda: " records lost\n" in server.log()[before:])
        written = server.log()[before:]
        assert 0 < written.count(" of a flood\n") < LINES / 10
        assert len(written) < MEBIBYTE
        assert await call(alice, Hostile, "worker")
