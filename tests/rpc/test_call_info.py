"""What comes beside an answer: headers, trailers, who and how; for errors as well."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from signetrpc.rpc import (
    CallInfo,
    ClientStreamMethod,
    Protection,
    RpcError,
    ServerStreamMethod,
    StatusCode,
    UnaryMethod,
    current_call,
    method,
    service,
)
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import encode_headers, encode_metadata, encode_reply
from signetrpc.rpc.testing import SERVER, channel_for
from signetrpc.transport import RemoteProtocolError
from tests.support.calls import client_end
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


@service("test.Beside", protection=Protection.SIGN)
class Beside:
    """Sends something beside each answer."""

    @method
    async def one(self, fails: bool) -> int:
        return self._answer(fails)

    @method
    async def many(self, fails: bool, items: AsyncIterator[int]) -> int:
        async for _ in items:
            pass
        return self._answer(fails)

    @method
    async def out(self, fails: bool) -> AsyncIterator[int]:
        yield self._answer(fails)

    def _answer(self, fails: bool) -> int:
        current_call().send_headers(AHEAD)
        current_call().set_trailers({"behind": "2"})
        if fails:
            raise RpcError(StatusCode.ABORTED, "no", trailers={"failed": "3"})
        return 7


class Fails(msgspec.Struct):
    """One argument."""

    fails: bool


OPTIONS: dict[str, Any] = {
    "service": "test.Beside",
    "protection": Protection.SIGN,
    "arguments": Fails,
    "result": int,
}
ONE = UnaryMethod[Fails, int](name="one", **OPTIONS)
MANY = ClientStreamMethod[Fails, int, int](name="many", item=int, **OPTIONS)
OUT = ServerStreamMethod[Fails, int](name="out", **OPTIONS)
AHEAD = (("ahead", "1"), ("bytes-bin", b"\0"))


@pytest.mark.parametrize("kind", ["one", "many"])
@pytest.mark.parametrize("fails", [False, True])
async def test_what_comes_beside_one_reply(kind: str, fails: bool) -> None:
    info = CallInfo()
    async with channel_for(Beside) as channel:

        async def call() -> int:
            if kind == "one":
                return await channel.unary(ONE, Fails(fails), call_info=info)
            return await channel.client_stream(MANY, Fails(fails), [1], call_info=info)

        if fails:
            with pytest.raises(RpcError) as caught:
                await call()
            assert caught.value.trailers == (("failed", "3"),)
        else:
            assert await call() == 7
    assert info.headers == AHEAD
    assert info.trailers == ((("failed", "3"),) if fails else (("behind", "2"),))
    assert info.peer == SERVER
    assert info.protection is Protection.SIGN


async def test_the_level_is_that_of_the_call() -> None:
    info = CallInfo()
    async with channel_for(Beside) as channel:
        await channel.unary(
            ONE, Fails(False), protection=Protection.SEAL, call_info=info
        )
        assert info.protection is Protection.SEAL
        await channel.client_stream(
            MANY, Fails(False), [], protection=Protection.SEAL, call_info=info
        )
    assert info.protection is Protection.SEAL


async def test_a_stream_has_the_same_of_its_own() -> None:
    async with channel_for(Beside) as channel:
        stream = channel.server_stream(OUT, Fails(False))
        assert await stream.headers() == AHEAD
        assert [item async for item in stream] == [7]
        assert stream.trailers == (("behind", "2"),)
        failing = channel.server_stream(OUT, Fails(True))
        with pytest.raises(RpcError):
            await anext(failing)
        assert await failing.headers() == AHEAD
        assert failing.trailers == (("failed", "3"),)


async def test_an_empty_one_says_nothing() -> None:
    info = CallInfo()
    assert (info.headers, info.trailers) == ((), ())
    assert info.peer is None and info.protection is None
    with pytest.raises(AttributeError):
        info.status = 3  # type: ignore[attr-defined]  # pyright: ignore


BAD = (("UPPER", "case"),)


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize(
    "message",
    [
        encode_headers(1, BAD),
        encode_reply(1, encode_metadata(BAD), encode_value(7)),
    ],
    ids=["headers", "trailers"],
)
async def test_what_is_no_metadata_ends_the_connection(
    message: bytes, wanted: bool
) -> None:
    async with client_end() as (connection, far, loop):
        info = CallInfo() if wanted else None
        outcomes: list[object] = []
        loop.spawn(outcome_of(connection, outcomes, info))
        await settle()
        far.say(message)
        await settle()
        assert isinstance(connection.ended, RemoteProtocolError)
        assert outcomes == [StatusCode.UNAVAILABLE]


async def outcome_of(
    connection: ClientConnection, outcomes: list[object], info: CallInfo | None
) -> None:
    """Make a call and note how it ends."""
    try:
        found = await connection.call(
            encode_value("a/b"),
            Protection.SIGN,
            b"\x80",
            5.0,
            b"\xc0",
            msgspec.msgpack.decode,
            beside=info,
        )
    except RpcError as error:
        outcomes.append(error.status)
    else:
        outcomes.append(found)


async def test_headers_come_once() -> None:
    async with client_end() as (connection, far, loop):
        outcomes: list[object] = []
        loop.spawn(outcome_of(connection, outcomes, None))
        await settle()
        far.say(encode_headers(1, ()), encode_headers(1, ()))
        await settle()
        assert str(connection.ended) == "second headers of call 1"
        assert outcomes == [StatusCode.UNAVAILABLE]
