"""REJECT is not authenticated: whoever sends it gets no weaker attempt for it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from anyio.abc import SocketAttribute, SocketStream

from signetrpc.rpc import connect
from signetrpc.transport import SecurityPolicy, connect_stream
from signetrpc.transport._frames import FrameDecoder, FrameType
from signetrpc.transport._hello import RejectCode
from signetrpc.transport.errors import TransportError
from tests.support.negotiation import ALICE
from tests.support.sessions import raw

pytestmark = pytest.mark.anyio

Hello = dict[str, Any]


@asynccontextmanager
async def refusing(answer: bytes) -> AsyncGenerator[tuple[str, list[Hello]]]:
    """Run a server that answers every HELLO so; yield its address and the HELLOs."""
    seen: list[Hello] = []

    async def serve(stream: SocketStream) -> None:
        async with stream:
            decoder = FrameDecoder(1 << 16)
            while (frame := decoder.next_frame()) is None:
                decoder.receive_data(await stream.receive())
            seen.append(msgspec.msgpack.decode(frame.body))
            await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        try:
            yield f"127.0.0.1:{port}", seen
        finally:
            group.cancel_scope.cancel()
    await listener.aclose()


@pytest.mark.parametrize("code", [*RejectCode, 0, 255])
async def test_no_code_makes_a_client_try_again(code: int) -> None:
    async with refusing(raw(FrameType.REJECT, bytes((code,)))) as (address, seen):
        with pytest.raises(TransportError, match="the peer refused the handshake"):
            await connect_stream(address, credentials=ALICE)
        assert len(seen) == 1


async def test_no_code_makes_a_channel_offer_less() -> None:
    answer = raw(FrameType.REJECT, bytes((RejectCode.NOTHING_COMMON,)))
    async with refusing(answer) as (address, seen):
        for _ in range(3):
            with pytest.raises(TransportError, match="the peer refused"):
                async with connect(address, credentials=ALICE):
                    raise AssertionError("nobody is there to talk to")
        assert len(seen) == 3
        offers = [
            {key: value for key, value in each.items() if key not in ("nonce", "key")}
            for each in seen
        ]
        assert offers[0] == offers[1] == offers[2]
        assert offers[0]["suites"] == ["aes256gcm", "gss"]
        assert offers[0]["levels"] == [1, 2]
        assert len({each["nonce"] for each in seen}) == 3
        assert len({each["key"] for each in seen}) == 3


@pytest.mark.parametrize("answer", [b"", raw(FrameType.REJECT), b"\0" * 8])
async def test_nor_does_any_other_failure(answer: bytes) -> None:
    policy = SecurityPolicy.allow_ntlm()
    async with refusing(answer) as (address, seen):
        with pytest.raises(TransportError):
            await connect_stream(address, credentials=ALICE, policy=policy)
        assert len(seen) == 1
