"""A service that does to the machine what its caller says, as each kind of handler.

An action is known by its name, has one argument and gives a text: what it found, or
the name of the error that stopped it.
"""

import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from signetrpc.rpc import Impersonation, Protection, current_caller, method, service

__all__ = ["ACTIONS", "Acting", "STYLES"]

_IDS: Final = ("Uid", "Gid", "Groups")
_STATUS: Final = "/proc/thread-self/status"


def _ids_in(status: str) -> str:
    """Return of a status file the lines of ids: real, effective, saved, files'."""
    lines = [line for line in status.splitlines() if line.split(":")[0] in _IDS]
    return "; ".join(" ".join(line.split()) for line in lines)


# For handlers that block.


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _create(path: str) -> str:
    with open(path, "x") as file:
        file.write(path)
    return ""


def _folder(path: str) -> str:
    os.mkdir(path)
    return ""


def _listing(path: str) -> str:
    return " ".join(sorted(os.listdir(path)))


def _ids(_: str) -> str:
    return _ids_in(_read(_STATUS))


def _child_ids(_: str) -> str:
    done = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True)
    return _ids_in(done.stdout)


def _knock(path: str) -> str:
    """Connect to a socket, say who called, and return whom the kernel says it was."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        return sock.recv(1024).decode()


def _caller(_: str) -> str:
    user = current_caller().impersonated_as
    return "" if user is None else f"{user.name} {user.uid} {user.gid} {user.groups}"


_BLOCKING: Final[dict[str, Callable[[str], str]]] = {
    "read": _read,
    "create": _create,
    "folder": _folder,
    "listing": _listing,
    "ids": _ids,
    "child ids": _child_ids,
    "knock": _knock,
    "caller": _caller,
}


# For those that must not.


async def _read_file(path: str) -> str:
    async with await anyio.open_file(path) as file:
        return await file.read()


async def _create_file(path: str) -> str:
    async with await anyio.open_file(path, "x") as file:
        await file.write(path)
    return ""


async def _make_folder(path: str) -> str:
    await anyio.Path(path).mkdir()
    return ""


async def _list_folder(path: str) -> str:
    return " ".join(sorted([each.name async for each in anyio.Path(path).iterdir()]))


async def _ids_between(_: str) -> str:
    """Look before and after others ran; in this thread, a task and a pool's thread."""
    found = {_ids("")}
    await anyio.sleep(0)
    found.add(_ids(""))
    found.add(await anyio.to_thread.run_sync(_ids, ""))

    async def look() -> None:
        await anyio.sleep(0)
        found.add(_ids(""))

    async with anyio.create_task_group() as group:
        group.start_soon(look)
    return " and ".join(found)


async def _process_ids(_: str) -> str:
    done = await anyio.run_process(["cat", "/proc/self/status"])
    return _ids_in(done.stdout.decode())


async def _knock_there(path: str) -> str:
    async with await anyio.connect_unix(path) as stream:
        return (await stream.receive()).decode()


async def _caller_there(_: str) -> str:
    await anyio.sleep(0)
    return _caller("")


_AWAITING: Final[dict[str, Callable[[str], Awaitable[str]]]] = {
    "read": _read_file,
    "create": _create_file,
    "folder": _make_folder,
    "listing": _list_folder,
    "ids": _ids_between,
    "child ids": _process_ids,
    "knock": _knock_there,
    "caller": _caller_there,
}

ACTIONS: Final = tuple(_BLOCKING)

STYLES: Final = (
    "waiting",
    "pooled",
    "threaded",
    "inline",
    "given",
    "given_in_thread",
    "taken",
    "taken_in_thread",
    "each",
    "each_in_thread",
)
"""The methods of `Acting`, each of which does every action in its own way."""


def _blocking(action: str, argument: str) -> str:
    try:
        return _BLOCKING[action](argument)
    except OSError as error:
        return type(error).__name__


async def _awaiting(action: str, argument: str) -> str:
    try:
        return await _AWAITING[action](argument)
    except OSError as error:
        return type(error).__name__


@service(
    "impersonation.Acting",
    protection=Protection.SEAL,
    impersonate=Impersonation.REQUIRED,
)
class Acting:
    """Does things as its caller."""

    @method
    async def waiting(self, action: str, argument: str) -> str:
        return await _awaiting(action, argument)

    @method
    async def pooled(self, action: str, argument: str) -> str:
        act = partial(_blocking, action, argument)
        return await anyio.to_thread.run_sync(act)

    @method
    def threaded(self, action: str, argument: str) -> str:
        return _blocking(action, argument)

    @method(inline=True)
    def inline(self, action: str, argument: str) -> str:
        return _blocking(action, argument)

    # The other kinds of call: each item is an argument, or what an action gave.

    @method
    async def given(self, action: str, argument: str) -> AsyncIterator[str]:
        yield await _awaiting(action, argument)

    @method
    def given_in_thread(self, action: str, argument: str) -> Iterator[str]:
        yield _blocking(action, argument)

    @method
    async def taken(self, arguments: AsyncIterator[str], action: str) -> list[str]:
        return [await _awaiting(action, each) async for each in arguments]

    @method
    def taken_in_thread(self, arguments: Iterator[str], action: str) -> list[str]:
        return [_blocking(action, each) for each in arguments]

    @method
    async def each(
        self, arguments: AsyncIterator[str], action: str
    ) -> AsyncIterator[str]:
        async for argument in arguments:
            yield await _awaiting(action, argument)

    @method
    def each_in_thread(self, arguments: Iterator[str], action: str) -> Iterator[str]:
        for argument in arguments:
            yield _blocking(action, argument)

    @method
    async def worker(self) -> int:
        """Return the process's id."""
        return os.getpid()
