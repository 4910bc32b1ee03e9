"""The service of Connect's conformance cases, as far as they are not of HTTP.

Source: connectrpc/conformance, testsuites and `ConformanceService`.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import anyio

from signetrpc.rpc import (
    Protection,
    RpcError,
    StatusCode,
    current_call,
    method,
    service,
)

__all__ = ["ConformanceService", "Definition"]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a call is to be answered with.

    Attributes:
        headers: Sent ahead.
        trailers: Sent with the status.
        data: The result, or the items of one.
        delay_ms: Before the first of them, or before the error.
        hold_ms: After the first of them.
        status: What the call ends with; 0 is OK.
        message: Of the error.
        length: Characters of each of the data, which are filled up to that.
        brief: Requests come back as their lengths.
        timed: The last of the trailers is the time that the handler has left.
    """

    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    trailers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    data: list[str] = field(default_factory=list[str])
    delay_ms: int = 0
    hold_ms: int = 0
    status: int = 0
    message: str = ""
    length: int = 0
    brief: bool = False
    timed: bool = False

    def seen(self, request: str) -> str:
        """Return what comes back of a request."""
        return f"{len(request)}" if self.brief else request

    def __iter__(self) -> Iterator[str]:
        """Give the data as they are sent."""
        return (each.ljust(self.length, ".") for each in self.data)


@service("connectrpc.conformance.ConformanceService", protection=Protection.SEAL)
class ConformanceService:
    """One method for each kind; requests come back in what is answered."""

    @method
    async def unary(self, definition: Definition, request: str) -> list[str]:
        """Return the request and the data."""
        await _begin(definition)
        _end(definition)
        return [definition.seen(request), *definition]

    @method
    async def client_stream(
        self, definition: Definition, requests: AsyncIterator[str]
    ) -> list[str]:
        """Return the requests and the data."""
        seen = [definition.seen(request) async for request in requests]
        await _begin(definition)
        _end(definition)
        return [*seen, *definition]

    @method
    async def server_stream(
        self, definition: Definition, request: str
    ) -> AsyncIterator[str]:
        """Send the data."""
        del request
        await _begin(definition)
        for item in definition:
            yield item
            await _wait(definition.hold_ms)
        _end(definition)

    @method
    async def full_duplex(
        self, definition: Definition, requests: AsyncIterator[str]
    ) -> AsyncIterator[str]:
        """Send one of the data for each request, and the rest at the end."""
        await _begin(definition)
        left = iter(definition)
        async for _ in requests:
            for item in left:
                yield item
                await _wait(definition.hold_ms)
                break
        for item in left:
            yield item
            await _wait(definition.hold_ms)
        _end(definition)

    @method
    async def half_duplex(
        self, definition: Definition, requests: AsyncIterator[str]
    ) -> AsyncIterator[str]:
        """Take all requests, then send the data."""
        async for _ in requests:
            pass
        await _begin(definition)
        for item in definition:
            yield item
            await _wait(definition.hold_ms)
        _end(definition)

    @method
    async def time_left(self) -> float:
        """Return the seconds that this call has, as its handler sees it."""
        return _time_left()


def _time_left() -> float:
    left = current_call().time_left()
    return -1.0 if left is None else left


async def _begin(definition: Definition) -> None:
    if definition.headers:
        current_call().send_headers(definition.headers)
    timed = [("time-left", f"{_time_left()}")] if definition.timed else []
    current_call().set_trailers([*definition.trailers, *timed])
    await _wait(definition.delay_ms)


async def _wait(milliseconds: int) -> None:
    if milliseconds:
        await anyio.sleep(milliseconds / 1000)


def _end(definition: Definition) -> None:
    if definition.status:
        raise RpcError(StatusCode(definition.status), definition.message)
