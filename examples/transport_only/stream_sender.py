"""Sends signed messages, and sealed ones among them.

python stream_sender.py [HOST:PORT]
"""

import sys

import anyio
from signetrpc.transport import Password, Protection, connect_stream


async def main(address: str) -> None:
    """Send three messages and print each answer."""
    alice = Password(r"CORP\alice", "secret")
    stream = await connect_stream(
        address,
        credentials=alice,
        protection=Protection.SIGN,  # of messages that name none
    )
    async with stream:
        await stream.send(b"the price is 12.50")
        print((await stream.receive()).data.decode())

        # This one is sensitive; the ones around it stay as they are.
        await stream.send(b"the card is 4929 1234", Protection.SEAL)
        print((await stream.receive()).data.decode())

        await stream.send(b"thank you")
        print((await stream.receive()).data.decode())


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7421")
