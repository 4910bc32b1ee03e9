"""A program with a service of its own: `python -m`, or by its file."""

import os

import anyio

from signetrpc.rpc import Protection, method, service
from tests.support.crew import crew


@service("test.Own")
class Own:
    """Defined in what is `__main__`."""

    @method(Protection.SIGN)
    async def user(self) -> int:
        return os.getuid()


async def main() -> None:
    """Call it as a user, and print who that is."""
    async with crew([Own]) as team:
        print(await team.call("alice", "test.Own/user"))


if __name__ == "__main__":
    anyio.run(main)
