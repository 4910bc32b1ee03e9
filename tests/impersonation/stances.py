"""Services whose methods say differently whether they run as their callers."""

import os
from dataclasses import dataclass

import anyio
import anyio.to_thread

from signetrpc.rpc import (
    Impersonation,
    Protection,
    current_caller,
    method,
    service,
)

__all__ = ["STYLES", "Allowing", "Mixed", "Ran", "Unprotected"]

STYLES = ("waiting", "threaded", "inline")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a handler ran.

    Attributes:
        uid: The process's user.
        impersonated_as: By `current_caller()`; empty for nobody.
        caller: The name of who called.
        delegated: Whether there is a credential of the caller's.
        pid: The process.
    """

    uid: int
    impersonated_as: str
    caller: str
    delegated: bool
    pid: int


def _ran() -> Ran:
    caller = current_caller()
    user = caller.impersonated_as
    return Ran(
        uid=os.getuid(),
        impersonated_as="" if user is None else user.name,
        caller=caller.name,
        delegated=caller.delegated is not None,
        pid=os.getpid(),
    )


@service("impersonation.Mixed", protection=Protection.SIGN)
class Mixed:
    """Each stance in each style, and state of each object's own."""

    def __init__(self) -> None:
        self._count = 0

    @method(impersonate=Impersonation.NOT_ALLOWED)
    async def not_allowed_waiting(self) -> Ran:
        await anyio.sleep(0)
        await anyio.to_thread.run_sync(_ran)
        return _ran()

    @method(impersonate=Impersonation.NOT_ALLOWED)
    def not_allowed_threaded(self) -> Ran:
        return _ran()

    @method(impersonate=Impersonation.NOT_ALLOWED, inline=True)
    def not_allowed_inline(self) -> Ran:
        return _ran()

    @method(impersonate=Impersonation.ALLOWED)
    async def allowed_waiting(self) -> Ran:
        await anyio.sleep(0)
        await anyio.to_thread.run_sync(_ran)
        return _ran()

    @method
    def allowed_threaded(self) -> Ran:
        return _ran()

    @method(inline=True)
    def allowed_inline(self) -> Ran:
        return _ran()

    @method(impersonate=Impersonation.REQUIRED)
    async def required_waiting(self) -> Ran:
        await anyio.sleep(0)
        await anyio.to_thread.run_sync(_ran)
        return _ran()

    @method(impersonate=Impersonation.REQUIRED)
    def required_threaded(self) -> Ran:
        return _ran()

    @method(impersonate=Impersonation.REQUIRED, inline=True)
    def required_inline(self) -> Ran:
        return _ran()

    @method(impersonate=Impersonation.NOT_ALLOWED)
    async def count_shared(self) -> int:
        """Count the calls of everybody."""
        self._count += 1
        return self._count

    @method(impersonate=Impersonation.REQUIRED)
    async def count_own(self) -> int:
        """Count the caller's own calls."""
        self._count += 1
        return self._count


@service("impersonation.Allowing", protection=Protection.SIGN)
class Allowing:
    """Says nothing about it, so its methods run as they may."""

    @method
    async def waiting(self) -> Ran:
        return _ran()

    @method
    def threaded(self) -> Ran:
        return _ran()

    @method(inline=True)
    def inline(self) -> Ran:
        return _ran()


@service("impersonation.Unprotected", protection=Protection.NONE)
class Unprotected:
    """Cannot run as its callers, whom nobody proves."""

    @method
    async def ping(self) -> None:
        """Do nothing."""
