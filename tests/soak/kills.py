"""Calls of all kinds, many at once, while somebody kills processes they need."""

import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

import anyio
import anyio.to_thread

from signetrpc.rpc import Channel, Password, StatusCode
from tests.e2e.ledger import Journal
from tests.e2e.processes import PATIENCE, start_module

__all__ = [
    "AT_ONCE",
    "ENDS",
    "SECONDS",
    "Returning",
    "Strike",
    "kill_a_client",
    "under_fire",
]

SECONDS: Final = 60
AT_ONCE: Final = 64
ENDS: Final = {
    StatusCode.OK,
    StatusCode.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED,
}
"""How a call can end whose processes are killed."""

_LONGEST_SECONDS: Final = 0.3
"""Within this time, by chance, comes the next kill."""


class _Process(Protocol):
    """A server's process, which a context manager stops."""

    address: str

    def kill(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


P = TypeVar("P", bound=_Process)


class Returning(Generic[P]):
    """A server that comes back at its address when it is killed.  A context manager.

    Attributes:
        address: Where it is.
        process: The one it is now.
    """

    def __init__(self, start: Callable[[str], P]) -> None:
        """Start it.

        Args:
            start: Starts it at an address.
        """
        self._start = start
        self._stack = ExitStack()
        self.process = start("tcp://127.0.0.1:0")
        self._stack.enter_context(self.process)
        self.address = self.process.address

    async def kill(self) -> None:
        """Kill it, and return when there is another."""
        self.process.kill()
        self._stack.close()
        self.process = await anyio.to_thread.run_sync(self._start, self.address)
        self._stack.enter_context(self.process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)


Strike = Callable[[], Awaitable[None]]
"""Kills something."""


async def under_fire(
    channels: Sequence[Channel],
    journal: Journal,
    strikes: Mapping[str, Strike],
    chance: random.Random,
    seconds: float,
) -> Counter[StatusCode]:
    """Make calls all the time, and strike at moments of chance.

    Args:
        channels: Find their way back by themselves; each has as many of the calls.
        journal: Where the calls are noted.
        strikes: What to do, by name; each is done once at least.
        chance: When to do it, and what.
        seconds: How long.

    Returns:
        How the calls ended.
    """
    ends: Counter[StatusCode] = Counter()
    over = anyio.Event()

    async def caller(channel: Channel) -> None:
        while not over.is_set():
            status = await journal.make(channel)
            ends[status] += 1
            if status is not StatusCode.OK:
                # Right after a failed attempt the server is left alone.
                await anyio.sleep(0.02)

    async def flow() -> None:
        """Return when so many calls have ended well as are made at once."""
        wanted = ends[StatusCode.OK] + AT_ONCE
        with anyio.fail_after(PATIENCE):
            while ends[StatusCode.OK] < wanted:
                await anyio.sleep(0.01)

    until = anyio.current_time() + seconds
    left = [*strikes]
    async with anyio.create_task_group() as group:
        group.start_soon(journal.watch)
        async with anyio.create_task_group() as callers:
            for number in range(AT_ONCE):
                callers.start_soon(caller, channels[number % len(channels)])
            await flow()
            while left or anyio.current_time() < until:
                name = chance.choice(left or [*strikes])
                if name in left:
                    left.remove(name)
                await anyio.sleep(chance.random() * _LONGEST_SECONDS)
                await strikes[name]()
                await flow()
            over.set()
        group.cancel_scope.cancel()
    return ends


async def kill_a_client(
    address: str, journal: Path, owner: str, credentials: Password
) -> None:
    """Let a client call for a while, and kill it with calls under way."""
    principal, password = credentials.user, credentials.password
    with tempfile.TemporaryFile("w+") as errors:
        client = start_module(
            "tests.soak.calling",
            *(address, str(journal), owner, principal, password),
            env=None,
            errors=errors,
        )
        await anyio.to_thread.run_sync(_wait_and_kill, client)


def _wait_and_kill(client: "subprocess.Popen[str]") -> None:
    assert client.stdout is not None
    assert client.stdout.readline() == "ok\n"
    client.kill()
    client.communicate()
