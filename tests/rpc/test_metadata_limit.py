"""How much metadata may be, at both ends, and what is said of more."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from signetrpc.rpc import (
    Channel,
    Interceptor,
    Protection,
    RpcError,
    Server,
    StatusCode,
    connect,
    connect_blocking,
    current_call,
    method,
    service,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._context import CallContext
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Cancel,
    encode_call,
    encode_headers,
    encode_item,
    encode_metadata,
    encode_reply,
    encode_status,
)
from signetrpc.rpc._metadata import DEFAULT_MAX_METADATA_BYTES
from signetrpc.rpc._metadata_limit import (
    MOST_METADATA_BYTES,
    checked_limit,
    limited,
)
from signetrpc.rpc._schema import CallKind
from signetrpc.rpc.testing import channel_for
from signetrpc.transport import ANONYMOUS, Limits
from tests.support.channels import table
from tests.support.kinds import of
from tests.support.negotiation import ALICE, account_file
from tests.support.turns import settle

MOST = MOST_METADATA_BYTES
EXHAUSTED = StatusCode.RESOURCE_EXHAUSTED


def pairs(size: int) -> dict[str, str]:
    """Return metadata of so many bytes."""
    return {"k": "v" * (size - 1)}


# The limit.


def test_what_can_be_allowed() -> None:
    for good in (0, 1, DEFAULT_MAX_METADATA_BYTES, MOST):
        assert checked_limit(good) == good
    for bad in (-1, MOST + 1):
        with pytest.raises(ValueError, match=f"is {bad}; it must be 0 to 49152"):
            checked_limit(bad)
        with pytest.raises(ValueError, match="max_metadata_bytes"):
            Server([], max_metadata_bytes=bad)


@pytest.mark.anyio
async def test_a_channel_cannot_have_another() -> None:
    with pytest.raises(ValueError, match="max_metadata_bytes is -1"):
        async with channel_for(max_metadata_bytes=-1):
            raise AssertionError
    with pytest.raises(ValueError, match="max_metadata_bytes is 49153"):
        async with connect("127.0.0.1:1", credentials=ALICE, max_metadata_bytes=49153):
            raise AssertionError


def test_a_message_holds_the_most_beside_all_else_that_it_may_have() -> None:
    key = "k" * 47
    most = tuple((key, "v") for _ in range(1024))
    assert limited(most, MOST) == most
    body = bytes(PART_BYTES)
    details = [("d" * 200, bytes(1024))] * 16
    room = Limits().max_message_bytes
    for message in (
        encode_call(1, b"\xda\x02\x00" + b"m" * 512, 1.0, encode_metadata(most), body),
        encode_reply(1, encode_metadata(most), body),
        encode_headers(1, most),
        encode_status(1, 5, "\U0001f600" * 8192, most, details),
    ):
        assert len(message) <= room


def test_what_is_over_it_exhausts_a_resource() -> None:
    with pytest.raises(RpcError) as caught:
        limited(pairs(11), 10, "trailers")
    assert caught.value.status is EXHAUSTED
    assert caught.value.message == "trailers of 11 bytes, limit 10"
    with pytest.raises(ValueError, match="other characters"):
        limited({"K": "v"}, 10)


def test_a_context_of_no_connection_has_the_usual_one() -> None:
    context = CallContext(
        method="a/b",
        caller=ANONYMOUS,
        protection=Protection.SIGN,
        metadata=(),
        deadline=None,
        time=lambda: 0.0,
    )
    context.set_trailers(pairs(16384))
    with pytest.raises(RpcError, match="trailers of 16385 bytes, limit 16384"):
        context.set_trailers(pairs(16385))
    assert context.trailers == tuple(pairs(16384).items())


# Calls.


@service("test.Heavy", protection=Protection.SIGN)
class Heavy:
    """Handlers that say much beside their answers."""

    @method
    async def heard(self) -> int:
        """How much came along."""
        return sum(len(key) + len(value) for key, value in current_call().metadata)

    @method
    async def heard_each(self, up: AsyncIterator[int]) -> AsyncIterator[int]:
        """How much came along, once."""
        yield await self.heard()

    @method
    async def heard_all(self, up: AsyncIterator[int]) -> int:
        """How much came along, once all has come."""
        assert [each async for each in up] == [1]
        return await self.heard()

    @method
    async def say(self, headers: int, trailers: int, fail: int = 0) -> int:
        """Send so much back."""
        self.back(headers, trailers)
        if fail:
            raise RpcError(StatusCode.NOT_FOUND, "gone")
        return 1

    @method
    async def say_each(
        self, headers: int, trailers: int, fail: int = 0
    ) -> AsyncIterator[int]:
        """Send so much back beside two items."""
        self.back(headers, 0)
        yield 1
        yield 2
        self.back(0, trailers)
        if fail:
            raise RpcError(StatusCode.NOT_FOUND, "gone")

    @method
    async def fail(self, size: int) -> int:
        """Fail with so much beside the error."""
        raise RpcError(StatusCode.NOT_FOUND, "gone", trailers=pairs(size))

    def back(self, headers: int, trailers: int) -> None:
        if headers:
            current_call().send_headers(pairs(headers))
        if trailers:
            current_call().set_trailers(pairs(trailers))


@asynccontextmanager
async def ends(folder: Path, server: int, client: int) -> AsyncGenerator[Channel]:
    """Give a channel where each end has a limit of its own."""
    serving = Server([Heavy], accept=[account_file(folder)], max_metadata_bytes=server)
    async with anyio.create_task_group() as group:
        address = await group.start(serving.serve, "tcp://127.0.0.1:0")
        async with connect(
            address, credentials=ALICE, max_metadata_bytes=client
        ) as channel:
            yield channel
        group.cancel_scope.cancel()


async def call(channel: Channel, name: str, options: Any, **given: int) -> list[int]:
    """Call a method, and return what it gave."""
    declared: Any = of(name, Heavy)
    arguments = declared.arguments(**given)
    kind: CallKind = declared.kind
    match kind:
        case CallKind.UNARY:
            return [await channel.unary(declared, arguments, **options)]
        case CallKind.CLIENT_STREAM:
            return [await channel.client_stream(declared, arguments, [1], **options)]
        case CallKind.SERVER_STREAM:
            stream: Any = channel.server_stream(declared, arguments, **options)
        case CallKind.BIDIRECTIONAL:
            stream = channel.bidirectional(declared, arguments, [1], **options)
    async with stream as items:
        return [item async for item in items]


async def refused(
    channel: Channel, name: str, options: Any = None, **given: int
) -> str:
    """Return the message of a call that must be RESOURCE_EXHAUSTED."""
    with pytest.raises(RpcError) as caught:
        await call(channel, name, options or {}, **given)
    assert caught.value.status is EXHAUSTED
    return caught.value.message


class Nothing:
    """An interceptor."""

    async def on_start(self, context: object) -> None:
        """Do nothing."""

    async def on_end(self, *_: object) -> None:
        """Do nothing."""


HEARING = ["heard", "heard_each", "heard_all"]
AROUND: list[list[Interceptor]] = [[], [Nothing()]]


@pytest.mark.anyio
@pytest.mark.parametrize("around", AROUND, ids=["plain", "intercepted"])
@pytest.mark.parametrize("name", HEARING)
async def test_a_caller_learns_it_before_anything_is_sent(
    name: str, around: list[Interceptor]
) -> None:
    async with channel_for(
        Heavy, client_interceptors=around, max_metadata_bytes=20_000
    ) as channel:
        assert await call(channel, name, {"metadata": pairs(20_000)}) == [20_000]
        said = await refused(channel, name, {"metadata": pairs(20_001)})
        assert said == "metadata of 20001 bytes, limit 20000"
        said = await refused(channel, name, {"metadata": [("k", "")] * 1025})
        assert said == "metadata of 1025 pairs, limit 1024"


@pytest.mark.anyio
async def test_a_server_refuses_the_call_alone(tmp_path: Path) -> None:
    async with ends(tmp_path, 10, MOST) as channel:
        for name in HEARING:
            assert await call(channel, name, {"metadata": pairs(10)}) == [10]
            said = await refused(channel, name, {"metadata": pairs(MOST)})
            assert said == "metadata of 49152 bytes, limit 10"


@pytest.mark.anyio
async def test_a_handler_learns_it_where_it_says_too_much(tmp_path: Path) -> None:
    async with ends(tmp_path, 20_000, MOST) as channel:
        for name, all_of in (("say", [1]), ("say_each", [1, 2])):
            given = {"headers": 20_000, "trailers": 20_000}
            assert await call(channel, name, {}, **given) == all_of
            said = await refused(channel, name, headers=20_001, trailers=0)
            assert said == "headers of 20001 bytes, limit 20000"
            said = await refused(channel, name, headers=0, trailers=20_001)
            assert said == "trailers of 20001 bytes, limit 20000"
        with pytest.raises(RpcError) as caught:
            await call(channel, "fail", {}, size=20_000)
        assert caught.value.status is StatusCode.NOT_FOUND
        assert caught.value.trailers == tuple(pairs(20_000).items())


@pytest.mark.anyio
async def test_an_error_with_too_much_beside_it_is_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with ends(tmp_path, 20_000, MOST) as channel:
        said = await refused(channel, "fail", size=20_001)
    assert said == (
        "trailers of 20001 bytes, limit 20000; the call had ended with NOT_FOUND"
    )
    assert "cannot travel: trailers of 20001 bytes" in caplog.text


@pytest.mark.anyio
async def test_a_client_takes_no_more_and_the_connection_stays(tmp_path: Path) -> None:
    async with ends(tmp_path, MOST, 10) as channel:
        session = channel.peer.session_id
        for name, all_of in (("say", [1]), ("say_each", [1, 2])):
            assert await call(channel, name, {}, headers=10, trailers=10) == all_of
            said = await refused(channel, name, headers=11, trailers=0)
            assert said == "headers of 11 bytes, limit 10"
            said = await refused(channel, name, headers=0, trailers=11)
            assert said == "trailers of 11 bytes, limit 10"
            said = await refused(channel, name, headers=0, trailers=11, fail=1)
            assert said == (
                "trailers of 11 bytes, limit 10; the call had ended with NOT_FOUND"
            )
        assert channel.peer.session_id == session


@pytest.mark.anyio
async def test_what_came_before_trailers_that_are_too_long_is_still_to_be_had() -> None:
    async with table(max_metadata_bytes=10) as held:
        for fail in (False, True):
            declared: Any = of("say_each", Heavy)
            arguments = declared.arguments(headers=0, trailers=0)
            async with held.channel.server_stream(declared, arguments) as stream:
                await settle()
                (made,) = held.far.heard()
                assert isinstance(made, Call)
                code = 5 if fail else 0
                held.far.say(
                    encode_item(made.id, encode_value(7)),
                    encode_status(made.id, code, "gone", tuple(pairs(11).items())),
                )
                assert await anext(stream) == 7
                with pytest.raises(RpcError, match="limit 10") as caught:
                    await anext(stream)
                assert caught.value.status is EXHAUSTED and stream.trailers == ()
            await settle()
            assert held.far.heard() == []


@pytest.mark.anyio
async def test_a_call_whose_headers_are_too_long_is_given_up() -> None:
    async with table(max_metadata_bytes=10) as held:

        def head() -> None:
            held.far.heard()
            held.far.say(encode_headers(1, tuple(pairs(11).items())))

        with pytest.raises(ExceptionGroup) as caught:
            await held.call(head)
        (error,) = caught.value.exceptions
        assert isinstance(error, RpcError) and error.status is EXHAUSTED
        await settle()
        assert held.far.heard() == [Cancel(1)]


def test_blocking_channels_have_it_too(tmp_path: Path) -> None:
    serving = Server([Heavy], accept=[account_file(tmp_path)], max_metadata_bytes=MOST)
    declared: Any = of("heard", Heavy)
    with start_blocking_portal("asyncio") as portal:
        task, address = portal.start_task(serving.serve, "tcp://127.0.0.1:0")
        with connect_blocking(
            str(address), credentials=ALICE, max_metadata_bytes=20_000
        ) as channel:
            given = pairs(20_000)
            found = channel.unary(declared, declared.arguments(), metadata=given)
            assert found == 20_000
            with pytest.raises(RpcError, match="of 20001 bytes, limit 20000"):
                channel.unary(declared, declared.arguments(), metadata=pairs(20_001))
        task.cancel()
