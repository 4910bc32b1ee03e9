"""A service of all kinds of call that notes each handler it runs, and calls to it.

What was asked for twice would be noted twice: the notes are lines in a file, which
outlive the process that wrote them.  What comes back can be told from anything else.
"""

import gc
import hashlib
import os
import random
import threading
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio

from signetrpc.rpc import (
    Channel,
    Impersonation,
    Protection,
    RpcError,
    StatusCode,
    method,
    service,
)
from tests.support.kinds import of

__all__ = [
    "STYLES",
    "Entry",
    "Held",
    "Journal",
    "Ledger",
    "Order",
    "held",
    "held_by",
    "make",
    "no_more",
]

STYLES: Final = tuple(
    f"{kind}{style}"
    for kind in ("digest", "gather", "give", "echo")
    for style in ("", "_in_thread")
)
"""The methods that `make` can call: each kind of call, in a task and in a thread."""

_POOL: Final = 40
_GROWTH: Final = 32 * 1024 * 1024
_TICK_SECONDS: Final = 0.005
_LATE_SECONDS: Final = 1.0
"""How late a call may end beyond what the event loop was late."""
SLACK_SECONDS: Final = 20.0
"""After this time a call hangs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a call has noted of it: a key of its own, in a file."""

    journal: str
    key: str


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds."""

    resident_bytes: int
    descriptors: int
    threads: int
    tasks: int


def held() -> Held:
    """Return what this process holds; inside its event loop."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(
        resident_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
        tasks=len(anyio.get_running_tasks()),
    )


