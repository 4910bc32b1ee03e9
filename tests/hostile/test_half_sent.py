"""Bodies that stop halfway, each end of a call in the middle of them."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from signetrpc.rpc import Protection, RpcError, StatusCode
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    PART_BYTES,
    Call,
    Cancel,
    Message,
    Part,
    encode_cancel,
    encode_credit,
    encode_go_away,
    encode_item,
    encode_part,
    encode_reply,
    encode_status,
)
from signetrpc.rpc._server_connection import ServerConnection
from signetrpc.transport import ConnectionClosed
from tests.support.calls import FarEnd, HeldLoop
from tests.support.channels import LENGTH, NIL, Table, Text, table
from tests.support.river import begin, ends, river
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

HALF = bytes(PART_BYTES)
LIMIT = 1 << 20
BODIES = {
    "arguments": [begin(1, "total", timeout=5.0, body=HALF, more=True)],
    "arguments of one request": [
        begin(1, "large", timeout=5.0, body=HALF, more=True),
    ],
    "an item": [begin(1, "total", timeout=5.0), encode_item(1, HALF, True)],
    "an item behind another": [
        begin(1, "late", timeout=5.0),
        encode_item(1, b"\xc4\x00"),
        encode_item(1, HALF, True),
    ],
}
MORE = [encode_part(1, HALF, True)] * 2
TOO_MUCH = [encode_part(1, HALF, True)] * 3


def stays_of(connection: ServerConnection) -> tuple[int, int]:
    """Return what is held of half-received arguments, and of items."""
    held: Any = connection
    return held._assemblies._total, held._budget.used


async def end(
    how: str, connection: ServerConnection, far: FarEnd, loop: HeldLoop
) -> None:
    match how:
        case "cancelled":
            far.say(encode_cancel(1))
        case "out of time":
            loop.advance(6.0)
        case "lost":
            connection.pipe_ended(ConnectionClosed("broke", clean=False))
        case "stopped":
            connection.cut_off()
        case _:
            for _ in range(LIMIT // PART_BYTES + 1):
                far.say(encode_credit(0, 1), *TOO_MUCH[:1])
                await settle()
                if not connection.calls:
                    break


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "how", ["cancelled", "out of time", "lost", "stopped", "too long"]
)
async def test_nothing_stays_of_a_body_that_never_ends(body: str, how: str) -> None:
    if how == "too long" and body == "an item behind another":
        how = "cancelled"  # its window is not given back, so it comes no further
    async with river(max_body_bytes=LIMIT) as (_, connection, far, loop):
        far.say(*BODIES[body], *MORE)
        await settle()
        assert len(connection.calls) == 1
        await end(how, connection, far, loop)
        await settle()
        assert not connection.calls and stays_of(connection) == (0, 0)
        expected = {
            "out of time": [(1, StatusCode.DEADLINE_EXCEEDED)],
            "too long": [(1, StatusCode.RESOURCE_EXHAUSTED)],
        }
        assert ends(far.heard()) == expected.get(how, [])


# What a client does whose own body is half sent.


LONG = Text("x" * (6 * PART_BYTES))


def pieces(messages: list[Message], call_id: int) -> int:
    """Return how many of the messages carry arguments of a call."""
    return sum(
        isinstance(each, Call | Part) and each.id == call_id for each in messages
    )


async def ended(
    held: Table, say: Callable[[FarEnd], None], **options: Any
) -> tuple[Any, list[Message]]:
    """Call with long arguments; when they stop for want of credit, `say` something.

    Returns:
        What the call ended with, and what the first server heard after that.
    """
    found: list[Any] = []
    first = held.far

    async def make() -> None:
        try:
            found.append(await held.channel.unary(LENGTH, LONG, **options))
        except RpcError as error:
            found.append(error.status)

    async with anyio.create_task_group() as group:
        group.start_soon(make)
        await settle()
        assert pieces(first.heard(), 1) == 5
        say(first)
        await settle()
        if first is not held.far:
            held.far.say(encode_credit(1, 1 << 20))
            await settle()
            assert pieces(held.far.heard(), 1) == 7
            held.far.say(encode_reply(1, NIL, encode_value(3)))
        await settle()
    return found[0], first.heard()


async def test_sent_away_in_the_middle_a_call_is_made_whole_elsewhere() -> None:
    async with table() as held:
        result, heard = await ended(held, lambda far: far.say(encode_go_away(9.0, 0)))
        assert result == 3 and held.connector.attempts == 2
        assert pieces(heard, 1) == 0


async def test_a_call_that_was_taken_goes_on_where_it_is() -> None:
    async with table() as held:

        def say(far: FarEnd) -> None:
            far.say(encode_go_away(9.0, 1), encode_credit(1, 1 << 20))
            far.say(encode_reply(1, NIL, encode_value(4)))

        result, _ = await ended(held, say)
        assert result == 4 and held.connector.attempts == 1


@pytest.mark.parametrize("how", ["a reply", "a status", "time"])
async def test_what_has_ended_sends_no_more_pieces(how: str) -> None:
    async with table() as held:

        def say(far: FarEnd) -> None:
            match how:
                case "a reply":
                    far.say(encode_reply(1, NIL, encode_value(5)))
                case "a status":
                    far.say(encode_status(1, StatusCode.NOT_FOUND, "gone"))
                case _:
                    held.loop.advance(2.0)

        result, heard = await ended(held, say, timeout=1.0)
        held.far.say(encode_credit(1, 1 << 20))
        await settle()
        heard += held.far.heard()
        expected = {"a reply": 5, "a status": StatusCode.NOT_FOUND}
        assert result == expected.get(how, StatusCode.DEADLINE_EXCEEDED)
        assert heard == ([Cancel(1, 1)] if how == "time" else [])
        assert held.channel.minimum_protection is Protection.SIGN
