"""Interceptors for tests, of either side."""

import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.from_thread
import msgspec

from signetrpc.rpc import (
    CallContext,
    Protection,
    RpcError,
    StatusCode,
    current_call,
    method,
    service,
)
from tests.support.kinds import of

__all__ = [
    "PATIENCE",
    "Changing",
    "Ending",
    "Next",
    "NextItems",
    "Noting",
    "Slow",
    "Stopping",
    "slowly",
]

PATIENCE = 10
Next = Callable[[Any], Awaitable[Any]]
NextItems = Callable[[Any], AsyncIterator[Any]]


class Noting:
    """Notes when a call begins and ends, and what it finds."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name = name
        self.events = events

    async def on_start(self, context: Any) -> str:
        """Note it, after others had their turn."""
        await anyio.sleep(0)
        self.events.append(f"start {self.name}")
        return f"token {self.name}"

    async def on_end(self, token: str, context: Any, error: Exception | None) -> None:
        """Note it, after others had their turn."""
        await anyio.sleep(0)
        assert token == f"token {self.name}"
        how = "" if error is None else f": {error}"
        self.events.append(f"end {self.name}{how}")


class Changing:
    """Changes all that goes in and comes out, of each kind of call."""

    def _more(self, request: Any) -> Any:
        return msgspec.structs.replace(request, number=request.number + 1)

    async def _doubled(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item * 2

    async def intercept_unary(self, call_next: Next, request: Any, context: Any) -> int:
        result: int = await call_next(self._more(request))
        return result * 10

    async def intercept_client_stream(
        self,
        call_next: Callable[[Any, AsyncIterator[int]], Awaitable[int]],
        request: Any,
        items: AsyncIterator[int],
        context: Any,
    ) -> int:
        return await call_next(self._more(request), self._doubled(items)) * 10

    async def intercept_server_stream(
        self, call_next: NextItems, request: Any, context: Any
    ) -> AsyncIterator[int]:
        async for item in call_next(self._more(request)):
            yield item * 10

    async def intercept_bidirectional(
        self,
        call_next: Callable[[Any, AsyncIterator[int]], AsyncIterator[int]],
        request: Any,
        items: AsyncIterator[int],
        context: Any,
    ) -> AsyncIterator[int]:
        async for item in call_next(self._more(request), self._doubled(items)):
            yield item * 10


class Ending:
    """Tells how calls end, after a while."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.error: Exception | None = None

    async def on_start(self, context: Any) -> None:
        """Know nothing yet."""

    async def on_end(self, token: None, context: Any, error: Exception | None) -> None:
        """Take note, which takes its time."""
        await anyio.sleep(0)
        await anyio.sleep(0)
        self.error = error
        self.ended.set()

    @property
    def status(self) -> StatusCode:
        """How the last call ended."""
        assert isinstance(self.error, RpcError)
        return self.error.status


class Stopping:
    """Takes one item of each stream and leaves the rest, and the generators, alone."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def intercept_server_stream(
        self, call_next: NextItems, request: Any, context: Any
    ) -> AsyncIterator[int]:
        async for item in call_next(request):
            yield item
            return

    async def passed(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        try:
            async for item in items:
                yield item
        finally:
            self.events.append("items ended")

    async def intercept_client_stream(
        self,
        call_next: Callable[[Any, AsyncIterator[int]], Awaitable[int]],
        request: Any,
        items: AsyncIterator[int],
        context: Any,
    ) -> int:
        return await call_next(request, self.passed(items))

    async def intercept_bidirectional(
        self,
        call_next: Callable[[Any, AsyncIterator[int]], AsyncIterator[int]],
        request: Any,
        items: AsyncIterator[int],
        context: Any,
    ) -> AsyncIterator[int]:
        async for item in call_next(request, self.passed(items)):
            yield item


@service("test.Slow", protection=Protection.SIGN)
class Slow:
    """Handlers that take as long as they are let."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.started = anyio.Event()
        self.go = threading.Event()
        self.calls: list[CallContext] = []

    @method
    async def wait(self) -> int:
        self.started.set()
        await anyio.sleep_forever()
        return 0

    @method
    def block(self) -> int:
        self.calls.append(current_call())
        anyio.from_thread.run_sync(self.started.set)
        assert self.go.wait(PATIENCE)
        return 1

    @method
    async def drip(self) -> AsyncIterator[int]:
        try:
            yield 0
            self.started.set()
            await anyio.sleep_forever()
        finally:
            self.events.append("drip ended")

    @method
    async def ticks(self) -> AsyncIterator[int]:
        try:
            for tick in range(1_000_000):
                yield tick
        finally:
            self.events.append("ticks ended")

    @method
    async def first(self, numbers: AsyncIterable[int]) -> int:
        async for number in numbers:
            return number
        return 0

    @method
    async def firsts(self, numbers: AsyncIterable[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield number
            return


def slowly(name: str) -> tuple[Any, Any]:
    """Return a method of `Slow` and its arguments, of which there are none."""
    made: Any = of(name, Slow)
    return made, made.arguments()
