"""The service that the end-to-end tests call, and how they call it.

It reports what happens in it as named events, which another caller can wait for: so
no test has to sleep until something "should have" happened.
"""

import gc
import os
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from signetrpc.rpc import (
    BlockingChannel,
    Channel,
    Protection,
    UnaryMethod,
    current_call,
    current_caller,
    method,
    raised,
    service,
)
from signetrpc.rpc._decorators import service_definition

__all__ = ["MARKED", "METHODS", "Seen", "Stats", "Trial", "call", "call_blocking"]

MARKED: ContextVar[str] = ContextVar("marked", default="unmarked")
"""Set by handlers, to see that no other call finds it set."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a handler knows of its call."""

    principal: str
    mechanism: str
    mutual: bool
    protection: str
    thread: str


@dataclass(frozen=True, slots=True)
class Stats:
    """What the server's process holds."""

    resident_bytes: int
    descriptors: int
    threads: int


def _stats() -> Stats:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Stats(
        resident_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
    )


def _seen() -> Seen:
    caller = current_caller()
    return Seen(
        principal=caller.principal,
        mechanism=caller.mechanism.value,
        mutual=caller.mutual,
        protection=current_call().protection.name,
        thread=threading.current_thread().name,
    )


@service("e2e.Trial", protection=Protection.SIGN)
class Trial:
    """One of each kind of handler."""

    def __init__(self) -> None:
        self._events: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
        self._released: defaultdict[str, threading.Event]
        self._released = defaultdict(threading.Event)
        self._blocked = 0
        self._ran = 0

    # An echo at each level.

    @method(Protection.NONE)
    async def plain(self, text: str) -> str:
        return text

    @method(Protection.SIGN)
    async def signed(self, text: str) -> str:
        return text

    @method(Protection.SEAL)
    async def sealed(self, text: str) -> str:
        return text

    @method(Protection.SIGN)
    async def echo(self, texts: AsyncIterator[str]) -> AsyncIterator[str]:
        """Give each text back, and those in capitals sealed."""
        async for text in texts:
            yield raised(text, Protection.SEAL) if text.isupper() else text

    # Who calls, as each kind of handler sees it.

    @method
    async def seen(self) -> Seen:
        await anyio.sleep(0)
        return _seen()

    @method
    def seen_in_thread(self) -> Seen:
        return _seen()

    @method(inline=True)
    def seen_inline(self) -> Seen:
        return _seen()

    @method(Protection.NONE)
    async def seen_unprotected(self) -> Seen:
        return _seen()

    # Numbers, to match answers with calls.

    @method
    async def square(self, number: int, turns: int) -> int:
        for _ in range(turns):
            await anyio.sleep(0)
        return number * number

    @method
    def square_in_thread(self, number: int) -> int:
        return number * number

    @method(inline=True)
    def square_inline(self, number: int) -> int:
        return number * number

    # Context variables.

    @method
    async def mark(self, text: str) -> str:
        found = MARKED.get()
        MARKED.set(text)
        for _ in range(3):
            await anyio.sleep(0)
        return found if MARKED.get() == text else "somebody else's"

    @method
    def mark_in_thread(self, text: str) -> str:
        found = MARKED.get()
        MARKED.set(text)
        return found

    @method(inline=True)
    def mark_inline(self, text: str) -> str:
        found = MARKED.get()
        MARKED.set(text)
        return found

    # Events.

    @method
    async def hold(self, key: str) -> None:
        """Never return; tell of the beginning and of the end."""
        self._events[f"held {key}"].set()
        try:
            await anyio.sleep_forever()
        finally:
            self._events[f"dropped {key}"].set()

    @method
    async def until(self, event: str) -> None:
        """Return when the event has happened."""
        await self._events[event].wait()

    @method
    async def happened(self, event: str) -> bool:
        return self._events[event].is_set()

    @method
    def block(self, key: str) -> int:
        """Block a thread until `release`; return how many were blocked with it."""
        self._blocked += 1
        self._ran += 1
        try:
            self._released[key].wait()
            return self._blocked
        finally:
            self._blocked -= 1

    @method
    async def release(self, key: str, at: int) -> int:
        """Let blocked threads go, once there are `at`."""
        while self._blocked < at:
            await anyio.sleep(0.005)
        count = self._blocked
        self._released[key].set()
        return count

    @method
    async def blocked(self) -> int:
        return self._blocked

    @method
    async def ran(self) -> int:
        """Return how often `block` has run."""
        return self._ran

    # Bodies.

    @method(Protection.SEAL)
    async def length(self, data: bytes) -> int:
        return len(data)

    @method(Protection.SEAL)
    async def blob(self, size: int) -> bytes:
        return bytes(size)

    @method(Protection.SIGN, inline=True)
    def blob_inline(self, size: int) -> bytes:
        return bytes(size)

    # Failure.

    @method
    async def fail(self, secret: str) -> None:
        raise ValueError(f"a detail: {secret}")

    @method
    def fail_in_thread(self, secret: str) -> None:
        raise ValueError(f"a detail: {secret}")

    @method(inline=True)
    def fail_inline(self, secret: str) -> None:
        raise ValueError(f"a detail: {secret}")

    # The process.

    @method
    async def stats(self) -> Stats:
        return _stats()

    @method
    async def quiet(self, descriptors: int) -> Stats:
        """Return once the process has no more than so many descriptors."""
        while (found := _stats()).descriptors > descriptors:
            await anyio.sleep(0.01)
        return found

    @method
    async def pid(self) -> int:
        return os.getpid()


METHODS: Mapping[str, UnaryMethod[Any, Any]] = {
    handler.method.name: handler.method
    for handler in service_definition(Trial).handlers.values()
    if isinstance(handler.method, UnaryMethod)
}
"""The methods by their names, as a stub would have them."""


async def call(
    channel: Channel,
    name: str,
    /,
    *,
    timeout: float | None = None,
    protection: Protection | None = None,
    **arguments: object,
) -> Any:
    """Call a method of `Trial` by its name."""
    method = METHODS[name]
    given = method.arguments(**arguments)
    return await channel.unary(method, given, timeout=timeout, protection=protection)


def call_blocking(
    channel: BlockingChannel,
    name: str,
    /,
    *,
    timeout: float | None = None,
    **arguments: object,
) -> Any:
    """Call a method of `Trial` by its name and wait."""
    method = METHODS[name]
    return channel.unary(method, method.arguments(**arguments), timeout=timeout)
