"""A service whose handlers make sure of who they are, however their calls end.

A call says who it is from.  What a handler finds otherwise is left as a file in the
folder that its service was told of, so that it is noticed even if nobody waits for the
answer any more.
"""

import os
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from signetrpc.rpc import (
    Impersonation,
    Protection,
    RpcError,
    StatusCode,
    current_call,
    method,
    service,
)

__all__ = ["MISMATCHES", "STYLES", "Crowd", "End", "Seen"]

MISMATCHES: Final = Path("/run/people/square/mismatches")
"""Made by who runs the server: a folder where everybody may make files."""

STYLES: Final = ("waiting", "threaded", "inline")
"""The methods of `Crowd`."""

_BUSY_SECONDS: Final = 0.01
"""How long a thread is at work that nobody can cancel."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Who a handler is.

    Attributes:
        name: The caller's, by the call.
        uids: Real, effective and saved, by the kernel; `gids` likewise.
        groups: By the kernel, sorted.
    """

    name: str
    uids: list[int]
    gids: list[int]
    groups: list[int]


class End(StrEnum):
    """How a handler is to end."""

    RETURN = "return"
    FAIL = "fail"
    REFUSE = "refuse"
    STAY = "stay"
    """Not by itself, where it can be cancelled."""


def _look(wanted: Seen) -> Seen:
    context = current_call()
    user = context.caller.impersonated_as
    seen = Seen(
        context.caller.name,
        [*os.getresuid()],
        [*os.getresgid()],
        sorted(os.getgroups()),
    )
    if (
        seen != wanted
        or user is None
        or (user.name, user.uid)
        != (
            wanted.name,
            wanted.uids[0],
        )
    ):
        found = f"wanted {wanted}, seen {seen}, said {user}"
        (MISMATCHES / secrets.token_hex(8)).write_text(found)
    return seen


def _ended(end: End, seen: Seen) -> Seen:
    match end:
        case End.FAIL:
            raise ValueError(f"as {seen.name} was told")
        case End.REFUSE:
            raise RpcError(
                StatusCode.NOT_FOUND,
                f"refused by {seen.uids[0]}",
                trailers={"refused-by": seen.name},
            )
        case End.RETURN | End.STAY:
            return seen


@service(
    "impersonation.Crowd",
    protection=Protection.SIGN,
    impersonate=Impersonation.REQUIRED,
)
class Crowd:
    """Each method checks itself before, meanwhile and at its end."""

    def __init__(self) -> None:
        self._held = anyio.Event()

    @method
    async def waiting(self, wanted: Seen, end: End) -> Seen:
        _look(wanted)
        try:
            await anyio.sleep(0)
            await anyio.to_thread.run_sync(_look, wanted)
            if end is End.STAY:
                await anyio.sleep_forever()
        finally:
            seen = _look(wanted)
        return _ended(end, seen)

    @method
    def threaded(self, wanted: Seen, end: End) -> Seen:
        _look(wanted)
        if end is End.STAY:
            time.sleep(_BUSY_SECONDS)
        return _ended(end, _look(wanted))

    @method(inline=True)
    def inline(self, wanted: Seen, end: End) -> Seen:
        return _ended(end, _look(wanted))

    @method
    async def hold(self) -> int:
        """Return the process's id once it is let go."""
        await self._held.wait()
        return os.getpid()

    @method
    async def let_go(self) -> None:
        self._held.set()
