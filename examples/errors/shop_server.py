"""The server of the shop.

python shop_server.py [HOST:PORT]
"""

import logging
import sys
from contextlib import suppress

import anyio
from signetrpc.rpc import AccountFile, Server, StatusCode

from shop import PrinterOnFire, Shop


async def main(address: str) -> None:
    """Serve until interrupted."""
    server = Server(
        [Shop()],
        accept=[AccountFile("accounts.txt")],
        errors={PrinterOnFire: StatusCode.UNAVAILABLE},
    )
    async with anyio.create_task_group() as group:
        listening = await group.start(server.serve, address)
        print("serving at", listening, flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    with suppress(KeyboardInterrupt):
        anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420")
