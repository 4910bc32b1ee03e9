"""A client's connection that is left: when it closes, and what of calls that wait."""

import anyio
import pytest

from signetrpc.rpc import NotCarriedOut
from signetrpc.rpc._messages import Call, encode_go_away, encode_reply
from signetrpc.transport import ConnectionClosed
from tests.support.caller import NIL, calls
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


async def test_a_server_that_goes_away_is_left_when_all_is_answered() -> None:
    async with calls() as table:
        await table.start("a")
        table.far.say(encode_go_away(30.0))
        assert not table.connection.usable and table.connection.ended is None
        table.far.say(encode_reply(1, NIL, b"still answered"))
        await settle()
        assert table.caller.ended["a"] == b"still answered"
        assert isinstance(table.connection.ended, ConnectionClosed)
        assert table.far.pipe.closed


async def test_a_call_that_waits_for_room_is_made_where_it_waits() -> None:
    async with calls() as table:
        table.far.pipe.full = True
        await table.start("a")
        table.far.say(encode_go_away(30.0))
        assert table.connection.ended is None
        table.far.pipe.make_room()
        await settle()
        table.far.say(encode_reply(1, NIL, b"still answered"))
        await settle()
        assert table.caller.ended["a"] == b"still answered"
        assert table.far.pipe.closed


@pytest.mark.parametrize("last_id", [0, 1])
async def test_nor_is_it_made_where_nobody_takes_it(last_id: int) -> None:
    async with calls() as table:
        if last_id:
            await table.start("a")
        table.far.pipe.full = True
        await table.start("b")
        table.far.say(encode_go_away(30.0))
        table.far.say(encode_go_away(30.0, last_id))
        table.far.pipe.make_room()
        await settle()
        assert isinstance(table.caller.ended["b"], NotCarriedOut)
        assert [type(each) for each in table.far.heard()] == [Call] * last_id
        if last_id:
            table.far.say(encode_reply(1, NIL, b"still answered"))
            await settle()
        assert table.far.pipe.closed


async def test_a_call_whose_connection_breaks_before_it_is_sent_was_not_made() -> None:
    async with calls() as table:
        table.far.pipe.full = True
        await table.start("a")
        table.far.pipe.abort()
        await settle()
        assert isinstance(table.caller.ended["a"], NotCarriedOut)


async def test_a_retired_connection_closes_when_nobody_waits_for_room() -> None:
    async with calls() as table:
        table.far.pipe.full = True
        await table.start("a", timeout=0.01)
        table.far.say(encode_go_away(30.0))
        with anyio.fail_after(10):
            while "a" not in table.caller.ended:
                await anyio.sleep(0)
        assert isinstance(table.connection.ended, ConnectionClosed)


async def test_nor_does_one_stay_for_a_call_that_is_given_up_before_it_is_sent() -> (
    None
):
    async with calls() as table:
        table.far.pipe.full = True
        await table.start("a")
        table.connection.retire()
        assert table.connection.ended is None
        table.caller.scopes["a"].cancel()
        await settle()
        assert table.connection.ended is not None and table.far.pipe.closed


async def test_a_retired_connection_closes_when_its_last_call_is_given_up() -> None:
    async with calls() as table:
        await table.start("a")
        table.connection.retire()
        table.connection.retire()
        table.caller.scopes["a"].cancel()
        await settle()
        assert table.connection.ended is not None and table.far.pipe.closed


async def test_a_connection_that_has_used_up_its_call_ids_is_not_usable() -> None:
    async with calls() as table:
        table.connection._next_id = 0xFFFFFFFF  # pyright: ignore[reportPrivateUsage]
        assert table.connection.usable
        await table.start("last")
        assert not table.connection.usable
        table.far.say(encode_reply(0xFFFFFFFF, NIL, b"ok"))
        await settle()
        assert table.caller.ended["last"] == b"ok"
