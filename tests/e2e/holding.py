"""A client as a process of its own, with calls under way for ever.

python -m tests.e2e.holding ADDRESS KEY COUNT
"""

import sys

import anyio

from signetrpc.rpc import Channel
from tests.e2e.processes import connected
from tests.e2e.trial import call

__all__: list[str] = []


async def _hold(address: str, key: str, count: int) -> None:
    async with connected(address) as channel, anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(_call, channel, f"{key}{number}")


async def _call(channel: Channel, key: str) -> None:
    await call(channel, "hold", key=key)


if __name__ == "__main__":
    anyio.run(_hold, sys.argv[1], sys.argv[2], int(sys.argv[3]))
