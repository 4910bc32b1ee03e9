"""A client's end of a connection: ends, and servers that break the rules."""

from typing import Any

import anyio
import pytest

from signetrpc.rpc import Protection, StatusCode
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    PART_BYTES,
    encode_call,
    encode_cancel,
    encode_part,
    encode_reply,
    encode_status,
    parts_of,
)
from signetrpc.transport import (
    ConnectionClosed,
    RemoteProtocolError,
)
from tests.support.caller import METHOD, NIL, calls
from tests.support.calls import client_end
from tests.support.sessions import GSS
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection


def ended_by(connection: ClientConnection) -> str:
    assert isinstance(connection.ended, RemoteProtocolError)
    return str(connection.ended)


# Ends.


async def test_the_end_of_the_connection_fails_all_calls() -> None:
    async with calls() as table:
        await table.start("a", "b")
        table.connection.pipe_ended(ConnectionClosed("broke", clean=False))
        await settle()
        for name in ("a", "b"):
            error = table.caller.error(name)
            assert error.status is StatusCode.UNAVAILABLE
            assert error.message == "the connection ended: broke"
        assert table.loop.armed == [] and table.far.pipe.closed
        await table.start("c")
        assert table.caller.error("c").message == "no connection: broke"
        assert not table.connection.usable


async def test_a_call_without_an_answer_is_unavailable_even_after_close() -> None:
    async with calls() as table:
        await table.start("a")
        table.far.session.close()
        table.far.deliver(table.far.session.data_to_send())
        await settle()
        assert table.caller.error("a").status is StatusCode.UNAVAILABLE
        assert isinstance(table.connection.ended, ConnectionClosed)
        assert table.connection.ended.clean


async def test_closing_fails_all_calls_and_says_so_to_the_server() -> None:
    async with calls() as table:
        await table.start("a")
        table.far.heard()
        async with anyio.create_task_group() as group:
            group.start_soon(table.connection.aclose)
            group.start_soon(table.connection.aclose)
        await settle()
        assert table.caller.error("a").status is StatusCode.UNAVAILABLE
        table.far.heard()
        assert table.far.session.state.name == "CLOSED"


async def test_the_end_of_the_loop_closes() -> None:
    async with client_end() as (_, far, _):
        await settle()
    assert far.pipe.closed
    far.heard()
    assert far.session.state.name == "CLOSED"


@pytest.mark.parametrize("ids", [["a"], ["a", "b"], ["a", "b", "c"]])
async def test_sealing_that_fails_ends_all_calls(ids: list[str]) -> None:
    async with calls(suite=GSS) as table:
        await table.start(*ids, timeout=1.0)
        break_sealing(table.connection)
        table.loop.advance(2)  # CANCELs to seal
        await settle()
        assert len(table.caller.ended) == len(ids)
        assert "could not protect" in str(table.connection.ended)
        await table.start("late")
        assert table.caller.error("late").status is StatusCode.UNAVAILABLE
        assert table.far.pipe.closed


@pytest.mark.parametrize("before", [[], ["a"]])
async def test_a_call_that_cannot_be_sealed_is_unavailable(before: list[str]) -> None:
    async with calls(suite=GSS) as table:
        await table.start(*before)
        break_sealing(table.connection)
        await table.start("b")
        for name in (*before, "b"):
            assert table.caller.error(name).status is StatusCode.UNAVAILABLE


async def test_a_call_that_changes_the_level_can_break_the_session_too() -> None:
    async with calls(suite=GSS) as table:
        await table.start("a")
        break_sealing(table.connection)
        async with anyio.create_task_group() as group:
            group.start_soon(table.caller.call, "b")
            group.start_soon(lambda: table.caller.call("c", level=SIGN))
        assert len(table.caller.ended) == 3


def break_sealing(connection: ClientConnection) -> None:
    def fail(data: bytes) -> bytes:
        raise ValueError("the mechanism has had enough")

    suite: Any = connection._session._suite  # pyright: ignore[reportPrivateUsage]
    suite._wrap = fail


