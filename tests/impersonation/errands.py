"""A service of calls that take their time, bring much along or end badly.

Its objects are one caller's own: the events of one are no other caller's.
"""

import hashlib
import os
import threading
from collections import defaultdict
from dataclasses import dataclass

import anyio

from signetrpc.rpc import (
    Impersonation,
    Protection,
    RpcError,
    StatusCode,
    current_call,
    current_caller,
    method,
    service,
)

__all__ = ["CallSeen", "Errands"]


@dataclass(frozen=True, slots=True)
class CallSeen:
    """What a handler knows of its call; `metadata` as `name=value` in Python."""

    uid: int
    method: str
    principal: str
    mechanism: str
    protection: str
    time_left: float | None
    metadata: list[str]


def _seen() -> CallSeen:
    call, caller = current_call(), current_caller()
    return CallSeen(
        uid=os.getuid(),
        method=call.method,
        principal=caller.principal,
        mechanism=caller.mechanism.value,
        protection=call.protection.name,
        time_left=call.time_left(),
        metadata=[f"{name}={value!r}" for name, value in call.metadata],
    )


def _failure(secret: str) -> ValueError:
    return ValueError(f"a detail of {os.getuid()}: {secret}")


@service(
    "impersonation.Errands",
    protection=Protection.SIGN,
    impersonate=Impersonation.REQUIRED,
)
class Errands:
    """Each kind of handler, and each kind of end."""

    def __init__(self) -> None:
        self._events: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
        self._released: defaultdict[str, threading.Event]
        self._released = defaultdict(threading.Event)

    # What a handler knows.

    @method
    async def seen(self) -> CallSeen:
        await anyio.sleep(0)
        return _seen()

    @method
    def seen_in_thread(self) -> CallSeen:
        return _seen()

    @method(inline=True)
    def seen_inline(self) -> CallSeen:
        return _seen()

    @method(Protection.SEAL)
    async def seen_sealed(self) -> CallSeen:
        return _seen()

    # Time.

    @method
    async def hold(self, key: str) -> None:
        """Never return; tell of the beginning and of the end."""
        self._events[f"held {key}"].set()
        try:
            await anyio.sleep_forever()
        finally:
            self._events[f"dropped {key}"].set()

    @method
    def block(self, key: str) -> int:
        """Keep a thread until `release`."""
        self._released[key].wait()
        return os.getuid()

    @method
    async def release(self, key: str) -> None:
        self._released[key].set()

    @method
    async def until(self, event: str) -> int:
        """Return when the event has happened."""
        await self._events[event].wait()
        return os.getuid()

    # Bodies.

    @method(Protection.SEAL)
    async def digest(self, data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    @method
    async def blob(self, size: int, fill: int) -> bytes:
        return bytes([fill]) * size

    @method(inline=True)
    def echo(self, data: bytes) -> bytes:
        return data

    # Failure.

    @method
    async def refuse(self, status: int, text: str) -> None:
        raise RpcError(
            StatusCode(status),
            text,
            trailers=[("who", str(os.getuid())), ("raw-bin", b"\x00\xff")],
        )

    @method
    async def refuse_after(self) -> None:
        current_call().set_trailers({"set": "before"})
        raise RpcError(StatusCode.ABORTED)

    @method
    async def say_beside(self, size: int) -> None:
        current_call().set_trailers({"k": "v" * (size - 1)})

    @method
    async def fail(self, secret: str) -> None:
        raise _failure(secret)

    @method
    def fail_in_thread(self, secret: str) -> None:
        raise _failure(secret)

    @method(inline=True)
    def fail_inline(self, secret: str) -> None:
        raise _failure(secret)

    @method
    async def chatter(self, text: str) -> None:
        """Print a line."""
        print(text)
