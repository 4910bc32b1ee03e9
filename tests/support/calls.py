"""Calls without sockets and without waiting: a pipe, a clock and a far end to hold."""

import dataclasses
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from contextvars import Context
from typing import Any

import anyio

from signetrpc.rpc._assembly import Buffers
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._connection import Connection
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._messages import Message, decode_message
from signetrpc.rpc._server_connection import ServerConnection
from signetrpc.rpc._serving import Endpoint, Serving
from signetrpc.transport._driver import Link
from signetrpc.transport._events import MessagesReceived, PeerClosed
from signetrpc.transport._loops import Loop, Task, Timer, Waiter, open_loop
from signetrpc.transport._pipes import Pipe, Receiver
from signetrpc.transport._protection import Protection
from signetrpc.transport._session import Session
from signetrpc.transport.errors import ConnectionClosed
from tests.support.sessions import AEAD, opened
from tests.support.turns import settle

__all__ = ["FarEnd", "HeldLoop", "HeldPipe", "client_end", "link", "server_end"]


class HeldPipe(Pipe):
    """A pipe that ends in the test's hands."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.full = False
        self.paused = False
        self.aborted = False
        self.closed = False
        self.receiver: Receiver | None = None
        self._lost: ConnectionClosed | None = None
        self._room = anyio.Event()

    def write(self, data: bytes) -> None:
        """Keep the bytes for the test."""
        if self._lost is None:
            self.sent += data

    @property
    def congested(self) -> bool:
        """What the test says."""
        return self.full

    async def drain(self) -> None:
        """Wait for `make_room`."""
        while self.full and self._lost is None:
            await self._room.wait()
        if self._lost is not None:
            raise self._lost

    def make_room(self) -> None:
        """Be congested no more."""
        self.full = False
        self._wake()

    def _wake(self) -> None:
        self._room.set()
        self._room = anyio.Event()

    async def receive(self) -> bytes:
        """Not used: calls are in push mode."""
        raise AssertionError("a connection of calls does not pull")

    def start_receiving(self, loop: Loop, receiver: Receiver) -> None:
        """Note the receiver."""
        self.receiver = receiver

    def pause_receiving(self) -> None:
        """Note it."""
        self.paused = True

    def resume_receiving(self) -> None:
        """Note it."""
        self.paused = False

    async def aclose(self, *, linger: bool = True) -> None:
        """Close, and let who drains know."""
        self.closed = True
        self._lose()

    def abort(self) -> None:
        """Note it."""
        self.aborted = True
        self._lose()

    def _lose(self) -> None:
        self._lost = ConnectionClosed("the connection broke", clean=False)
        self._wake()


@dataclasses.dataclass
class _HeldTimer:
    when: float
    callback: Callable[[], None] | None

    def cancel(self) -> None:
        self.callback = None


class HeldLoop:
    """A real loop with a clock that moves when the test says."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.now = 1000.0
        self.timers: list[_HeldTimer] = []

    def time(self) -> float:
        """The test's time."""
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> object:
        """As the real loop."""
        return self._loop.call_soon(callback)

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> object:
        """As the real loop."""
        return self._loop.call_soon_threadsafe(callback)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Note the timer."""
        timer = _HeldTimer(when, callback)
        self.timers.append(timer)
        return timer

    def waiter(self) -> Waiter[Any]:
        """As the real loop."""
        return self._loop.waiter()

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], context: Context | None = None
    ) -> Task:
        """As the real loop."""
        return self._loop.spawn(coroutine, context)

    def start(self, coroutine: Coroutine[Any, Any, None], context: Context) -> Task:
        """As the real loop."""
        return self._loop.start(coroutine, context)

    def keep(self, task: Task) -> None:
        """As the real loop."""
        self._loop.keep(task)

    def in_thread(self) -> AbstractContextManager[None]:
        """As the real loop."""
        return self._loop.in_thread()

    @property
    def armed(self) -> list[float]:
        """When the live timers come up."""
        return sorted(timer.when for timer in self.timers if timer.callback)

    def advance(self, seconds: float) -> None:
        """Let time pass and run the timers that come up."""
        self.now += seconds
        for timer in sorted(self.timers, key=lambda timer: timer.when):
            if timer.when <= self.now and timer.callback is not None:
                callback, timer.callback = timer.callback, None
                callback()
        self.timers = [timer for timer in self.timers if timer.callback]


class FarEnd:
    """The peer of a connection: says anything, and hears what comes."""

    def __init__(self, pipe: HeldPipe, session: Session) -> None:
        self.pipe = pipe
        self.session = session

    def say(self, *messages: bytes, level: Protection = Protection.SEAL) -> None:
        """Send messages in one record."""
        for message in messages:
            self.session.send(message, level)
        self.deliver(self.session.data_to_send())

    def deliver(self, data: bytes) -> None:
        """Let bytes arrive at the connection."""
        assert self.pipe.receiver is not None
        self.pipe.receiver.data_received(data)

    def records(self) -> list[tuple[Protection, list[Message]]]:
        """Take what the connection has written since, record by record."""
        self.session.receive_data(bytes(self.pipe.sent))
        self.pipe.sent.clear()
        found: list[tuple[Protection, list[Message]]] = []
        while (event := self.session.next_event()) is not None:
            if isinstance(event, PeerClosed):
                break
            assert isinstance(event, MessagesReceived)
            found.append((event.protection, [decode_message(m) for m in event[1]]))
        return found

    def heard(self) -> list[Message]:
        """Take the messages that the connection has written since."""
        return [message for _, messages in self.records() for message in messages]


def link(
    *,
    initiator: bool,
    minimum: Protection = Protection.SIGN,
    ends_at: float | None = None,
    suite: str = AEAD,
    **limits: Any,
) -> tuple[Link, FarEnd]:
    """Return an open session over a held pipe, and its far end.

    The clock of a `HeldLoop` starts at 1000.
    """
    client, server = opened(minimum=minimum, suite=suite, **limits)
    near, far = (client, server) if initiator else (server, client)
    pipe = HeldPipe()
    return Link(pipe, near, ends_at=ends_at), FarEnd(pipe, far)


@asynccontextmanager
async def client_end(
    *, max_body_bytes: int = 1 << 20, **options: Any
) -> AsyncGenerator[tuple[ClientConnection, FarEnd, HeldLoop]]:
    """Give a client's connection, the server in the test's hands, and the clock."""
    async with open_loop() as real:
        loop = HeldLoop(real)
        near, far = link(initiator=True, **options)
        connection = ClientConnection(
            loop, near, max_body_bytes=max_body_bytes, buffers=Buffers()
        )
        connection.start()
        async with _ending(connection):
            yield connection, far, loop


@asynccontextmanager
async def server_end(
    *services: object,
    max_body_bytes: int = 1 << 20,
    max_calls: int = 1024,
    max_threads: int = 4,
    **options: Any,
) -> AsyncGenerator[tuple[ServerConnection, FarEnd, HeldLoop]]:
    """Give a server's connection, the client in the test's hands, and the clock."""
    async with open_loop() as real:
        loop = HeldLoop(real)
        near, far = link(initiator=False, **options)
        serving = Serving(
            endpoints=endpoints(services),
            max_body_bytes=max_body_bytes,
            max_calls=max_calls,
            threads=anyio.CapacityLimiter(max_threads),
            buffers=Buffers(),
        )
        connection = ServerConnection(loop, near, serving)
        connection.start()
        async with _ending(connection):
            yield connection, far, loop


@asynccontextmanager
async def _ending(connection: Connection) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await connection.aclose()
        await settle()


def endpoints(services: Sequence[object]) -> Mapping[str, Endpoint]:
    """Return the endpoints of service objects."""
    return {
        name: Endpoint(handler, handler.bind(instance))
        for instance in services
        for name, handler in service_definition(type(instance)).handlers.items()
    }
