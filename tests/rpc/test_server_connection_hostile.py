"""A server's end of a connection: clients that break the rules, and ends."""

from typing import Any

import pytest

from signetrpc.rpc import (
    Protection,
    StatusCode,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    PART_BYTES,
    encode_cancel,
    encode_reply,
    encode_status,
    parts_of,
)
from signetrpc.transport import (
    ConnectionClosed,
    IntegrityError,
    Limits,
    RemoteProtocolError,
)
from tests.support.desk import NIL, call, desk, ended_by, reply, status
from tests.support.sessions import GSS
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection


# Hostile clients.


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([b"\xc1"], "malformed call message"),
        ([encode_reply(1, NIL, b"")], "Reply from a client"),
        ([encode_status(1, 5, "")], "Status from a client"),
        ([encode_cancel(1)], "Cancel for call 1, never made"),
        (
            [list(parts_of(9, bytes(PART_BYTES + 1)))[0]],
            "Part for call 9, never made",
        ),
        ([call(5, "open"), call(5, "open")], "call 5 after call 5"),
        ([call(5, "open"), call(4, "open")], "call 4 after call 5"),
        (
            [
                call(1, "wait", {"text": "a"}),
                list(parts_of(1, bytes(PART_BYTES + 1)))[0],
            ],
            "Part for call 1, which takes none",
        ),
        (
            [call(1, "open", metadata=encode_value([["K", "v"]]))],
            "malformed metadata",
        ),
        (
            [call(1, "open", metadata=encode_value([["k", 7]]))],
            "malformed metadata",
        ),
        (
            [call(1, "open", metadata=encode_value([["signet-x", "v"]]))],
            "malformed metadata",
        ),
    ],
)
async def test_a_client_that_breaks_the_rules_is_thrown_out(
    messages: list[bytes], says: str
) -> None:
    async with desk() as (_, connection, far, _):
        far.say(*messages)
        error = ended_by(connection)
        assert isinstance(error, RemoteProtocolError) and says in str(error)
        far.pipe.sent.clear()
        far.say(call(99, "inline", {"text": "more"}))
        assert not far.pipe.sent


async def test_nothing_after_a_broken_rule_is_run() -> None:
    async with desk() as (served, connection, far, _):
        far.say(
            call(1, "inline", {"text": "before"}),
            encode_cancel(7),
            call(8, "inline", {"text": "after"}),
        )
        assert connection.ended is not None
        assert served.started == ["before"]
        assert far.heard() == [reply(1, "BEFORE")]


async def test_items_of_a_call_that_has_ended_are_passed_over() -> None:
    async with desk() as (_, connection, far, _):
        far.say(call(3, "inline", {"text": "a"}))
        far.say(encode_cancel(3), list(parts_of(2, bytes(PART_BYTES + 1)))[0])
        assert connection.ended is None


async def test_a_changed_record_ends_the_connection() -> None:
    async with desk() as (_, connection, far, _):
        far.session.send(call(1, "inline", {"text": "a"}), SEAL)
        record = bytearray(far.session.data_to_send())
        record[-1] ^= 1
        far.deliver(bytes(record))
        assert isinstance(ended_by(connection), IntegrityError)
        far.deliver(b"more")
        await connection.aclose()
        assert far.pipe.aborted and not far.pipe.sent


async def test_a_bug_of_ours_ends_this_connection_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk() as (_, connection, far, _):

        def bug(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(connection, "_receive_call", bug)
        far.say(call(1, "open"))
        assert "could not be handled" in str(ended_by(connection))
    assert any("a bug" in str(record.exc_info) for record in caplog.records)


@pytest.mark.parametrize("name", ["big", "big_inline"])
async def test_a_client_that_takes_little_gets_an_error_and_no_crash(name: str) -> None:
    few = Limits(max_record_bytes=4096, max_message_bytes=1024)
    async with desk(limits=few) as (_, connection, far, _):
        far.say(call(1, name, {"size": 2000}))
        await settle()
        (message,) = far.heard()
        assert status(message)[:2] == (1, StatusCode.RESOURCE_EXHAUSTED)
        assert "limit 1024" in status(message)[2]
        far.say(call(2, "fail", {"how": "long"}))
        await settle()
        (message,) = far.heard()
        assert status(message) == (2, StatusCode.NOT_FOUND, "")
        assert connection.ended is None


# Ends.


async def test_the_end_of_the_connection_stops_all_handlers() -> None:
    async with desk() as (served, connection, far, loop):
        far.say(*[call(n, "wait", {"text": str(n)}, timeout=9.0) for n in (1, 2, 3)])
        await settle()
        connection.pipe_ended(ConnectionClosed("broke", clean=False))
        connection.pipe_ended(None)
        await settle()
        assert sorted(served.cancelled) == ["1", "2", "3"]
        assert loop.armed == []
        assert far.heard() == []


async def test_an_end_without_close_is_a_truncation() -> None:
    async with desk() as (_, connection, _, _):
        connection.pipe_ended(None)
        error = ended_by(connection)
        assert isinstance(error, ConnectionClosed) and not error.clean
        assert await connection.wait_ended() is error


async def test_a_clients_close_is_a_clean_end() -> None:
    async with desk() as (_, connection, far, _):
        far.session.close()
        far.deliver(far.session.data_to_send())
        error = ended_by(connection)
        assert isinstance(error, ConnectionClosed) and error.clean


async def test_handlers_that_answer_after_the_end_say_nothing() -> None:
    async with desk() as (served, connection, far, _):
        served.stubborn = True
        far.say(call(1, "wait", {"text": "a"}))
        await settle()
        await connection.aclose()
        far.heard()
        served.go.set()
        await settle()
        assert not far.pipe.sent


async def test_sealing_that_fails_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with desk() as (served, connection, far, _):
        far.say(*[call(n, "wait", {"text": str(n)}) for n in (1, 2)])
        await settle()

        def fail(*_: object) -> None:
            raise ConnectionClosed("no more keys", clean=False)

        monkeypatch.setattr(connection._session, "send", fail)  # pyright: ignore
        far.say(call(3, "inline", {"text": "a"}), call(4, "inline", {"text": "b"}))
        await settle()
        assert str(ended_by(connection)) == "no more keys"
        assert sorted(served.cancelled) == ["1", "2"]
        assert "b" not in served.started


async def test_a_long_reply_that_cannot_be_sealed_to_its_end() -> None:
    async with desk(suite=GSS) as (_, connection, far, _):
        suite: Any = connection._session._suite  # pyright: ignore[reportPrivateUsage]
        wrap, wrapped = suite._wrap, 0

        def fail(data: bytes) -> bytes:
            nonlocal wrapped
            wrapped += 1
            if wrapped == 2:
                raise ValueError("the mechanism has had enough")
            sealed: bytes = wrap(data)
            return sealed

        suite._wrap = fail
        far.say(call(1, "big", {"size": 8 * PART_BYTES}))
        await settle()
        assert "could not protect" in str(ended_by(connection))
        assert wrapped == 2
