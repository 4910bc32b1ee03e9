"""A service of streams that the test holds in its hands, and calls to it."""

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from signetrpc.rpc import (
    Protection,
    RpcError,
    StatusCode,
    current_call,
    method,
    raised,
    service,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Item,
    Message,
    Part,
    Status,
    encode_call,
    encode_item,
)
from signetrpc.rpc._server_connection import ServerConnection
from tests.support.calls import FarEnd, HeldLoop, server_end
from tests.support.desk import status

__all__ = [
    "River",
    "begin",
    "bodies",
    "carried",
    "ends",
    "item",
    "river",
    "values",
]

NIL = b"\xc0"


@service("test.River", protection=Protection.SIGN)
class River:
    """Handlers of each kind.

    Attributes:
        given: How many items were asked of handlers.
        got: What handlers took.
        closed: The handlers that have come to their end, whichever.
        go: What some wait for.
    """

    def __init__(self) -> None:
        self.given = 0
        self.got: list[Any] = []
        self.closed: list[str] = []
        self.errors: list[BaseException] = []
        self.go = anyio.Event()
        self.thread_go = threading.Event()

    @method(inline=True)
    def small(self) -> str:
        return "small"

    @method
    async def large(self, size: int) -> bytes:
        return bytes(size)

    @method
    async def count(self, number: int, size: int = 0) -> AsyncIterator[bytes]:
        try:
            for _ in range(number):
                self.given += 1
                yield bytes(size)
            current_call().set_trailers({"given": str(self.given)})
        finally:
            self.closed.append("count")

    @method
    async def held(self) -> AsyncIterator[int]:
        try:
            yield 1
            await self.go.wait()
            yield 2
        finally:
            self.closed.append("held")

    @method
    async def broken(self, how: str) -> AsyncIterator[int]:
        yield 1
        yield 2
        match how:
            case "status":
                raise RpcError(StatusCode.NOT_FOUND, "gone", trailers={"k": "v"})
            case "wrong item":
                yield object()  # type: ignore[misc]  # pyright: ignore
            case _:
                raise KeyError("the secret is 42")

    @method
    async def mixed(self) -> AsyncIterator[str]:
        yield "signed"
        yield raised("sealed", Protection.SEAL)
        yield "signed again"

    @method
    async def total(self, numbers: AsyncIterator[int], times: int = 1) -> int:
        try:
            total = 0
            async for number in numbers:
                self.got.append(number)
                total += number
            return total * times
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.closed.append("total")

    @method
    async def first(self, numbers: AsyncIterator[int]) -> int:
        return await anext(numbers)

    @method
    async def late(self, items: AsyncIterator[bytes]) -> int:
        await self.go.wait()
        return sum([len(each) async for each in items])

    @method
    async def echo(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for each in items:
                yield each
        finally:
            self.closed.append("echo")

    @method
    def thread_count(self, number: int, size: int = 0) -> Iterator[bytes]:
        try:
            for _ in range(number):
                self.given += 1
                yield bytes(size)
        finally:
            self.closed.append("thread_count")

    @method
    def thread_total(self, numbers: Iterator[int]) -> int:
        try:
            total = 0
            for number in numbers:
                self.got.append(number)
                total += number
            return total
        finally:
            self.closed.append("thread_total")

    @method
    def thread_echo(self, items: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from items
        finally:
            self.closed.append("thread_echo")


def begin(
    call_id: int,
    name: str,
    arguments: dict[str, Any] | None = None,
    *,
    timeout: float | None = None,
    more: bool = False,
    body: bytes | None = None,
) -> bytes:
    """Return a CALL."""
    written = encode_value(arguments or {}) if body is None else body
    wire_name = encode_value(f"test.River/{name}")
    return encode_call(call_id, wire_name, timeout, NIL, written, more)


def item(call_id: int, value: object) -> bytes:
    """Return an ITEM that holds a value."""
    return encode_item(call_id, encode_value(value))


def values(*encoded: object) -> list[bytes]:
    """Return the bodies of items that hold these values."""
    return [encode_value(each) for each in encoded]


def bodies(messages: list[Message], call_id: int = 1) -> list[bytes]:
    """Return the whole items of a call."""
    return [each.body for each in messages if type(each) is Item and each.id == call_id]


def ends(messages: list[Message]) -> list[tuple[int, StatusCode]]:
    """Return which calls ended, and how."""
    return [status(each)[:2] for each in messages if isinstance(each, Status)]


def carried(messages: list[Message], call_id: int = 1) -> bytes:
    """Return what the ITEMs and PARTs of a call carry."""
    whole = b""
    for message in messages:
        match message:
            case Item(body=piece) if message.id == call_id:
                whole += piece
            case Part(chunk=chunk) if message.id == call_id:
                whole += bytes(chunk)
            case _:
                pass
    return whole


@asynccontextmanager
async def river(
    **options: Any,
) -> AsyncGenerator[tuple[River, ServerConnection, FarEnd, HeldLoop]]:
    """Give a served river, the server's end, the caller's far end and the clock."""
    served = River()
    async with server_end(served, **options) as (connection, far, loop):
        try:
            yield served, connection, far, loop
        finally:
            served.thread_go.set()
