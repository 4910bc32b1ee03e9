"""A service and its server, in one file.

python hello.py [HOST:PORT]
"""

import sys
from contextlib import suppress

import anyio
from signetrpc.rpc import (
    AccountFile,
    Protection,
    Server,
    current_caller,
    method,
    service,
)


@service("hello.Greeter")
class Greeter:
    """Greets whoever calls."""

    @method(Protection.SIGN)
    async def greet(self, greeting: str) -> str:
        """Return the greeting with the caller's name, as it was authenticated."""
        return f"{greeting}, {current_caller().name}!"


async def main(address: str) -> None:
    """Serve until interrupted."""
    server = Server([Greeter], accept=[AccountFile("accounts.txt")])
    async with anyio.create_task_group() as group:
        listening = await group.start(server.serve, address)
        print("serving at", listening, flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420")
