"""Peers that say what they are told: a server of one's own, and what both send.

python -m tests.conformance.interop.scripted OPTIONS

The server prints its address and answers a call to method NUMBER by what case NUMBER of
`responses` in unexpected.toml says.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from signetrpc.rpc import AccountFile, Keytab, Protection, ServerCredentials
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Call,
    decode_message,
    encode_end,
    encode_headers,
    encode_item,
    encode_part,
    encode_reply,
    encode_status,
)
from signetrpc.transport import ConnectionClosed, SecureStream, listen

__all__ = ["BODIES", "CASES", "SERVICE", "say"]

Case = dict[str, Any]

CASES: Final[dict[str, list[Case]]] = tomllib.loads(
    Path(__file__).with_name("unexpected.toml").read_text()
)
SERVICE: Final = "test.Scripted"
BODIES: Final = {
    "whole": encode_value("x"),
    "empty": encode_value({}),
    "nonsense": b"\xc1",
}
_NIL: Final = b"\xc0"


async def say(stream: SecureStream, word: str, call_id: int) -> None:
    """Send one message of a case, but for a CALL."""
    name, *rest = word.split()
    more = "more" in rest
    body = BODIES["nonsense" if "nonsense" in rest else "whole"]
    match name:
        case "ITEM":
            message = encode_item(call_id, body, more)
        case "PART":
            message = encode_part(call_id, body, more)
        case "END":
            message = encode_end(call_id)
        case "REPLY":
            message = encode_reply(call_id, _NIL, body, more)
        case "STATUS":
            message = encode_status(call_id, int(rest[0]), "")
        case "HEADERS":
            message = encode_headers(call_id, (("k", "v"),))
        case "GARBAGE":
            message = b"\xc1"
        case _:
            assert name == "CLOSE"
            await stream.aclose()
            return
    await stream.send(message, Protection.SEAL)


async def _answer(stream: SecureStream) -> None:
    async with stream:
        while True:
            try:
                message = decode_message((await stream.receive()).data)
                if isinstance(message, Call):
                    number = int(message.method.rpartition("/")[2])
                    for word in CASES["responses"][number]["says"]:
                        await say(stream, word, message.id)
            except ConnectionClosed:
                return


async def _serve(options: dict[str, str]) -> None:
    accept: list[ServerCredentials] = [
        AccountFile(options["accounts"]),
        Keytab(options["keytab"]),
    ]
    listener = await listen("tcp://127.0.0.1:0", accept=accept)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, _answer)
        print(listener.address, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        group.cancel_scope.cancel()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    anyio.run(_serve, given, backend=given["flavour"])
