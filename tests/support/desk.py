"""A service whose handlers the test holds in its hands, and calls to it."""

import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from signetrpc.rpc import (
    Protection,
    RpcError,
    StatusCode,
    current_call,
    current_caller,
    method,
    service,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import Message, Reply, Status, encode_call
from signetrpc.rpc._server_connection import ServerConnection
from signetrpc.transport import TransportError
from tests.support.calls import FarEnd, HeldLoop, server_end

__all__ = [
    "NIL",
    "Desk",
    "answers",
    "call",
    "desk",
    "ended_by",
    "reply",
    "status",
    "until",
]

NIL = b"\xc0"


@service("test.Desk")
class Desk:
    """Handlers of each style, that the test holds in its hands."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.go = anyio.Event()
        self.thread_go = threading.Event()
        self.stubborn = False

    @method(Protection.SIGN, inline=True)
    def inline(self, text: str) -> str:
        self.started.append(text)
        return text.upper()

    @method(Protection.SIGN)
    async def wait(self, text: str) -> str:
        self.started.append(text)
        try:
            await self.go.wait()
        except BaseException:
            self.cancelled.append(text)
            if not self.stubborn:
                raise
        return text

    @method(Protection.SIGN)
    def block(self, text: str) -> str:
        self.started.append(text)
        assert self.thread_go.wait(10)
        return current_caller().name

    @method
    async def sealed(self) -> str:
        self.started.append("sealed")
        return "secret"

    @method(Protection.NONE, inline=True)
    def open(self) -> str:
        return current_caller().principal

    @method(Protection.SIGN)
    async def fail(self, how: str) -> str:
        raise self.error(how)

    @method(Protection.SIGN, inline=True)
    def fail_inline(self, how: str) -> str:
        raise self.error(how)

    @method(Protection.SIGN)
    def fail_thread(self, how: str) -> str:
        raise self.error(how)

    def error(self, how: str) -> BaseException:
        current_call().set_trailers({"from": "context"})
        match how:
            case "status":
                return RpcError(StatusCode.NOT_FOUND, "gone", trailers={"k": "v"})
            case "surrogate":
                return RpcError(StatusCode.NOT_FOUND, "file \udcff")
            case "number":
                return RpcError(StatusCode.NOT_FOUND, 404)  # type: ignore[arg-type]  # pyright: ignore
            case "bare":
                return Bare()
            case "long":
                return RpcError(StatusCode.NOT_FOUND, "x" * 9000)
            case "stop":
                return StopIteration("stop")
            case _:
                return KeyError("the secret is 42")

    @method(Protection.SIGN)
    async def give_up(self) -> str:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()
        return "went on"

    @method(Protection.SIGN)
    async def big(self, size: int) -> bytes:
        return bytes(size)

    @method(Protection.SIGN, inline=True)
    def big_inline(self, size: int) -> bytes:
        return bytes(size)

    @method(Protection.SIGN)
    async def wrong(self) -> str:
        return object()  # type: ignore[return-value]  # pyright: ignore

    @method(Protection.SIGN)
    async def bad_trailers(self) -> str:
        current_call().trailers = (("k", object()),)  # type: ignore[assignment]  # pyright: ignore
        return "x"

    @method(Protection.SIGN, inline=True)
    def context(self) -> str:
        call = current_call()
        call.set_trailers({"seen": str(call.metadata)})
        return f"{call.method} {call.protection.name} {call.time_left()}"

    @method(Protection.SIGN, inline=True)
    def length(self, data: bytes) -> int:
        return len(data)


class Bare(RpcError):
    def __init__(self) -> None:
        """Forget to make the base."""


def call(
    call_id: int,
    name: str,
    arguments: dict[str, Any] | None = None,
    *,
    timeout: float | None = None,
    metadata: bytes = NIL,
    more: bool = False,
    body: bytes | None = None,
) -> bytes:
    written = encode_value(arguments or {}) if body is None else body
    wire_name = encode_value(f"test.Desk/{name}")
    return encode_call(call_id, wire_name, timeout, metadata, written, more)


def reply(call_id: int, value: object, **trailers: str) -> Reply:
    return Reply(call_id, list(trailers.items()) or None, False, encode_value(value))


def status(message: Message) -> tuple[int, StatusCode, str]:
    assert isinstance(message, Status)
    return message.id, StatusCode(message.code), message.message


@asynccontextmanager
async def desk(
    **options: Any,
) -> AsyncGenerator[tuple[Desk, ServerConnection, FarEnd, HeldLoop]]:
    served = Desk()
    async with server_end(served, **options) as (connection, far, loop):
        try:
            yield served, connection, far, loop
        finally:
            served.thread_go.set()


def ended_by(connection: ServerConnection) -> TransportError:
    assert connection.ended is not None
    return connection.ended


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what a thread does."""
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0)


async def answers(far: FarEnd, count: int) -> list[Message]:
    heard: list[Message] = []

    def enough() -> bool:
        heard.extend(far.heard())
        return len(heard) >= count

    await until(enough)
    return heard
