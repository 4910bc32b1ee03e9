"""A service with streams of each kind, for the tests of the blocking channel."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec

from signetrpc.rpc import (
    BidirectionalMethod,
    ClientStreamMethod,
    Protection,
    RpcError,
    ServerStreamMethod,
    StatusCode,
    UnaryMethod,
    current_call,
    method,
    service,
)


class Nothing(msgspec.Struct):
    """No arguments."""


class Upto(msgspec.Struct):
    """One argument."""

    end: int


@service("test.Streams", protection=Protection.SIGN)
class Streams:
    """Streams of each kind, and some that wait until they are cancelled."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    @method(inline=True)
    def double(self, end: int) -> int:
        return 2 * end

    @method
    async def count(self, end: int) -> AsyncIterator[int]:
        current_call().send_headers({"first": "yes"})
        current_call().set_trailers({"last": "yes"})
        for number in range(end):
            yield number
        if end == 13:
            raise RpcError(StatusCode.OUT_OF_RANGE, "not thirteen")

    @method
    async def wait(self) -> AsyncIterator[int]:
        yield 0
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.set()

    @method
    async def total(self, numbers: AsyncIterator[int]) -> int:
        total = 0
        async for number in numbers:
            total += number
        return total

    @method
    async def first(self, numbers: AsyncIterator[int]) -> int:
        return await anext(numbers)

    @method
    async def refuse(self, numbers: AsyncIterator[int]) -> int:
        raise RpcError(StatusCode.FAILED_PRECONDITION, "not now")

    @method
    async def echo(self, texts: AsyncIterator[str]) -> AsyncIterator[str]:
        async for text in texts:
            yield f"{text}!"

    @method
    async def deaf(self, texts: AsyncIterator[bytes]) -> AsyncIterator[str]:
        yield "go"
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.set()


def _named(name: str, result: object = int) -> dict[str, Any]:
    return {
        "service": "test.Streams",
        "name": name,
        "protection": Protection.SIGN,
        "result": result,
    }


DOUBLE = UnaryMethod[Upto, int](**_named("double"), arguments=Upto)
COUNT = ServerStreamMethod[Upto, int](**_named("count"), arguments=Upto)
WAIT = ServerStreamMethod[Nothing, int](**_named("wait"), arguments=Nothing)
TOTAL, FIRST, REFUSE = (
    ClientStreamMethod[Nothing, int, int](**_named(name), arguments=Nothing, item=int)
    for name in ("total", "first", "refuse")
)
ECHO = BidirectionalMethod[Nothing, str, str](
    **_named("echo", str), arguments=Nothing, item=str
)
DEAF = BidirectionalMethod[Nothing, bytes, str](
    **_named("deaf", str), arguments=Nothing, item=bytes
)
