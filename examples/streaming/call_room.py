"""Two people in the room, with a call of each kind.

python call_room.py [HOST:PORT]
"""

import hashlib
import sys
from collections.abc import Iterator

import anyio
from signetrpc.rpc import Password, Protection, connect

from room_client import Line, RoomClient

ALICE = Password(r"CORP\alice", "secret")
BOB = Password(r"CORP\bob", "hidden")
CHUNK_BYTES = 32 * 1024


async def main(address: str) -> None:
    """Let alice and bob talk."""
    async with (
        connect(address, credentials=ALICE) as first,
        connect(address, credentials=BOB) as second,
    ):
        alice, bob = RoomClient(first), RoomClient(second)
        await listen(alice, bob)
        await upload(alice)
        await talk(alice, bob)


async def listen(alice: RoomClient, bob: RoomClient) -> None:
    """Unary calls of alice's, and a stream on which bob hears of them."""
    await alice.say("Good morning")
    async with bob.listen() as lines:
        show("bob hears", await anext(lines))
        # Sealed for this one call, though the method is content with a signature.
        await alice.say("The key is under the mat", protection=Protection.SEAL)
        show("bob hears", await anext(lines))
    # The stream has no end: leaving the block gives the call up.


async def upload(alice: RoomClient) -> None:
    """A client stream: the file is never in memory as a whole, at neither end."""
    receipt = await alice.upload("minutes", pieces(b"All agreed. ", 1_000_000))
    print(receipt.name, "has", receipt.size, "bytes")
    expected = hashlib.sha256()
    for piece in pieces(b"All agreed. ", 1_000_000):
        expected.update(piece)
    print("checksum", "right" if receipt.sha256 == expected.hexdigest() else "wrong")


async def talk(alice: RoomClient, bob: RoomClient) -> None:
    """A stream each way: each line is sent when the answer to the last has come."""
    async with alice.talk() as conversation:
        await conversation.send("Tea or coffee?")
        show("alice hears", await anext(conversation))
        await bob.say("Tea")
        await conversation.send("Two teas then")
        for _ in range(2):
            show("alice hears", await anext(conversation))
        await conversation.end()
        print("and then", len([line async for line in conversation]), "lines more")


def pieces(text: bytes, times: int) -> Iterator[bytes]:
    """Yield a long file, a piece at a time."""
    many = max(1, CHUNK_BYTES // len(text))
    for start in range(0, times, many):
        yield text * min(many, times - start)


def show(who: str, line: Line) -> None:
    """Print what was heard."""
    sealed = " (sealed)" if line.private else ""
    print(f"{who} {line.number} {line.who}: {line.text}{sealed}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420")
