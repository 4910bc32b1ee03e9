"""gRPC's interoperability cases, one to one, between two processes.

Names and numbers are those of grpc/grpc, doc/interop-test-descriptions.md; which of
its cases apply, and why others do not, is in docs/interop.md.
"""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    CallInfo,
    Channel,
    DeadlineExceeded,
    RpcError,
    StatusCode,
)
from tests.conformance.interop.calling import (
    EMPTY,
    FULL_DUPLEX,
    INPUT,
    OUTPUT,
    UNARY,
    elsewhere,
)
from tests.conformance.interop.conftest import FEW_WAYS
from tests.conformance.interop.service import (
    ECHO_INITIAL,
    ECHO_TRAILING,
    EchoStatus,
    ResponseParameters,
    SimpleRequest,
    StreamingRequest,
)
from tests.e2e.processes import PATIENCE

pytestmark = pytest.mark.anyio

REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)
LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159


def of(method: Any, **arguments: Any) -> Any:
    return method.arguments(**arguments)


async def test_empty_unary(channel: Channel) -> None:
    assert await channel.unary(EMPTY, of(EMPTY)) is None


async def _large_unary(channel: Channel, timeout: float = PATIENCE) -> None:
    request = SimpleRequest(LARGE_RESPONSE, bytes(LARGE_REQUEST))
    reply = await channel.unary(UNARY, of(UNARY, request=request), timeout=timeout)
    assert reply == bytes(LARGE_RESPONSE)


async def test_large_unary(channel: Channel) -> None:
    await _large_unary(channel)


async def test_client_streaming(channel: Channel) -> None:
    payloads = (bytes(size) for size in REQUEST_SIZES)
    assert await channel.client_stream(INPUT, of(INPUT), payloads) == 74922


async def test_server_streaming(channel: Channel) -> None:
    request = StreamingRequest([ResponseParameters(size) for size in RESPONSE_SIZES])
    async with channel.server_stream(OUTPUT, of(OUTPUT, request=request)) as replies:
        assert [len(reply) async for reply in replies] == list(RESPONSE_SIZES)


async def test_ping_pong(channel: Channel) -> None:
    async with channel.bidirectional(FULL_DUPLEX, of(FULL_DUPLEX)) as talk:
        for asked, answered in zip(REQUEST_SIZES, RESPONSE_SIZES, strict=True):
            await talk.send(
                StreamingRequest([ResponseParameters(answered)], bytes(asked))
            )
            assert await anext(talk) == bytes(answered)
        await talk.end()
        assert [reply async for reply in talk] == []


async def test_empty_stream(channel: Channel) -> None:
    async with channel.bidirectional(FULL_DUPLEX, of(FULL_DUPLEX)) as talk:
        await talk.end()
        assert [reply async for reply in talk] == []


async def test_custom_metadata(channel: Channel) -> None:
    initial = (ECHO_INITIAL, "test_initial_metadata_value")
    trailing = (ECHO_TRAILING, b"\xab\xab\xab")
    info = CallInfo()
    request = SimpleRequest(LARGE_RESPONSE, bytes(LARGE_REQUEST))
    await channel.unary(
        UNARY, of(UNARY, request=request), metadata=[initial, trailing], call_info=info
    )
    assert info.headers == (initial,)
    assert info.trailers == (trailing,)
    async with channel.bidirectional(
        FULL_DUPLEX, of(FULL_DUPLEX), metadata=[initial, trailing]
    ) as talk:
        asked = [ResponseParameters(LARGE_RESPONSE)]
        await talk.send(StreamingRequest(asked, bytes(LARGE_REQUEST)))
        await talk.end()
        assert await talk.headers() == (initial,)
        assert [len(reply) async for reply in talk] == [LARGE_RESPONSE]
        assert talk.trailers == (trailing,)


STATUS = EchoStatus(2, "test status message")


async def _status_of_unary(channel: Channel, status: EchoStatus) -> RpcError:
    with pytest.raises(RpcError) as caught:
        request = SimpleRequest(response_status=status)
        await channel.unary(UNARY, of(UNARY, request=request))
    return caught.value


async def test_status_code_and_message(channel: Channel) -> None:
    error = await _status_of_unary(channel, STATUS)
    assert (error.status, error.message) == (StatusCode.UNKNOWN, STATUS.message)
    async with channel.bidirectional(FULL_DUPLEX, of(FULL_DUPLEX)) as talk:
        await talk.send(StreamingRequest(response_status=STATUS))
        await talk.end()
        with pytest.raises(RpcError) as caught:
            await anext(talk)
    error = caught.value
    assert (error.status, error.message) == (StatusCode.UNKNOWN, STATUS.message)


async def test_special_status_message(channel: Channel) -> None:
    text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    error = await _status_of_unary(channel, EchoStatus(2, text))
    assert (error.status, error.message) == (StatusCode.UNKNOWN, text)


@pytest.mark.parametrize(
    ("service", "name"),
    [
        pytest.param("grpc.testing.TestService", "unimplemented_call", id="method"),
        pytest.param("grpc.testing.UnimplementedService", "empty_call", id="service"),
    ],
)
async def test_unimplemented(channel: Channel, service: str, name: str) -> None:
    method = elsewhere(service, name)
    with pytest.raises(RpcError) as caught:
        await channel.unary(method, of(method))
    assert caught.value.status is StatusCode.UNIMPLEMENTED


async def test_cancel_after_begin(channel: Channel) -> None:
    begun = anyio.Event()

    async def nothing() -> AsyncIterator[bytes]:
        begun.set()
        await anyio.sleep_forever()
        yield b""

    async with anyio.create_task_group() as group:

        async def call() -> None:
            await channel.client_stream(INPUT, of(INPUT), nothing())
            raise AssertionError("not cancelled")

        group.start_soon(call)
        await begun.wait()
        group.cancel_scope.cancel()
    assert await channel.unary(EMPTY, of(EMPTY)) is None


async def test_cancel_after_first_response(channel: Channel) -> None:
    async with channel.bidirectional(FULL_DUPLEX, of(FULL_DUPLEX)) as talk:
        asked = [ResponseParameters(RESPONSE_SIZES[0])]
        await talk.send(StreamingRequest(asked, bytes(REQUEST_SIZES[0])))
        assert len(await anext(talk)) == RESPONSE_SIZES[0]
        talk.cancel()
        with pytest.raises(RpcError) as caught:
            await anext(talk)
    assert caught.value.status is StatusCode.CANCELLED


async def test_timeout_on_sleeping_server(channel: Channel) -> None:
    # On a busy machine the time may be over before the call has begun.
    with pytest.raises(DeadlineExceeded):
        async with channel.bidirectional(
            FULL_DUPLEX, of(FULL_DUPLEX), timeout=0.001
        ) as talk:
            asked = [ResponseParameters(1, interval_us=30_000_000)]
            await talk.send(StreamingRequest(asked, bytes(27182)))
            await anext(talk)


@pytest.mark.parametrize("meeting", FEW_WAYS, indirect=True, ids=str)
async def test_concurrent_large_unary(channel: Channel) -> None:
    # The last one ends when 560 MiB have gone there and back, on a busy machine too.
    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(_large_unary, channel, 5 * PATIENCE)
