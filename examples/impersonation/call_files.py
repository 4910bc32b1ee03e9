"""Calls the files' server as alice and as bob in turn, and shows what each may do.

    python call_files.py HOST:PORT

Started by run_two_users.py.  The passwords are in the environment, as ALICE_PASSWORD
and so on.  Ends with exit code 1 and a message where something is not as it must be.
"""

import os
import sys
from collections.abc import Awaitable

import anyio
from signetrpc.rpc import Password, RpcError, StatusCode, connect

from files_client import Entry, FilesClient

TREE = "/run/files"
ROW = "{:<10}  {:<32}  {}"


class Unexpected(Exception):
    """Something is not as the example says it is."""


def login(name: str) -> Password:
    """Return the credentials of a user of the domain CORP."""
    return Password(rf"CORP\{name}", os.environ[f"{name.upper()}_PASSWORD"])


async def main(address: str) -> None:
    """Make the calls, first of one user, then of the other, then of both in turn."""
    print(ROW.format("CALLER", "CALL", "ANSWER"))
    async with (
        connect(address, credentials=login("alice")) as first,
        connect(address, credentials=login("bob")) as second,
    ):
        alice, bob = FilesClient(first), FilesClient(second)
        await show_selves(alice, bob)
        for name, files, other in (("alice", alice, "bob"), ("bob", bob, "alice")):
            await own_and_others(name, files, other)
        await together(alice, bob)
    await nobody_here(address)


async def show_selves(alice: FilesClient, bob: FilesClient) -> None:
    """Ask the kernel, by way of a handler each, who is who."""
    processes: set[int] = set()
    for name, files in (("alice", alice), ("bob", bob)):
        me = await files.whoami()
        show(name, "whoami", f"{me.user}, uid {me.uid}, in process {me.process}")
        expect(me.user == name and me.principal == rf"CORP\{name}", f"{me}")
        processes.add(me.process)
    expect(len(processes) == 2, "two callers in one process")


async def own_and_others(name: str, files: FilesClient, other: str) -> None:
    """Have a user read a file of their own, and try another's."""
    own, others = f"{TREE}/{name}/diary", f"{TREE}/{other}/diary"
    text = await files.read(own)
    show(name, f"read {own}", text)
    expect(text == f"{name}'s own", text)
    await refused(name, f"read {others}", files.read(others))
    folder = f"{TREE}/{other}"
    await refused(name, f"entries {folder}", files.entries(folder))
    await refused(name, f"read {TREE}/of-root", files.read(f"{TREE}/of-root"))


async def together(alice: FilesClient, bob: FilesClient) -> None:
    """Have both make files in a folder of theirs, and look at each other's."""
    for name, files in (("alice", alice), ("bob", bob)):
        path = f"{TREE}/common/of-{name}"
        made = await files.write(path, f"by {name}")
        show(name, f"write {path}", described(made))
        expect(made.owner == name, f"{made}")
    await refused(
        "bob", f"write {TREE}/common/of-alice", bob.write(f"{TREE}/common/of-alice", "")
    )
    for name, files in (("alice", alice), ("bob", bob)):
        there = await files.entries(f"{TREE}/common")
        show(name, f"entries {TREE}/common", "; ".join(map(described, there)))
        expect([each.owner for each in there] == ["alice", "bob"], f"{there}")


async def nobody_here(address: str) -> None:
    """Call as somebody who has an account, and is no user of the machine."""
    async with connect(address, credentials=login("carol")) as channel:
        await refused("carol", "whoami", FilesClient(channel).whoami())


async def refused(name: str, call: str, answer: Awaitable[object]) -> None:
    """Await a call that must not be allowed."""
    try:
        await answer
    except RpcError as error:
        show(name, call, f"{error.status.name}: {error.message}")
        expect(error.status is StatusCode.PERMISSION_DENIED, f"{error.status=}")
    else:
        raise Unexpected(f"{name}: {call} was allowed")


def described(entry: Entry) -> str:
    """Return a file as `ls -l` would show it."""
    return f"{entry.mode} {entry.owner} {entry.name}"


def show(name: str, call: str, answer: str) -> None:
    """Print a call and how it went."""
    print(ROW.format(rf"CORP\{name}", call, answer))


def expect(condition: bool, otherwise: str) -> None:
    """Raise `Unexpected` unless `condition` holds."""
    if not condition:
        raise Unexpected(otherwise)


if __name__ == "__main__":
    try:
        anyio.run(main, sys.argv[1])
    except (RpcError, Unexpected) as error:
        sys.exit(f"call_files: {error}")
