"""Levels within a call: what is raised, what is lowered, and who a caller is then."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    Protection,
    RpcError,
    StatusCode,
    current_call,
    current_caller,
    method,
    raised,
    service,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Item,
    encode_call,
    encode_cancel,
    encode_credit,
    encode_end,
    encode_headers,
    encode_item,
    encode_part,
    encode_reply,
    encode_status,
)
from signetrpc.rpc.testing import channel_for
from signetrpc.transport import RemoteProtocolError
from tests.support.calls import client_end, server_end
from tests.support.channels import LENGTH
from tests.support.desk import NIL, ended_by
from tests.support.kinds import of
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection


@service("test.Levels", protection=Protection.NONE)
class Levels:
    def __init__(self) -> None:
        self.seen: list[tuple[str, Protection]] = []
        self.given: Any = 1

    @method
    async def talk(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            self.seen.append((current_caller().principal, current_call().protection))
            yield self.given if number == 1 else number


def begin(call_id: int) -> bytes:
    name = encode_value("test.Levels/talk")
    return encode_call(call_id, name, None, NIL, encode_value({}))


async def test_raised_items_give_an_unprotected_call_no_caller() -> None:
    served = Levels()
    async with server_end(served, minimum=NONE) as (_, far, _):
        far.say(begin(1), level=NONE)
        far.say(encode_item(1, encode_value(2)), level=SEAL)
        await settle()
        assert served.seen == [("anonymous", NONE)]
        # Nor does it raise the rest.
        far.say(encode_item(1, encode_value(2)), level=NONE)
        await settle()
        assert served.seen[1:] == [("anonymous", NONE)]
        items = [
            (level, each)
            for level, all in far.records()
            for each in all
            if isinstance(each, Item)
        ]
        assert items == [(NONE, Item(1, False, encode_value(2)))] * 2


@pytest.mark.parametrize("level", [SIGN, SEAL])
async def test_a_call_that_came_raised_stays_so(level: Protection) -> None:
    served = Levels()
    async with server_end(served, minimum=NONE) as (connection, far, _):
        far.say(begin(1), encode_item(1, encode_value(2)), level=level)
        await settle()
        assert [each for _, each in served.seen] == [level]
        assert served.seen[0][0] != "anonymous"
        assert {each for each, _ in far.records()} == {level}
        far.say(encode_end(1), level=Protection(level - 1))
        assert "at level" in str(ended_by(connection))


BELOW = {
    "headers": encode_headers(1, (("k", "v"),)),
    "credit": encode_credit(1, 1),
    "a reply": encode_reply(1, NIL, encode_value(3)),
    "half a reply": encode_reply(1, NIL, encode_value(3), True),
    "a part": encode_part(1, b"x", False),
    "an item": encode_item(1, encode_value(3)),
    "a status": encode_status(1, StatusCode.NOT_FOUND, "gone"),
}


@pytest.mark.parametrize("name", BELOW)
async def test_nothing_of_a_servers_comes_below_the_call(name: str) -> None:
    async with client_end(minimum=NONE) as (connection, far, _):
        ends: list[RpcError] = []

        async def make() -> None:
            body = encode_value({"text": "abc"})
            with pytest.raises(RpcError) as caught:
                decode = LENGTH.decode_result
                await connection.call(LENGTH.wire_name, SEAL, body, 10.0, NIL, decode)
            ends.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(make)
            await settle()
            far.say(BELOW[name], level=SIGN)
        assert isinstance(connection.ended, RemoteProtocolError)
        assert "at level SIGN to a call at SEAL" in str(connection.ended)
        assert [each.status for each in ends] == [StatusCode.UNAVAILABLE]


@pytest.mark.parametrize(
    "message", [encode_cancel(7), encode_item(7, b""), encode_credit(7, 1)]
)
async def test_of_calls_that_have_ended_any_level_is_passed_over(
    message: bytes,
) -> None:
    async with server_end(Levels(), minimum=NONE) as (connection, far, _):
        far.say(begin(7), level=SEAL)
        far.say(encode_cancel(7), level=SEAL)
        far.say(message, level=NONE)
        await settle()
        assert connection.ended is None


async def test_what_a_channel_cannot_give_is_not_sent_lower() -> None:
    served = Levels()
    declared: Any = of("talk", Levels)
    with anyio.fail_after(10):
        async with channel_for(served, protection=NONE) as channel:
            async with channel.bidirectional(declared, declared.arguments()) as talk:
                with pytest.raises(RpcError) as caught:
                    await talk.send(3, protection=SIGN)
                assert caught.value.status is StatusCode.FAILED_PRECONDITION
                await talk.send(2)  # the call goes on without it
                assert await anext(talk) == 2
                served.given = raised(5, SEAL)
                await talk.send(1)
                with pytest.raises(RpcError) as caught:
                    await anext(talk)
                assert caught.value.status is StatusCode.FAILED_PRECONDITION
    assert len(served.seen) == 2
