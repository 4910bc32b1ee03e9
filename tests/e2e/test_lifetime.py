"""A session ends with its identity, or with the policy's longest lifetime."""

from pathlib import Path

import anyio
import msgspec
import pytest

from signetrpc.rpc import (
    Protection,
    RpcError,
    SecurityPolicy,
    Server,
    StatusCode,
    UnaryMethod,
    connect,
    method,
    service,
)
from signetrpc.rpc import _server_connection as server_side
from signetrpc.transport import ConnectionClosed, SecureStream, connect_stream, listen
from tests.support.negotiation import ALICE, account_file

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
SHORT = SecurityPolicy(max_lifetime_seconds=0.2)


@service("test.Lifetime")
class Lifetime:
    """Answers at once, or never."""

    @method(Protection.SIGN)
    async def now(self) -> int:
        return 1

    @method(Protection.SIGN)
    async def never(self) -> int:
        await anyio.sleep_forever()
        raise AssertionError


class Nothing(msgspec.Struct):
    """No arguments."""


def declared(name: str) -> UnaryMethod[Nothing, int]:
    return UnaryMethod(
        service="test.Lifetime",
        name=name,
        protection=Protection.SIGN,
        arguments=Nothing,
        result=int,
    )


NOW, NEVER = declared("now"), declared("never")


async def test_a_channel_goes_on_over_another_connection(tmp_path: Path) -> None:
    server = Server([Lifetime], accept=[account_file(tmp_path)], policy=SHORT)
    async with anyio.create_task_group() as group:
        address = await group.start(server.serve, "tcp://127.0.0.1:0")
        async with connect(address, credentials=ALICE) as channel:
            first = await channel.open()
            with anyio.fail_after(PATIENCE):
                # GOAWAY retires the first connection; no call notices.
                while first.usable:
                    assert await channel.unary(NOW, Nothing()) == 1
                assert await channel.unary(NOW, Nothing()) == 1
                reason = await first.wait_ended()
        assert isinstance(reason, ConnectionClosed) and reason.clean
        group.cancel_scope.cancel()


async def test_calls_under_way_have_a_while_and_then_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_side, "DRAIN_SECONDS", 0.2)
    server = Server([Lifetime], accept=[account_file(tmp_path)], policy=SHORT)
    async with anyio.create_task_group() as group:
        address = await group.start(server.serve, "tcp://127.0.0.1:0")
        async with connect(address, credentials=ALICE) as channel:
            with pytest.raises(RpcError) as caught:
                await channel.unary(NEVER, Nothing(), timeout=PATIENCE)
        assert caught.value.status is StatusCode.UNAVAILABLE
        group.cancel_scope.cancel()


async def test_a_stream_ends_at_its_server(tmp_path: Path) -> None:
    ended: list[ConnectionClosed] = []

    async def handler(stream: SecureStream) -> None:
        try:
            while True:
                await stream.receive()
        except ConnectionClosed as error:
            ended.append(error)
            with pytest.raises(ConnectionClosed, match="lifetime is over"):
                await stream.send(b"too late")

    accept = [account_file(tmp_path)]
    async with (
        await listen("tcp://127.0.0.1:0", accept=accept, policy=SHORT) as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, handler)
        target = str(listener.address)
        async with await connect_stream(target, credentials=ALICE) as stream:
            await stream.send(b"in time")
            with anyio.fail_after(PATIENCE), pytest.raises(ConnectionClosed) as caught:
                await stream.receive()
        assert caught.value.clean
        group.cancel_scope.cancel()
    (error,) = ended
    assert "lifetime is over" in str(error)
