"""A client as a process of its own, which makes calls until it is killed.

python -m tests.soak.calling ADDRESS JOURNAL OWNER PRINCIPAL PASSWORD

Prints a line for each call that ended well.
"""

import random
import sys
from pathlib import Path

import anyio

from signetrpc.rpc import Channel, Password, connect
from tests.e2e.ledger import Journal, make

__all__ = ["AT_ONCE"]

AT_ONCE = 16


async def _call(channel: Channel, journal: Journal, owner: str) -> None:
    while True:
        if await make(channel, journal.order(owner)) is None:
            print("ok", flush=True)


async def _main(*arguments: str) -> None:
    address, path, owner, principal, password = arguments
    journal = Journal(Path(path), random.Random(owner))
    async with (
        connect(address, credentials=Password(principal, password)) as channel,
        anyio.create_task_group() as group,
    ):
        for _ in range(AT_ONCE):
            group.start_soon(_call, channel, journal, owner)


if __name__ == "__main__":
    anyio.run(_main, *sys.argv[1:])
