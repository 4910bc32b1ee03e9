"""Real workers of a real template, called without a server before them."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec

from signetrpc.rpc import LinuxImpersonation, LocalUser, UserTable
from signetrpc.rpc._assembly import Buffers
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._codec import Body, encode_value
from signetrpc.rpc._local_users import LocalUsers
from signetrpc.rpc._offer import Offer
from signetrpc.rpc._template import make_setup
from signetrpc.rpc._worker_handle import Worker
from signetrpc.rpc._worker_messages import Setup
from signetrpc.rpc._workers import Workers
from signetrpc.transport import Identity, Mechanism, Protection
from signetrpc.transport._loops import Loop, open_loop
from tests.support.measuring import measured

__all__ = [
    "MEMORY",
    "Crew",
    "Visit",
    "alive",
    "children_of",
    "crew",
    "setup_of",
    "until",
    "user_of",
]

MEMORY: Final = 512 * 1024 * 1024
_NIL: Final = b"\xc0"
_NUMBERS: Final = {"alice": 61001, "bob": 61002}


def user_of(name: str) -> LocalUser:
    """Return a user whom no machine has to know."""
    number = _NUMBERS[name]
    groups = (number, number + 100)
    return LocalUser(name=name, uid=number, gid=number, groups=groups)


def setup_of(offer: bytes, **changed: Any) -> Setup:
    """Return what a template is told, in the running event loop."""
    options = {
        "max_body_bytes": 1 << 20,
        "max_calls": 100,
        "max_threads": 4,
        "max_memory_bytes": MEMORY,
    }
    return make_setup(offer, **(options | changed))


class _Users(LocalUsers):
    def __init__(self) -> None:
        super().__init__(UserTable({}))

    def find(self, caller: Identity) -> LocalUser:
        return user_of(caller.name)


@dataclass
class Visit:
    """A connection of a caller's to its worker, which counts as a call.

    Attributes:
        worker: The service's view of it.
    """

    worker: Worker
    connection: ClientConnection

    async def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of `Chores`; what it returns is read as JSON."""

        def decode(body: Body) -> Any:
            found = msgspec.msgpack.decode(body)
            return json.loads(found) if str(found)[:1] == "{" else found

        name = method if "/" in method else f"test.Chores/{method}"
        return await self.connection.call(
            encode_value(name),
            Protection.SEAL,
            encode_value(arguments),
            60.0,
            _NIL,
            decode,
        )


@dataclass
class Crew:
    """Workers with their template."""

    workers: Workers
    loop: Loop

    async def visit(self, name: str, **fields: Any) -> Visit:
        """Connect to a caller's worker."""
        caller = Identity(
            mechanism=Mechanism.KERBEROS, name=name, realm="EXAMPLE.COM", **fields
        )
        worker, link, _ = await self.workers.open(self.loop, caller)
        connection = ClientConnection(
            self.loop, link, max_body_bytes=1 << 20, buffers=Buffers()
        )
        connection.start()
        assert worker.enter()
        return Visit(worker, connection)

    async def call(self, name: str, method: str, **arguments: Any) -> Any:
        """Connect, call, and go."""
        visit = await self.visit(name)
        try:
            return await visit.call(method, **arguments)
        finally:
            visit.worker.leave()
            await visit.connection.aclose()


@asynccontextmanager
async def crew(services: Sequence[object], **options: Any) -> AsyncGenerator[Crew]:
    """Give workers that serve services.

    Args:
        services: Classes or functions that make an object.
        options: Those of `LinuxImpersonation`.
    """
    setup = setup_of(Offer(services=services).packed())
    with measured() as names:
        names += options.pop("environment", [])
        config = LinuxImpersonation(mapping=UserTable({}), environment=names, **options)
        async with _crew(config, setup) as team:
            yield team


@asynccontextmanager
async def _crew(config: LinuxImpersonation, setup: Setup) -> AsyncGenerator[Crew]:
    async with open_loop() as loop:
        workers = Workers(loop, config, _Users(), setup)
        try:
            await workers.start()
            yield Crew(workers, loop)
        finally:
            await workers.aclose()


def alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other processes do; give up in a minute."""
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.01)


def children_of(pid: int) -> set[int]:
    """Return the children of a process that run."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(each) for each in (task / "children").read_text().split()}
    return {each for each in found if alive(each)}