def _note(entry: Entry) -> None:
    # One write of few bytes to a file opened so is whole, whoever else writes.
    journal = os.open(entry.journal, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(journal, f"{entry.key}\n".encode())
    finally:
        os.close(journal)


def _digest_of(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _payload(key: str, index: int, size: int) -> bytes:
    """Return bytes that nothing else of any call is."""
    return hashlib.shake_128(f"{key} {index}".encode()).digest(size)


@service("e2e.Ledger", protection=Protection.SIGN)
class Ledger:
    """Each kind of call; digests, and bytes that are known by the call's key."""

    @method
    async def digest(self, entry: Entry, data: bytes) -> str:
        _note(entry)
        await anyio.sleep(0)
        return _digest_of([data])

    @method
    def digest_in_thread(self, entry: Entry, data: bytes) -> str:
        _note(entry)
        return _digest_of([data])

    @method(Protection.SEAL)
    async def gather(self, entry: Entry, items: AsyncIterable[bytes]) -> str:
        _note(entry)
        return _digest_of([item async for item in items])

    @method(Protection.SEAL)
    def gather_in_thread(self, entry: Entry, items: Iterable[bytes]) -> str:
        _note(entry)
        return _digest_of(items)

    @method
    async def give(self, entry: Entry, count: int, size: int) -> AsyncIterator[bytes]:
        _note(entry)
        for index in range(count):
            yield _payload(entry.key, index, size)
            await anyio.sleep(0)

    @method
    def give_in_thread(self, entry: Entry, count: int, size: int) -> Iterator[bytes]:
        _note(entry)
        for index in range(count):
            yield _payload(entry.key, index, size)

    @method(Protection.SEAL)
    async def echo(
        self, entry: Entry, items: AsyncIterable[bytes]
    ) -> AsyncIterator[bytes]:
        _note(entry)
        async for item in items:
            yield item

    @method(Protection.SEAL)
    def echo_in_thread(self, entry: Entry, items: Iterable[bytes]) -> Iterator[bytes]:
        _note(entry)
        yield from items

    @method(impersonate=Impersonation.NOT_ALLOWED)
    async def hold(self, descriptors: int, tasks: int) -> Held:
        """Return once the process has no more than so much."""
        while (found := held()).descriptors > descriptors or found.tasks > tasks:
            await anyio.sleep(0.01)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call to make.

    Attributes:
        style: Which method.
        entry: What is to be noted.
        count: How many items.
        size: Bytes of the body, or of each item.
        timeout: Seconds; None only for streams.
    """

    style: str
    entry: Entry
    count: int
    size: int
    timeout: float | None


async def make(channel: Channel, order: Order) -> RpcError | None:
    """Make a call, and return what it ended with; None if it ended well.

    Raises:
        TimeoutError: It has not, long after its deadline.
        AssertionError: It gave what was not asked for.
    """
    with anyio.fail_after((order.timeout or 0.0) + SLACK_SECONDS):
        try:
            await _make(channel, order)
        except RpcError as error:
            return error
    return None


async def _make(channel: Channel, order: Order) -> None:
    called: Any = of(order.style, Ledger)
    entry, timeout = order.entry, order.timeout
    items = [_payload(entry.key, index, order.size) for index in range(order.count)]
    match order.style.removesuffix("_in_thread"):
        case "digest":
            arguments = called.arguments(entry=entry, data=items[0])
            answer = await channel.unary(called, arguments, timeout=timeout)
            assert answer == _digest_of(items[:1])
        case "gather":
            arguments = called.arguments(entry=entry)
            answer = await channel.client_stream(
                called, arguments, items, timeout=timeout
            )
            assert answer == _digest_of(items)
        case "give":
            arguments = called.arguments(
                entry=entry, count=order.count, size=order.size
            )
            stream = channel.server_stream(called, arguments, timeout=timeout)
            await _expect(stream, items)
        case _:
            arguments = called.arguments(entry=entry)
            talk = channel.bidirectional(called, arguments, items, timeout=timeout)
            await _expect(talk, items)


async def _expect(stream: Any, items: list[bytes]) -> None:
    """Read a stream to its end: what comes before an error is right too."""
    wanted = iter(items)
    async with stream:
        async for item in stream:
            assert item == next(wanted)
    assert next(wanted, None) is None


async def held_by(channel: Channel, *, at_most: Held | None = None) -> Held:
    """Return what a server holds, once that is no more than it was."""
    method: Any = of("hold", Ledger)
    descriptors, tasks = (10**9,) * 2
    if at_most is not None:
        descriptors, tasks = at_most.descriptors, at_most.tasks
    arguments = method.arguments(descriptors=descriptors, tasks=tasks)
    return await channel.unary(method, arguments, timeout=SLACK_SECONDS)


def no_more(now: Held, before: Held) -> None:
    """See that a process does not hold more than before.

    Threads wait in a pool for the next handler, and memory is never given back whole.
    """
    both = f"{now}, before {before}"
    assert now.tasks <= before.tasks, both
    assert now.descriptors <= before.descriptors, both
    assert now.threads <= before.threads + _POOL, both
    assert now.resident_bytes - before.resident_bytes < _GROWTH, both


class Journal:
    """What was noted of many calls, and how they ended.

    Attributes:
        ends: The status that each call ended with, by its key; of calls that somebody
            waited for.
        errors: How often each error was among them, as text.
        path: The file.
        late: By how many seconds the latest of them missed its deadline, while `watch`
            ran.
        lag: By how many the event loop itself was late meanwhile, at worst.
    """

    def __init__(self, path: Path, chance: random.Random) -> None:
        """Begin with an empty file, which everybody may write to."""
        path.touch()
        path.chmod(0o666)
        self.ends: dict[str, StatusCode] = {}
        self.errors: Counter[str] = Counter()
        self.path = path
        self.late = self.lag = 0.0
        self._watched = False
        self._chance = chance
        self._made = 0

    def order(self, owner: str = "") -> Order:
        """Return a call of chance with a key of its own."""
        self._made += 1
        style = self._chance.choice(STYLES)
        short = self._chance.choice((1.0, 5.0, 5.0))
        return Order(
            style=style,
            entry=Entry(str(self.path), f"{owner}{self._made}"),
            count=self._chance.randrange(1, 12),
            size=int(2 ** self._chance.uniform(0, 15)),
            timeout=short if "digest" in style else self._chance.choice((short, None)),
        )

    async def make(self, channel: Channel) -> StatusCode:
        """Make a call of chance and note how it ended, once."""
        order = self.order()
        began = anyio.current_time()
        error = await make(channel, order)
        if order.timeout is not None and self._watched:
            took = anyio.current_time() - began
            self.late = max(self.late, took - order.timeout)
        status = StatusCode.OK if error is None else error.status
        if error is not None:
            self.errors[f"{error}"] += 1
        assert order.entry.key not in self.ends
        self.ends[order.entry.key] = status
        return status

    async def watch(self) -> None:
        """Measure how late this event loop is, until cancelled."""
        self._watched = True
        try:
            while True:
                began = anyio.current_time()
                await anyio.sleep(_TICK_SECONDS)
                late = anyio.current_time() - began - _TICK_SECONDS
                self.lag = max(self.lag, late)
        finally:
            self._watched = False

    def check(self) -> None:
        """See that no call ran twice or missed its deadline, and who ended well ran."""
        assert self.late <= self.lag + _LATE_SECONDS, (self.late, self.lag)
        noted = self.path.read_text().splitlines()
        assert len(noted) == len(set(noted))
        well = {key for key, end in self.ends.items() if end is StatusCode.OK}
        assert well <= set(noted)
