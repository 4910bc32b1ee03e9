"""A service of streams, whose handlers look who they are with every item."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import anyio

from signetrpc.rpc import (
    Impersonation,
    Protection,
    RpcError,
    StatusCode,
    method,
    service,
)

__all__ = ["Currents", "Drop"]


@dataclass(frozen=True, slots=True)
class Drop:
    """An item, with the ids of who handled it, real, effective and saved."""

    text: str
    uids: list[int]
    gids: list[int]


def _drop(text: str) -> Drop:
    return Drop(text, [*os.getresuid()], [*os.getresgid()])


@service(
    "impersonation.Currents",
    protection=Protection.SEAL,
    impersonate=Impersonation.REQUIRED,
)
class Currents:
    """Each kind of stream, each kind of handler."""

    def __init__(self) -> None:
        self._ended: dict[str, anyio.Event] = {}

    def _event(self, key: str) -> anyio.Event:
        return self._ended.setdefault(key, anyio.Event())

    @method
    async def lines(self, path: str) -> AsyncIterator[Drop]:
        """Give the lines of a file."""
        try:
            async with await anyio.open_file(path) as file:
                async for line in file:
                    await anyio.sleep(0)
                    yield _drop(line.rstrip("\n"))
        except PermissionError:
            raise RpcError(StatusCode.PERMISSION_DENIED, path) from None

    @method
    def lines_in_thread(self, path: str) -> Iterator[Drop]:
        """Give the lines of a file."""
        try:
            with open(path) as file:
                for line in file:
                    yield _drop(line.rstrip("\n"))
        except PermissionError:
            raise RpcError(StatusCode.PERMISSION_DENIED, path) from None

    @method
    async def write(self, path: str, items: AsyncIterator[str]) -> Drop:
        """Make a file of lines."""
        async with await anyio.open_file(path, "x") as file:
            async for item in items:
                await file.write(f"{item}\n")
        return _drop(path)

    @method
    def write_in_thread(self, path: str, items: Iterator[str]) -> Drop:
        """Make a file of lines."""
        with open(path, "x") as file:
            for item in items:
                file.write(f"{item}\n")
        return _drop(path)

    @method
    async def echo(self, items: AsyncIterator[str]) -> AsyncIterator[Drop]:
        """Give each item back."""
        async for item in items:
            await anyio.sleep(0)
            yield _drop(item)

    @method
    def echo_in_thread(self, items: Iterator[str]) -> Iterator[Drop]:
        """Give each item back."""
        for item in items:
            yield _drop(item)

    @method
    async def endless(self, key: str) -> AsyncIterator[Drop]:
        """Give items until nobody wants them."""
        try:
            while True:
                yield _drop(key)
        finally:
            self._event(key).set()

    @method
    async def ended(self, key: str) -> int:
        """Return once `endless` has."""
        await self._event(key).wait()
        return os.getuid()

    @method
    async def process(self) -> int:
        """Return the id of the process that handles the caller's items."""
        return os.getpid()
