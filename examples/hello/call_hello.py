"""A client of the greeter.

python call_hello.py [HOST:PORT]
"""

import sys

import anyio
from signetrpc.rpc import Password, connect

from hello_client import GreeterClient


async def main(address: str) -> None:
    """Call once and print the answer."""
    alice = Password(r"CORP\alice", "secret")
    async with connect(address, credentials=alice) as channel:
        print(await GreeterClient(channel).greet("Hello"))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420")
