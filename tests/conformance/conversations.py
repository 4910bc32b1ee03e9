"""The golden calls: how they are made, written and read.

Each file in `vectors/calls/` holds what client and server say to each other in calls
of one sort, message by message as in docs/wire.md#calls, below any record: the bytes,
and what they say.  Of a long message there is the beginning, the length and a hash.

Written anew, on purpose, by `python -m tests.conformance.regenerate`.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import anyio
import msgpack  # pyright: ignore[reportMissingTypeStubs]

from signetrpc.rpc import (
    Protection,
    RpcError,
    StatusCode,
    current_call,
    method,
    raised,
    service,
)
from signetrpc.rpc._assembly import Buffers
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._connection import Connection
from signetrpc.rpc._messages import encode_metadata
from signetrpc.rpc._schema import CallKind
from signetrpc.rpc._server_connection import ServerConnection
from signetrpc.rpc._serving import Serving
from signetrpc.rpc._stream_call import StreamCall
from signetrpc.rpc.details import ErrorInfo
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import open_loop
from tests.support.calls import HeldLoop, HeldPipe, endpoints
from tests.support.sessions import opened
from tests.support.turns import settle

__all__ = ["CALLS", "SCRIPTS", "Conversation", "described", "load_calls", "played"]

CALLS: Final = Path(__file__).parent / "vectors" / "calls"
SIGN, SEAL = Protection.SIGN, Protection.SEAL
LIMIT: Final = 1 << 20
_LONG: Final = 256


@service("golden.Tour", protection=SIGN)
class Tour:
    """A method for each sort of call."""

    @method(inline=True)
    def add(self, a: int, b: int) -> int:
        return a + b

    @method
    async def refuse(self) -> None:
        raise RpcError(
            StatusCode.NOT_FOUND,
            "no such tour",
            trailers={"retry": "no"},
            details=[ErrorInfo(reason="NO_TOUR", domain="golden.example")],
        )

    @method
    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    @method
    async def count(self, number: int) -> AsyncIterator[int]:
        current_call().send_headers({"kind": "count"})
        for each in range(number):
            yield each
        current_call().set_trailers({"given": str(number)})

    @method
    async def echo(self, items: AsyncIterator[str]) -> AsyncIterator[str]:
        async for each in items:
            yield raised(each, SEAL) if each == "secret" else each

    @method
    async def blob(self, size: int) -> AsyncIterator[bytes]:
        yield bytes(size)

    @method
    async def wait(self) -> AsyncIterator[int]:
        yield 1
        await anyio.sleep_forever()


class Conversation:
    """Both ends of a connection, and what they said.

    Attributes:
        client: Makes the calls.
        server: Answers them.
        loop: The clock of both.
        said: By whom, at which level, and the message.
    """

    def __init__(
        self, loop: HeldLoop, client: ClientConnection, server: ServerConnection
    ) -> None:
        self.loop = loop
        self.client = client
        self.server = server
        self.said: list[tuple[str, Protection, bytes]] = []
        self._note(server, "client")
        self._note(client, "server")

    def _note(self, end: Connection, by: str) -> None:
        receive = end._receive  # pyright: ignore[reportPrivateUsage]

        def noted(message: Any, level: Protection, raw: bytes | memoryview) -> None:
            self.said.append((by, level, bytes(raw)))
            receive(message, level, raw)

        end._receive = noted  # type: ignore[method-assign]  # pyright: ignore

    async def pump(self) -> None:
        """Let the ends talk until neither has more to say."""
        ends = ((self.client, self.server), (self.server, self.client))
        moved = True
        while moved:
            moved = False
            for here, there in ends:
                await settle()
                pipe = here._pipe  # pyright: ignore[reportPrivateUsage]
                assert isinstance(pipe, HeldPipe)
                data = bytes(pipe.sent)
                pipe.sent.clear()
                if data:
                    moved = True
                    there.data_received(data)

    async def begin(
        self,
        name: str,
        kind: CallKind,
        level: Protection = SIGN,
        timeout: float | None = None,
        **arguments: object,
    ) -> StreamCall:
        """Begin a stream."""
        wire_name = encode_value(f"golden.Tour/{name}")
        body = encode_value(arguments)
        return await self.client.stream(
            wire_name, level, body, timeout, b"\xc0", kind, LIMIT
        )

    async def call(self, name: str, **arguments: object) -> object:
        """Make a unary call; return its result, or the error."""
        outcomes: list[object] = []

        async def make() -> None:
            metadata = encode_metadata((("trace", "7"), ("key-bin", b"\0\xff")))
            wire_name, body = (
                encode_value(f"golden.Tour/{name}"),
                encode_value(arguments),
            )
            try:
                outcomes.append(
                    await self.client.call(wire_name, SIGN, body, 2.5, metadata, bytes)
                )
            except RpcError as error:
                outcomes.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(make)
            await self.pump()
        return outcomes[0]


async def _unary(talk: Conversation) -> None:
    assert await talk.call("add", a=1, b=2) == encode_value(3)


async def _error(talk: Conversation) -> None:
    error = await talk.call("refuse")
    assert isinstance(error, RpcError) and error.status is StatusCode.NOT_FOUND
    error = await talk.call("nothing")
    assert isinstance(error, RpcError) and error.status is StatusCode.UNIMPLEMENTED


async def _client_stream(talk: Conversation) -> None:
    call = await talk.begin("total", CallKind.CLIENT_STREAM)
    for number in (1, 2, 3):
        await call.outbox.send(encode_value(number))
    call.end_sending()
    await talk.pump()
    assert await call.inbox.take() == encode_value(6)


async def _server_stream(talk: Conversation) -> None:
    call = await talk.begin("count", CallKind.SERVER_STREAM, number=3)
    await talk.pump()
    for number in range(3):
        assert await call.inbox.take() == encode_value(number)
    assert (call.headers, call.trailers) == ((("kind", "count"),), (("given", "3"),))


async def _bidirectional(talk: Conversation) -> None:
    call = await talk.begin("echo", CallKind.BIDIRECTIONAL)
    for text, level in (("open", SIGN), ("secret", SEAL), ("open again", SIGN)):
        await call.outbox.send(encode_value(text), level)
        await talk.pump()
        assert await call.inbox.take() == encode_value(text)
    call.end_sending()
    await talk.pump()
    assert call.ended


async def _long_item(talk: Conversation) -> None:
    call = await talk.begin("blob", CallKind.SERVER_STREAM, size=600_000)
    await talk.pump()
    assert len(await call.inbox.take()) == 600_005


async def _cancel(talk: Conversation) -> None:
    call = await talk.begin("wait", CallKind.SERVER_STREAM)
    await talk.pump()
    call.cancel()
    await talk.pump()
    call = await talk.begin("wait", CallKind.SERVER_STREAM, timeout=2.5)
    await talk.pump()
    talk.loop.advance(3.0)
    await talk.pump()


async def _go_away(talk: Conversation) -> None:
    call = await talk.begin("echo", CallKind.BIDIRECTIONAL)
    await talk.pump()
    talk.server.retire(30.0)
    await talk.pump()
    call.end_sending()
    await talk.pump()
    assert call.ended


SCRIPTS: Final[dict[str, Callable[[Conversation], Awaitable[None]]]] = {
    "unary": _unary,
    "error": _error,
    "client-stream": _client_stream,
    "server-stream": _server_stream,
    "bidirectional": _bidirectional,
    "long-item": _long_item,
    "cancel": _cancel,
    "go-away": _go_away,
}


@asynccontextmanager
async def _conversation() -> AsyncGenerator[Conversation]:
    async with open_loop() as real:
        loop = HeldLoop(real)
        sessions = opened(minimum=SIGN)
        client = ClientConnection(
            loop,
            Link(HeldPipe(), sessions[0]),
            max_body_bytes=LIMIT,
            buffers=Buffers(),
        )
        serving = Serving(
            endpoints=endpoints([Tour()]),
            max_body_bytes=LIMIT,
            max_calls=16,
            buffers=Buffers(),
            threads=anyio.CapacityLimiter(1),
        )
        server = ServerConnection(loop, Link(HeldPipe(), sessions[1]), serving)
        talk = Conversation(loop, client, server)
        server.start()
        client.start()
        try:
            yield talk
        finally:
            await client.aclose()
            await server.aclose()
            await settle()


async def played(name: str) -> list[dict[str, Any]]:
    """Let the ends talk and return what the file of that name should hold."""
    async with _conversation() as talk:
        await SCRIPTS[name](talk)
        return [
            {"from": by, "level": level.name, **described(raw)}
            for by, level, raw in talk.said
        ]


def described(raw: bytes) -> dict[str, Any]:
    """Return a message's bytes and what they say."""
    return {"message": _hex(raw), "says": _plain(msgpack.unpackb(raw))}


def _hex(data: bytes) -> str | dict[str, Any]:
    if len(data) <= _LONG:
        return data.hex()
    digest = sha256(data).hexdigest()
    return {"begins": data[:32].hex(), "bytes": len(data), "sha256": digest}


def _plain(value: object) -> object:
    match value:
        case bytes():
            return {"bin": _hex(value)}
        case list():
            return [_plain(each) for each in value]  # pyright: ignore
        case _:
            return value


def load_calls(name: str) -> list[dict[str, Any]]:
    """Read the file of that name."""
    read: list[dict[str, Any]] = json.loads((CALLS / f"{name}.json").read_text())
    return read
