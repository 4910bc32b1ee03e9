"""The channel: what a call sends, what it returns, and how a channel ends."""

import anyio
import pytest

from signetrpc.rpc import (
    DeadlineExceeded,
    Protection,
    RpcError,
    StatusCode,
)
from signetrpc.rpc._client import connect, connect_with
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Call,
    encode_reply,
    encode_status,
)
from signetrpc.transport import (
    ConnectFailed,
    Limits,
    LocalProtocolError,
)
from tests.support.channels import LENGTH, NIL, HeldConnector, Text, status_of, table
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection


async def test_a_call_returns_the_result() -> None:
    async with table() as held:
        assert await held.call(held.answer) == 3
        assert held.channel.peer.name == "host/server"
        assert held.channel.minimum_protection is SIGN


async def test_what_a_caller_gives_travels() -> None:
    async with table(default_timeout=7.0) as held:
        seen: list[Call] = []

        def note() -> None:
            ((level, messages),) = held.far.records()
            (message,) = messages
            assert isinstance(message, Call)
            seen.append(message)
            levels.append(level)
            held.far.say(encode_reply(message.id, NIL, encode_value(3)))

        levels: list[Protection] = []
        await held.call(note)
        await held.call(note, timeout=2.0, metadata={"k": "v"})
        await held.call(note, protection=SEAL)
        await held.call(note, protection=NONE)
        assert levels == [SIGN, SIGN, SEAL, SIGN]
        assert [call.timeout_us for call in seen] == [
            7_000_000,
            2_000_000,
            7_000_000,
            7_000_000,
        ]
        assert [call.metadata for call in seen] == [None, [("k", "v")], None, None]
        assert seen[0].method == "test.Desk/length"


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan")])
async def test_no_time_is_over_before_anything_is_sent(timeout: float) -> None:
    async with table() as held:
        with pytest.raises(DeadlineExceeded):
            await held.channel.unary(LENGTH, Text("abc"), timeout=timeout)
        assert not held.far.pipe.sent


async def test_forever_is_a_timeout_too() -> None:
    async with table() as held:
        assert await held.call(held.answer, timeout=float("inf")) == 3


async def test_bad_metadata_is_the_callers_fault() -> None:
    async with table() as held:
        with pytest.raises(ValueError, match="other characters"):
            await held.channel.unary(LENGTH, Text("abc"), metadata={"K": "v"})
        assert not held.far.pipe.sent


async def test_arguments_that_are_too_long_are_refused_here() -> None:
    async with table(max_body_bytes=10) as held:
        code, text = await status_of(held.channel.unary(LENGTH, Text("x" * 10)))
        assert code is StatusCode.RESOURCE_EXHAUSTED
        assert text == "arguments of 17 bytes, limit 10"


async def test_what_the_server_does_not_take_is_a_precondition() -> None:
    few = Limits(max_record_bytes=4096, max_message_bytes=1024)
    async with table(link={"limits": few}) as held:
        code, text = await status_of(held.channel.unary(LENGTH, Text("x" * 2000)))
        assert code is StatusCode.FAILED_PRECONDITION
        assert "limit 1024" in text
        assert await held.call(held.answer) == 3


async def test_a_result_of_another_type_is_internal() -> None:
    async with table() as held:

        def answer() -> None:
            held.far.say(encode_reply(1, NIL, encode_value("three")))

        with pytest.raises(RpcError) as caught:
            try:
                await held.call(answer)
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
        assert caught.value.status is StatusCode.INTERNAL


async def test_an_error_of_the_body_comes_out_as_itself() -> None:
    cause = KeyError("cause")
    connector = HeldConnector()
    with pytest.raises(ValueError) as caught:
        async with connect_with(connector) as channel:
            assert channel.peer.name == "host/server"
            raise ValueError("body") from cause
    assert caught.value.__cause__ is cause
    assert connector.ends[0].pipe.closed


async def test_an_error_of_a_call_comes_out_as_itself() -> None:
    connector = HeldConnector()

    async def refuse() -> None:
        await settle()
        connector.ends[0].say(encode_status(1, 5, "gone"))

    async with anyio.create_task_group() as group:
        with pytest.raises(RpcError, match="NOT_FOUND: gone"):
            async with connect_with(connector) as channel:
                group.start_soon(refuse)
                await channel.unary(LENGTH, Text("abc"))


async def test_a_first_connection_that_fails_is_the_transports_error() -> None:
    connector = HeldConnector()
    connector.failure = ConnectFailed("nobody")
    with pytest.raises(ConnectFailed, match="nobody"):
        async with connect_with(connector):
            raise AssertionError


async def test_an_address_that_is_none() -> None:
    with pytest.raises(ValueError, match="not an address"):
        async with connect("nowhere"):
            raise AssertionError


async def test_kerberos_without_a_name_to_ask_for() -> None:
    with pytest.raises(LocalProtocolError, match="service_principal"):
        async with connect("127.0.0.1:1"):
            raise AssertionError
