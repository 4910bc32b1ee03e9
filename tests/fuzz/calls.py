"""Any sequence of messages of calls, to either end: the target `calls`.

The first byte says which end is under test, and each four that follow what its peer
says next: `kind, flags, size, id`.  So a mutation of a byte is another message, or the
same one of another call, length or level.  Windows are small here, so that little
memory makes them full.

What must hold: an end goes on, or ends with an error that blames the peer; neither end
sends over its credit; nothing waits that could not be; and at the end of the
connection every call and every task has ended.
"""

from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Final

import anyio
import pytest

from signetrpc.rpc import Protection, RpcError, method, service
from signetrpc.rpc import _inbox as inbox_module
from signetrpc.rpc import _outbox as outbox_module
from signetrpc.rpc._assembly import Buffers
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import ITEM_OVERHEAD
from signetrpc.rpc._inbox import Inbox
from signetrpc.rpc._messages import (
    Item,
    Part,
    encode_call,
    encode_cancel,
    encode_credit,
    encode_end,
    encode_go_away,
    encode_headers,
    encode_item,
    encode_part,
    encode_ping,
    encode_pong,
    encode_reply,
    encode_status,
)
from signetrpc.rpc._schema import CallKind
from signetrpc.rpc._server_connection import ServerConnection
from signetrpc.rpc._serving import Serving
from signetrpc.transport import ConnectionClosed, RemoteProtocolError
from signetrpc.transport._driver import Link
from tests.support.calls import FarEnd, HeldPipe, endpoints
from tests.support.sessions import opened
from tests.support.stepping import StepLoop

__all__ = ["METHODS", "SIZES", "calls"]

WINDOW: Final = 4096
LIMIT: Final = 9000
SIZES: Final = (0, 1, 100, 1000, 3000)
METHODS: Final = ("add", "count", "total", "first", "echo", "late")
_LARGEST: Final = max(SIZES) + ITEM_OVERHEAD
_MOST_STEPS: Final = 64
_NIL: Final = b"\xc0"


@service("fuzz.Any", protection=Protection.SIGN)
class Kinds:
    """A handler of each kind, and one that takes nothing."""

    @method
    async def add(self, data: bytes) -> int:
        return len(data)

    @method
    async def count(self, data: bytes) -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(500)

    @method
    async def total(self, items: AsyncIterator[bytes], data: bytes) -> int:
        return sum([len(each) async for each in items])

    @method
    async def first(self, items: AsyncIterator[bytes], data: bytes) -> int:
        return len(await anext(items, b""))

    @method
    async def echo(
        self, items: AsyncIterator[bytes], data: bytes
    ) -> AsyncIterator[bytes]:
        async for each in items:
            yield each

    @method
    async def late(
        self, items: AsyncIterator[bytes], data: bytes
    ) -> AsyncIterator[int]:
        for _ in range(20):
            yield 1


class _Client(ClientConnection):
    """A client's end that is not closed when it has ended: there is no pipe."""

    async def _close_when_ended(self) -> None:
        """Leave it."""