async def test_a_long_call_that_cannot_be_sealed_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with calls() as table:
        session = table.connection._session  # pyright: ignore[reportPrivateUsage]
        send = session.send
        sent = 0

        def fail(message: bytes, level: Protection) -> None:
            nonlocal sent
            sent += 1
            if sent == 2:
                raise ConnectionClosed("no more keys", clean=False)
            send(message, level)

        monkeypatch.setattr(session, "send", fail)
        await table.start("a", body=bytes(4 * PART_BYTES))
        assert table.caller.error("a").status is StatusCode.UNAVAILABLE
        assert sent == 2


# Hostile servers.


BAD_PAIRS = encode_value([["K", "v"]])


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([b"\xc1"], "malformed call message"),
        ([encode_call(1, METHOD, None, NIL, b"")], "Call from a server"),
        ([encode_cancel(1)], "Cancel from a server"),
        ([encode_reply(2, NIL, b"")], "an answer to call 2, never made"),
        ([encode_status(2, 5, "")], "an answer to call 2, never made"),
        (
            [list(parts_of(2, bytes(PART_BYTES + 1)))[0]],
            "an answer to call 2, never made",
        ),
        (
            [list(parts_of(1, bytes(PART_BYTES + 1)))[0]],
            "a part of no reply to call 1",
        ),
        (
            [encode_reply(1, NIL, b"a", True), encode_reply(1, NIL, b"b", True)],
            "a second reply to call 1",
        ),
        (
            [encode_reply(1, NIL, b"a", True), encode_reply(1, NIL, b"b")],
            "a second reply to call 1",
        ),
        (
            [encode_value([6, 1, 5, "", [["K", "v"]]])],
            "malformed trailers",
        ),
        ([encode_reply(1, BAD_PAIRS, b"a")], "malformed trailers"),
        ([encode_value([9, 1, [["K", "v"]]])], "malformed headers"),
        ([encode_value([9, 1, None])] * 2, "second headers of call 1"),
        (
            [encode_reply(1, NIL, b"a", True), encode_value([9, 1, None])],
            "headers of 1 come too late",
        ),
        ([encode_value([3, 1, False, b""])], "an item for call 1, of none"),
        ([encode_value([6, 1, 0, "", None, None])], "status OK without a result"),
        (
            [encode_value([6, 1, 5, "", [["k", 1]]])],
            "malformed trailers",
        ),
    ],
)
async def test_a_server_that_breaks_the_rules_is_left(
    messages: list[bytes], says: str
) -> None:
    async with calls() as table:
        await table.start("a")
        table.far.say(*messages)
        assert says in ended_by(table.connection)
        await settle()
        assert table.caller.error("a").status is StatusCode.UNAVAILABLE
        assert table.far.pipe.closed


@pytest.mark.parametrize(
    "message",
    [
        encode_reply(1, NIL, b""),
        encode_reply(1, NIL, b"", True),
        encode_status(1, 5, ""),
    ],
)
async def test_an_answer_below_its_calls_level_is_fatal(message: bytes) -> None:
    async with calls() as table:
        await table.start("a", level=SEAL)
        table.far.say(message, level=SIGN)
        assert ended_by(table.connection) == "an answer at level SIGN to a call at SEAL"


async def test_a_part_below_its_calls_level_is_fatal() -> None:
    async with calls() as table:
        await table.start("a", level=SEAL)
        table.far.say(encode_reply(1, NIL, b"", True))
        table.far.say(list(parts_of(1, bytes(PART_BYTES + 1)))[0], level=SIGN)
        assert "an answer at level SIGN" in ended_by(table.connection)


async def test_a_flood_of_answers_to_ended_calls_costs_nothing() -> None:
    async with calls() as table:
        await table.start("a")
        table.far.say(encode_reply(1, NIL, b""))
        await settle()
        for _ in range(50):
            table.far.say(*[encode_reply(1, NIL, bytes(1000))] * 50)
        assert table.connection.ended is None
        assert table.far.heard()[1:] == []


async def test_half_replies_are_bounded_together() -> None:
    async with calls(max_body_bytes=PART_BYTES) as table:
        await table.start(*[str(number) for number in range(17)])
        for call_id in range(1, 18):
            # What comes with a reply is not counted.
            table.far.say(encode_reply(call_id, NIL, b"", True))
            table.far.say(encode_part(call_id, bytes(PART_BYTES), True))
        await settle()
        assert list(table.caller.ended) == ["16"]
        assert "half-received bodies" in table.caller.error("16").message
        assert table.connection.ended is None
