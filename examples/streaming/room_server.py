"""The server of the room.

python room_server.py [HOST:PORT]
"""

import sys
from contextlib import suppress

import anyio
from signetrpc.rpc import AccountFile, Server

from room import Room


async def main(address: str) -> None:
    """Serve until interrupted."""
    # An object and not the class: there is one room, whoever comes.
    server = Server([Room()], accept=[AccountFile("accounts.txt")])
    async with anyio.create_task_group() as group:
        listening = await group.start(server.serve, address)
        print("serving at", listening, flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420")
