"""A service whose handlers do whatever harm they are told to.

Each object is one caller's own, in the caller's process.
"""

import logging
import os
from pathlib import Path

import anyio

from signetrpc.rpc import (
    Impersonation,
    Protection,
    current_caller,
    method,
    service,
)
from tests.impersonation.climbing import CLIMBS
from tests.impersonation.floods import FLOODS
from tests.impersonation.forging import FORGERIES, forge
from tests.impersonation.ruins import RUINS
from tests.impersonation.trespassing import trespasses

__all__ = ["STYLES", "Hostile"]

STYLES = ("waiting", "threaded", "inline")
"""The methods of `Hostile` that do every deed."""

_DEEDS = {**RUINS, **CLIMBS, **FLOODS, **FORGERIES}


@service(
    "impersonation.Hostile",
    protection=Protection.SIGN,
    impersonate=Impersonation.REQUIRED,
)
class Hostile:
    """Does a deed by its name, and returns what became of it."""

    def __init__(self) -> None:
        self._held: anyio.Event | None = None
        self._holding = anyio.Event()

    @method
    async def waiting(self, deed: str) -> str:
        await anyio.sleep(0)
        return _DEEDS[deed]()

    @method
    def threaded(self, deed: str) -> str:
        return _DEEDS[deed]()

    @method(inline=True)
    def inline(self, deed: str) -> str:
        return _DEEDS[deed]()

    @method
    async def raising(self, error: str) -> None:
        """Raise what ends a program."""
        raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[error]

    @method
    async def worker(self) -> int:
        """Return the process's id."""
        return os.getpid()

    @method
    async def user(self) -> str:
        """Return whom the process is for."""
        user = current_caller().impersonated_as
        assert user is not None
        return f"{user.name} {user.uid} {os.environ['HOME']} {os.getgroups()}"

    @method
    async def cache(self) -> str:
        """Return where the caller's credential is."""
        path = os.environ["KRB5CCNAME"].removeprefix("FILE:")
        assert Path(path).read_bytes()
        return path

    @method
    async def parent(self) -> int:
        """Return that of the template."""
        return os.getppid()

    @method
    async def hold(self) -> int:
        """Return the process's id once it is let go."""
        self._held = anyio.Event()
        self._holding.set()
        await self._held.wait()
        return os.getpid()

    @method
    async def holding(self) -> None:
        """Return when somebody is held."""
        await self._holding.wait()

    @method
    async def let_go(self) -> None:
        assert self._held is not None
        self._held.set()
        self._holding = anyio.Event()

    @method
    def trespass(self, pid: int) -> dict[str, str]:
        """Try to reach another process, and return what each way gave."""
        return trespasses(pid)

    @method
    def say(self, logger: str, text: str) -> None:
        """Log something, and print it."""
        logging.getLogger(logger).critical("%s", text)
        print(text)

    @method
    def forge(self, call_ids: list[int], text: str) -> None:
        """Answer calls of whoever's with a text, on every connection there is."""
        for each in call_ids:
            forge(each, text)

    @method
    async def held(self) -> str:
        """Return nothing true, ever."""
        self._holding.set()
        await anyio.sleep_forever()
        return ""

    # In the service's own process.

    @method(impersonate=Impersonation.NOT_ALLOWED)
    async def served(self) -> str:
        self._held = anyio.Event()
        self._holding.set()
        await self._held.wait()
        return f"by {os.getpid()}"

    @method(impersonate=Impersonation.NOT_ALLOWED)
    async def serving(self) -> None:
        await self._holding.wait()

    @method(impersonate=Impersonation.NOT_ALLOWED)
    async def serve_on(self) -> None:
        assert self._held is not None
        self._held.set()
        self._holding = anyio.Event()
