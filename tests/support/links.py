"""A server's connection whose calls run elsewhere; a test holds both far ends."""

import dataclasses
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio

from signetrpc.rpc import AuditRecord, LinuxImpersonation, RpcError, UserTable
from signetrpc.rpc._assembly import Buffers
from signetrpc.rpc._audit import Audit
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import encode_reply
from signetrpc.rpc._server_connection import ServerConnection
from signetrpc.rpc._serving import Endpoint, Serving
from signetrpc.rpc._worker_handle import Worker
from signetrpc.rpc._workers import Workers
from signetrpc.transport import (
    Identity,
    LocalUser,
    Protection,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._events import MessagesReceived
from signetrpc.transport._loops import Loop, open_loop
from tests.support.calls import FarEnd, HeldLoop, endpoints, link
from tests.support.desk import NIL, Desk
from tests.support.turns import settle

__all__ = [
    "USER",
    "HeldWorker",
    "HeldWorkers",
    "Relaying",
    "answer",
    "both",
    "raw_records",
    "relaying",
    "told",
]

USER = LocalUser(name="alice", uid=61001, gid=61001, groups=(61001, 61002))

RECHECK_SECONDS = 60.0


@dataclasses.dataclass
class HeldWorker:
    """A worker that is the test: what it hears over one link, and says."""

    worker: Worker
    near: Link
    far: FarEnd

    def crash(self) -> None:
        """End the link as a process that ends does."""
        assert self.far.pipe.receiver is not None
        self.far.pipe.receiver.pipe_ended(None)


class HeldWorkers:
    """The workers of a server, none of which is there before the test says so.

    Attributes:
        asked: By whom a worker was asked for.
        killed: Those that were killed.
        links: Each link that was opened, in order.
    """

    def __init__(self, loop: HeldLoop, max_calls: int, **limits: Any) -> None:
        self.config = LinuxImpersonation(
            mapping=UserTable({}), max_calls=max_calls, recheck_seconds=RECHECK_SECONDS
        )
        self.asked: list[Identity] = []
        self.killed: list[Worker] = []
        self.idled: list[Worker] = []
        self.links: list[HeldWorker] = []
        self.failure: Exception | None = None
        self.go = anyio.Event()
        self._loop = loop
        self._limits = limits
        self._worker = self._new()

    def _new(self) -> Worker:
        worker = Worker(cast("Workers", self), USER, (USER, ""))
        worker.running = True
        return worker

    def idle(self, worker: Worker) -> None:
        """Note it."""
        self.idled.append(worker)

    def kill(self, worker: Worker) -> None:
        """Note it; the next link is to another worker."""
        worker.running = False
        self.killed.append(worker)
        self._worker = self._new()

    async def open(self, loop: Loop, caller: Identity) -> tuple[Worker, Link, float]:
        """Wait for the test, and give a link to it."""
        self.asked.append(caller)
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        near, far = link(initiator=True, **self._limits)
        self.links.append(HeldWorker(self._worker, near, far))
        return self._worker, near, loop.time() + self.config.recheck_seconds


@dataclasses.dataclass
class Relaying:
    """What a test of a relay holds in its hands.

    Attributes:
        connection: The service's end, under test.
        client: The caller's far end.
        workers: Where links come from.
        loop: The clock.
        desk: What serves the calls that run in the service itself.
        records: The audit's.
    """

    connection: ServerConnection
    client: FarEnd
    workers: HeldWorkers
    loop: HeldLoop
    desk: Desk
    records: list[AuditRecord]

    @property
    def worker(self) -> HeldWorker:
        """The newest link."""
        return self.workers.links[-1]

    async def opened(self) -> HeldWorker:
        """Let the worker be there, and return it."""
        self.workers.go.set()
        await settle()
        return self.worker

    def fail(self, error: RpcError) -> None:
        """Let there be no worker."""
        self.workers.failure = error
        self.workers.go.set()


@asynccontextmanager
async def relaying(
    *services: object,
    here: Collection[str] = ("wait", "open"),
    max_body_bytes: int = 1 << 20,
    max_calls: int = 1024,
    worker_calls: int = 1024,
    **limits: Any,
) -> AsyncGenerator[Relaying]:
    """Give a connection whose calls go to a held worker.

    Args:
        services: Beside a `Desk`.
        here: Names of methods that the service runs itself.
        max_body_bytes: The longest body.
        max_calls: The most calls of the connection.
        worker_calls: The most of the worker.
        limits: Those of the session with the client.
    """
    records: list[AuditRecord] = []
    desk = Desk()
    async with open_loop() as real:
        loop = HeldLoop(real)
        near, far = link(initiator=False, **limits)
        workers = HeldWorkers(loop, worker_calls)
        audit = Audit(records.append)
        serving = Serving(
            endpoints={
                name: Endpoint(
                    each.handler, each.function, name.split("/")[1] not in here
                )
                for name, each in endpoints((desk, *services)).items()
            },
            max_body_bytes=max_body_bytes,
            max_calls=max_calls,
            threads=anyio.CapacityLimiter(4),
            buffers=Buffers(),
            workers=cast("Workers", workers),
            audit=audit,
        )
        connection = ServerConnection(loop, near, serving)
        connection.start()
        try:
            yield Relaying(connection, far, workers, loop, desk, records)
        finally:
            desk.thread_go.set()
            workers.go.set()
            await connection.aclose()
            await audit.aclose()
            await settle()


def raw_records(far: FarEnd) -> list[tuple[Protection, list[bytes]]]:
    """Take what a connection has written since, as bytes, record by record."""
    far.session.receive_data(bytes(far.pipe.sent))
    far.pipe.sent.clear()
    found: list[tuple[Protection, list[bytes]]] = []
    while isinstance(event := far.session.next_event(), MessagesReceived):
        found.append((event.protection, [bytes(each) for each in event.messages]))
    return found


def answer(call_id: int, value: object) -> bytes:
    """Return a REPLY."""
    return encode_reply(call_id, NIL, encode_value(value))


async def both(
    held: Relaying, *messages: bytes, level: Protection = Protection.SEAL
) -> None:
    """Let the caller say something, and everything that follows happen."""
    held.client.say(*messages, level=level)
    await settle()


async def told(
    held: Relaying, *messages: bytes, level: Protection = Protection.SEAL
) -> None:
    """Let the newest worker say something, and everything that follows happen."""
    held.worker.far.say(*messages, level=level)
    await settle()
