"""gRPC's test service, as far as its interoperability cases need it.

Source: grpc/grpc, doc/interop-test-descriptions.md and src/proto/grpc/testing.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio

from signetrpc.rpc import (
    Protection,
    RpcError,
    StatusCode,
    current_call,
    method,
    service,
)

__all__ = [
    "ECHO_INITIAL",
    "ECHO_TRAILING",
    "EchoStatus",
    "ResponseParameters",
    "SimpleRequest",
    "StreamingRequest",
    "TestService",
]

ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"


@dataclass(frozen=True, slots=True)
class EchoStatus:
    """The status that a call is to end with."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class SimpleRequest:
    """What a unary call asks for."""

    response_size: int = 0
    payload: bytes = b""
    response_status: EchoStatus | None = None


@dataclass(frozen=True, slots=True)
class ResponseParameters:
    """One response of a stream."""

    size: int
    interval_us: int = 0


@dataclass(frozen=True, slots=True)
class StreamingRequest:
    """What a stream is to answer."""

    response_parameters: list[ResponseParameters] = field(
        default_factory=list[ResponseParameters]
    )
    payload: bytes = b""
    response_status: EchoStatus | None = None


@service("grpc.testing.TestService", protection=Protection.SEAL)
class TestService:
    """The methods, named as there but for Python's spelling."""

    __test__ = False  # it is not for pytest

    @method
    async def empty_call(self) -> None:
        """Return nothing for nothing."""

    @method
    async def unary_call(self, request: SimpleRequest) -> bytes:
        """Return as many bytes as asked for, or end as asked."""
        _echo_metadata()
        _end_as_asked(request.response_status)
        return bytes(request.response_size)

    @method
    async def streaming_output_call(
        self, request: StreamingRequest
    ) -> AsyncIterator[bytes]:
        """Send the responses asked for."""
        async for response in _responses(request):
            yield response

    @method
    async def streaming_input_call(self, payloads: AsyncIterator[bytes]) -> int:
        """Return how many bytes came."""
        total = 0
        async for payload in payloads:
            total += len(payload)
        return total

    @method
    async def full_duplex_call(
        self, requests: AsyncIterator[StreamingRequest]
    ) -> AsyncIterator[bytes]:
        """Answer each request at once."""
        _echo_metadata()
        async for request in requests:
            _end_as_asked(request.response_status)
            async for response in _responses(request):
                yield response


async def _responses(request: StreamingRequest) -> AsyncIterator[bytes]:
    for parameters in request.response_parameters:
        if parameters.interval_us:
            await anyio.sleep(parameters.interval_us * 1e-6)
        yield bytes(parameters.size)


def _end_as_asked(status: EchoStatus | None) -> None:
    if status is not None:
        raise RpcError(StatusCode(status.code), status.message)


def _echo_metadata() -> None:
    context = current_call()
    for key, value in context.metadata:
        if key == ECHO_INITIAL:
            context.send_headers([(key, value)])
        elif key == ECHO_TRAILING:
            context.set_trailers([(key, value)])