class _Step:
    """One message, as four bytes say it."""

    def __init__(self, data: bytes, last_id: int) -> None:
        kind, flags, size, call_id = data
        self.kind = kind % 13
        self.more = bool(flags & 1)
        self.level = Protection.SEAL if flags & 2 else Protection.SIGN
        self.name = METHODS[call_id % len(METHODS)]
        self.size = SIZES[size % len(SIZES)]
        self.id = last_id + 1 if self.kind == 1 and not flags & 4 else call_id % 8
        self.number = size

    def message(self) -> bytes:
        """Return the message."""
        call_id, more, body = max(1, self.id), self.more, bytes(self.size)
        match self.kind:
            case 1:
                wire_name = encode_value(f"fuzz.Any/{self.name}")
                body = encode_value({"data": body})
                cut = body[: len(body) // 2] if more else body
                return encode_call(call_id, wire_name, None, _NIL, cut, more)
            case 2:
                return encode_part(call_id, body, more)
            case 3:
                whole = encode_value(body)
                return encode_item(call_id, body if more else whole, more)
            case 4:
                return encode_end(call_id)
            case 5:
                return encode_reply(call_id, _NIL, body, more)
            case 6:
                return encode_status(call_id, self.number % 17, "")
            case 7:
                return encode_cancel(call_id, self.number % 5)
            case 8:
                return encode_credit(self.id, 1 + self.number * self.number)
            case 9:
                return encode_headers(call_id, (("k", "v"),))
            case 10:
                return encode_ping(self.number)
            case 11:
                return encode_pong(self.number)
            case 12:
                return encode_go_away(1.0, call_id)
            case _:
                return body or b"\xc1"


class _Credit:
    """What the end under test may have sent, by the peer's count."""

    def __init__(self) -> None:
        self.left: dict[int, int] = {}

    def given(self, call_id: int, size: int) -> None:
        """Count credit."""
        self.left[call_id] = self.left.get(call_id, WINDOW) + size

    def sent(self, far: FarEnd) -> None:
        """Count what has come, which there was credit for."""
        for message in far.heard():
            match message:
                case Item(body=body):
                    size = len(body) + ITEM_OVERHEAD
                case Part(chunk=chunk):
                    size = len(chunk)
                case _:
                    continue
            left = self.left.setdefault(message.id, WINDOW)
            assert left > 0, f"call {message.id} over its window"
            self.left[message.id] = left - size


@contextmanager
def _small_windows() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (inbox_module, outbox_module):
            patch.setattr(module, "STREAM_WINDOW", WINDOW)
        yield


def _server(loop: StepLoop) -> tuple[ServerConnection, FarEnd]:
    client, server = opened()
    pipe = HeldPipe()
    serving = Serving(
        endpoints=endpoints([Kinds()]),
        max_body_bytes=LIMIT,
        max_calls=6,
        buffers=Buffers(),
        threads=anyio.CapacityLimiter(1),
        window=4 * WINDOW,
    )
    return ServerConnection(loop, Link(pipe, server), serving), FarEnd(pipe, client)


def _client(loop: StepLoop) -> tuple[ClientConnection, FarEnd]:
    client, server = opened()
    pipe = HeldPipe()
    link = Link(pipe, client)
    connection = _Client(loop, link, max_body_bytes=LIMIT, buffers=Buffers())
    return connection, FarEnd(pipe, server)


async def _use(connection: ClientConnection, kind: CallKind, takes: bool) -> None:
    """Make a call, and take and send until it ends."""
    name, level = encode_value("fuzz.Any/echo"), Protection.SIGN
    try:
        if kind is CallKind.UNARY:
            await connection.call(name, level, b"x", 60.0, _NIL, bytes)
            return
        call = await connection.stream(name, level, b"x", None, _NIL, kind, LIMIT)
        if kind.takes_items:
            for _ in range(12):
                await call.outbox.send(bytes(500))
            call.end_sending()
        while takes:
            await call.inbox.take()
    except (RpcError, StopAsyncIteration):
        pass


def _check_held(inbox: Inbox | None) -> None:
    if inbox is not None:
        window = inbox._window  # pyright: ignore[reportPrivateUsage]
        assert window.left > -_LARGEST
        assert window.left <= WINDOW
        waiting = inbox._items  # pyright: ignore[reportPrivateUsage]
        assert sum(size for _, size in waiting) < WINDOW + _LARGEST


def calls(data: bytes) -> None:
    """Any messages in any order, to a server or to a client with calls under way."""
    with _small_windows():
        _calls(data)


def _calls(data: bytes) -> None:
    loop = StepLoop()
    connection: ServerConnection | ClientConnection
    if data[:1] > b"\x7f":
        connection, far = _client(loop)
        for kind in CallKind:
            for takes in (True, False):
                loop.spawn(_use(connection, kind, takes))
    else:
        connection, far = _server(loop)
    connection.start()
    loop.run()
    last_id, credit = 0, _Credit()
    credit.sent(far)
    for at in range(1, min(len(data), 4 * _MOST_STEPS) - 3, 4):
        step = _Step(data[at : at + 4], last_id)
        if step.kind == 1:
            last_id = max(last_id, step.id)
        if step.kind == 8:
            credit.given(step.id, 1 + step.number * step.number)
        far.say(step.message(), level=step.level)
        for call in list(connection._calls.values()):  # pyright: ignore[reportPrivateUsage]
            _check_held(getattr(call, "inbox", None))
        loop.run()
        if connection.ended is not None:
            break
        credit.sent(far)
    error = connection.ended
    if error is not None:
        assert isinstance(error, RemoteProtocolError | ConnectionClosed)
        assert "could not be handled" not in str(error)
    connection.pipe_ended(ConnectionClosed("the path broke", clean=False))
    loop.run()
    assert not connection.busy
    assert loop.tasks == []
