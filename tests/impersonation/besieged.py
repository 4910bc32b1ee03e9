"""A server that is attacked, and how to see that nobody else is harmed."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest

from signetrpc.rpc import Channel, RpcError, StatusCode
from tests.impersonation.calling import call, calling_as
from tests.impersonation.hostile import Hostile
from tests.impersonation.processes import ROOT, ServerProcess
from tests.impersonation.watching import (
    IdentityWatch,
    processes,
    settled,
    template_of,
)
from tests.support.people import BOB, People, Person

__all__ = [
    "VARIANTS",
    "besieged",
    "cut_off",
    "do",
    "is_there",
    "next_worker",
    "perhaps_refused",
    "refused",
    "trespasses_of",
    "unharmed",
]

VARIANTS = [
    pytest.param(("asyncio", False), id="asyncio-root"),
    pytest.param(("trio", True), id="trio-plain"),
]
"""Servers: the event loop; run as a plain user, not as root."""


@contextmanager
def besieged(
    people: People, variant: tuple[str, bool], **impersonation: object
) -> Generator[ServerProcess]:
    """Run a server that stays up, and who it was, whatever is done to it."""
    flavour, plain = variant
    before = processes()
    with (
        ServerProcess(
            services=["tests.impersonation.hostile:Hostile"],
            flavour=flavour,
            plain=plain,
            accounts=str(people.accounts),
            impersonation=impersonation,
        ) as server,
        IdentityWatch(server.pid),
    ):
        template = template_of(server.pid)
        with IdentityWatch(template):
            yield server
        assert template_of(server.pid) == template
    assert processes() - before == set()


async def do(channel: Channel, deed: str, style: str = "threaded") -> str:
    """Have a deed done, and return what became of it."""
    found: str = await call(channel, Hostile, style, deed=deed)
    return found


@asynccontextmanager
async def unharmed(
    server: ServerProcess, person: Person = BOB
) -> AsyncGenerator[Channel]:
    """Have somebody's call be under way meanwhile, and see that it ends well."""
    held: list[int] = []

    async def hold() -> None:
        held.append(await call(channel, Hostile, "hold"))

    async with calling_as(person, server.address) as channel:
        worker = await call(channel, Hostile, "worker")
        async with anyio.create_task_group() as group:
            group.start_soon(hold)
            await call(channel, Hostile, "holding")
            yield channel
            await call(channel, Hostile, "let_go")
        assert held == [worker]


@asynccontextmanager
async def cut_off(channel: Channel, *statuses: StatusCode) -> AsyncGenerator[int]:
    """Have a call of the attacker's own be under way, and see it fail with the process.

    Gives the process's id.  Afterwards it is gone, and calls run in another.
    """

    async def hold() -> None:
        with refused(*statuses or (StatusCode.UNAVAILABLE,)):
            await call(channel, Hostile, "hold")

    worker: int = await call(channel, Hostile, "worker")
    async with anyio.create_task_group() as group:
        group.start_soon(hold)
        await call(channel, Hostile, "holding")
        yield worker
    await settled(lambda: not is_there(worker))
    assert await next_worker(channel) != worker


async def next_worker(channel: Channel) -> int:
    """Return which process runs calls now; one that ended may have got another one."""
    while True:
        try:
            found: int = await call(channel, Hostile, "worker")
        except RpcError as error:
            assert error.status is StatusCode.UNAVAILABLE
        else:
            return found


@contextmanager
def refused(*statuses: StatusCode) -> Generator[pytest.ExceptionInfo[RpcError]]:
    """Expect a call to end with one of some statuses."""
    with pytest.raises(RpcError) as caught:
        yield caught
    assert caught.value.status in statuses


@contextmanager
def perhaps_refused(*statuses: StatusCode) -> Generator[None]:
    """Have a call end well, or with one of some statuses: its process may be faster."""
    try:
        yield
    except RpcError as error:
        assert error.status in statuses


def is_there(pid: int) -> bool:
    """Return whether a process is there, ended or not."""
    return os.path.exists(f"/proc/{pid}")


def trespasses_of(person: Person, pid: int, *signals: str) -> dict[str, str]:
    """Have a program of a person's own, outside of any worker, reach for a process."""
    ids = [f"--reuid={person.uid}", f"--regid={person.gid}", "--init-groups"]
    module = [sys.executable, "-m", "tests.impersonation.trespassing"]
    done = subprocess.run(
        ["setpriv", *ids, "--", *module, str(pid), *signals],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found
