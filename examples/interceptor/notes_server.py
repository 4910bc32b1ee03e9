"""Serves notes to callers who have a token, and logs their calls.

NOTES_TOKEN=open-sesame python notes_server.py [HOST:PORT]
"""

import logging
import os
import sys
from contextlib import suppress

import anyio
from signetrpc.rpc import AccountFile, Server

from notes import Notes
from notes_interceptors import CallCounts, CallLog, TokenCheck


async def main(address: str) -> None:
    """Serve until interrupted."""
    counts = CallCounts()
    server = Server(
        [Notes],
        accept=[AccountFile("accounts.txt")],
        # The log and the counts are outside of the check: they see what it refuses.
        interceptors=[
            CallLog("notes.server"),
            counts,
            TokenCheck(os.environ["NOTES_TOKEN"]),
        ],
    )
    try:
        async with anyio.create_task_group() as group:
            listening = await group.start(server.serve, address)
            print("serving at", listening, flush=True)
    finally:
        for (method, status), count in sorted(counts.calls.items()):
            print(f"{method} {status.name}: {count}", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stdout, format="%(message)s")
    logging.getLogger("notes").setLevel(logging.INFO)
    with suppress(KeyboardInterrupt):
        anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420")
