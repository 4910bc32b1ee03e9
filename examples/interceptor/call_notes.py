"""A client of the notes, with the token and without.

NOTES_TOKEN=open-sesame python call_notes.py [HOST:PORT]
"""

import logging
import os
import sys

import anyio
from signetrpc.rpc import Password, RpcError, connect

from notes_client import NotesClient
from notes_interceptors import CallCounts, CallLog, TokenGiver

ALICE = Password(r"CORP\alice", "secret")


async def main(address: str, token: str) -> None:
    """Make two notes and read them; then call without a token."""
    counts = CallCounts()
    async with connect(
        address,
        credentials=ALICE,
        interceptors=[CallLog("notes.client"), counts, TokenGiver(token)],
    ) as channel:
        client = NotesClient(channel)
        await client.add("Buy milk")
        await client.add("Water the plants")
        async with client.all() as notes:
            async for note in notes:
                print("-", note)
    calls = sum(counts.calls.values())
    print(calls, "calls of", len(counts.seconds), "methods")
    async with connect(address, credentials=ALICE) as channel:
        try:
            await NotesClient(channel).add("Feed the cat")
        except RpcError as error:
            print(error)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stdout, format="%(message)s")
    logging.getLogger("notes").setLevel(logging.INFO)
    anyio.run(
        main,
        sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420",
        os.environ["NOTES_TOKEN"],
    )
