"""Prints each message it gets, with the level it had on the wire.

python stream_receiver.py [HOST:PORT]
"""

import sys
from contextlib import suppress

import anyio
from signetrpc.transport import AccountFile, ConnectionClosed, SecureStream, listen


async def print_messages(stream: SecureStream) -> None:
    """Print what one peer sends until it closes, then how it ended."""
    print(f"{stream.peer} connected", flush=True)
    try:
        while True:
            # The level travels with each message and was verified: nothing to set here.
            data, level = await stream.receive()
            print(f"{level.name:<4}  {data.decode()}", flush=True)
            await stream.send(b"got it, " + level.name.encode(), level)
    except ConnectionClosed as closed:
        # An end that the peer did not sign may be anybody's doing.
        how = "closed the session" if closed.clean else "was cut off"
        print(f"{stream.peer} {how}", flush=True)


async def main(address: str) -> None:
    """Listen until interrupted."""
    async with await listen(address, accept=[AccountFile("accounts.txt")]) as listener:
        print("listening at", listener.address, flush=True)
        await listener.serve(print_messages)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7421")
