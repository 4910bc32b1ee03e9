"""Calls in the table of a server: each leaves it once, whatever ends it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from signetrpc.rpc import (
    Protection,
    RpcError,
    StatusCode,
    current_call,
    method,
    service,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    PART_BYTES,
    Message,
    Part,
    Reply,
    Status,
    encode_call,
    encode_cancel,
    encode_credit,
)
from signetrpc.transport import ConnectionClosed
from tests.support.desk import NIL, call, desk, reply, status
from tests.support.links import Relaying, relaying
from tests.support.sessions import SMALL
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
ALL_HERE = (
    *("wait", "block", "inline", "fail", "fail_inline", "big", "big_inline", "wrong"),
    *("bad_trailers", "items", "broken", "open"),
)


@service("test.Stream")
class Stream:
    def __init__(self) -> None:
        self.ended: list[BaseException | None] = []

    @method(Protection.SIGN)
    async def items(self, count: int, size: int) -> AsyncIterator[bytes]:
        try:
            for _ in range(count):
                yield bytes(size)
        except BaseException as error:
            self.ended.append(error)
            raise
        self.ended.append(None)

    @method(Protection.SIGN)
    async def broken(self) -> AsyncIterator[int]:
        yield 1
        current_call().trailers = (("k", object()),)  # type: ignore[assignment]  # pyright: ignore


def stream(call_id: int, name: str = "items", **arguments: int) -> bytes:
    body = encode_value(arguments)
    return encode_call(call_id, encode_value(f"test.Stream/{name}"), None, NIL, body)


def kinds(messages: list[Message]) -> list[str]:
    return [type(each).__name__ for each in messages]


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("name", ["wait", "block", "inline", "big"])
async def test_an_answer_that_cannot_be_sealed_ends_its_connection_alone(
    name: str,
    before: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent: list[bytes] = []
    async with desk() as (served, connection, far, _):
        send = connection._session.send  # pyright: ignore[reportPrivateUsage]

        def fail(message: bytes, level: Protection) -> None:
            if len(sent) == before:
                raise ConnectionClosed("the keys are used up", clean=False)
            sent.append(message)
            send(message, level)

        monkeypatch.setattr(connection._session, "send", fail)  # pyright: ignore
        served.go.set()
        served.thread_go.set()
        given = {"size": PART_BYTES + 1} if name == "big" else {"text": "x"}
        far.say(*[call(number, name, dict(given)) for number in (1, 2)])
        with anyio.fail_after(10):
            await connection.wait_ended()
        # Leaving the block would raise what a handler's task had ended with.
        await settle()
        assert not connection.calls
    assert str(connection.ended) == "the keys are used up"
    assert not caplog.records


# However a call ends, the table forgets it and the audit learns of it, once.


async def returns(held: Relaying) -> StatusCode:
    held.desk.go.set()
    await settle()
    return StatusCode.OK


async def is_cancelled(held: Relaying) -> StatusCode:
    held.client.say(encode_cancel(1))
    return StatusCode.CANCELLED


async def runs_out_of_time(held: Relaying) -> StatusCode:
    held.loop.advance(10)
    return StatusCode.DEADLINE_EXCEEDED


async def loses_its_caller(held: Relaying) -> StatusCode:
    assert held.client.pipe.receiver is not None
    held.client.pipe.receiver.pipe_ended(None)
    return StatusCode.CANCELLED


async def is_closed(held: Relaying) -> StatusCode:
    await held.connection.aclose()
    return StatusCode.CANCELLED


async def breaks_the_rules(held: Relaying) -> StatusCode:
    held.client.say(b"\xc1")
    return StatusCode.CANCELLED


End = Callable[[Relaying], Awaitable[StatusCode]]
ENDS: dict[str, End] = {
    "returns": returns,
    "is cancelled": is_cancelled,
    "runs out of time": runs_out_of_time,
    "loses its caller": loses_its_caller,
    "is closed": is_closed,
    "breaks the rules": breaks_the_rules,
}


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
async def test_the_first_end_counts(first: str, second: str) -> None:
    async with relaying(here=ALL_HERE) as held:
        held.client.say(call(1, "wait", {"text": "x"}, timeout=10))
        await settle()
        assert held.connection.busy
        ended = await ENDS[first](held)
        await settle()
        assert not held.connection.busy
        if held.connection.ended is None:
            await ENDS[second](held)
            await settle()
        heard = held.client.heard()
        assert len(heard) == (ended in (StatusCode.OK, StatusCode.DEADLINE_EXCEEDED))
        held.loop.advance(100)
        await settle()
        assert held.client.heard() == []
        await held.connection.aclose()
    assert [each.status for each in held.records] == [ended]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (call(1, "inline", {"text": "x"}), StatusCode.OK),
        (call(1, "fail", {"how": "status"}), StatusCode.NOT_FOUND),
        (call(1, "fail_inline", {"how": "status"}), StatusCode.NOT_FOUND),
        (call(1, "fail", {"how": "other"}), StatusCode.INTERNAL),
        (call(1, "fail", {"how": "bare"}), StatusCode.INTERNAL),
        (call(1, "wrong"), StatusCode.INTERNAL),
        (call(1, "bad_trailers"), StatusCode.INTERNAL),
        (call(1, "inline", {"number": 5}), StatusCode.INVALID_ARGUMENT),
        (call(1, "big", {"size": 2_000_000}), StatusCode.RESOURCE_EXHAUSTED),
        (call(1, "unknown"), StatusCode.UNIMPLEMENTED),
        (stream(1, "broken"), StatusCode.INTERNAL),
        (stream(1, count=2, size=5), StatusCode.OK),
    ],
)
async def test_the_audit_has_the_code_that_the_caller_got(
    message: bytes, code: StatusCode
) -> None:
    async with relaying(Stream(), here=ALL_HERE) as held:
        held.client.say(message)
        await settle()
        last = held.client.heard()[-1]
        if isinstance(last, Reply):
            assert code is StatusCode.OK
        else:
            assert status(last)[1] is code
        await held.connection.aclose()
    assert [each.status for each in held.records] == [code]


async def test_what_a_handler_raises_unexpectedly_is_for_the_log_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with relaying(here=ALL_HERE) as held:
        held.client.say(call(1, "fail", {"how": "other"}))
        await settle()
        (message,) = held.client.heard()
        assert status(message) == (1, StatusCode.INTERNAL, "the handler failed")
    assert "test.Desk/fail failed for alice" in caplog.text
    assert "the secret is 42" in caplog.text


async def test_an_error_that_cannot_travel_hurts_its_own_call_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with relaying(here=ALL_HERE) as held:
        held.client.say(
            call(1, "fail", {"how": "number"}), call(2, "inline", {"text": "x"})
        )
        await settle()
        good, bad = held.client.heard()
        assert good == reply(2, "X")
        assert status(bad) == (1, StatusCode.INTERNAL, "the handler failed")
    assert "the error of call 1 cannot travel" in caplog.text


# Long results.


async def test_a_long_reply_goes_as_the_caller_takes_it() -> None:
    async with relaying(here=ALL_HERE) as held:
        held.client.say(call(1, "big", {"size": 10 * PART_BYTES}))
        await settle()
        first = held.client.heard()
        # The head goes without credit, then what the call's window has.
        assert kinds(first) == ["Reply"] + ["Part"] * 4
        assert held.connection.busy
        held.client.say(encode_credit(1, 1 << 20))
        await settle()
        rest = held.client.heard()
        last = rest[-1]
        assert isinstance(last, Part) and not last.more
        assert not held.connection.busy
        await held.connection.aclose()
    assert [each.status for each in held.records] == [StatusCode.OK]


async def test_a_call_cancelled_amid_its_reply_sends_no_more_of_it() -> None:
    async with relaying(here=ALL_HERE) as held:
        held.client.say(call(1, "big", {"size": 10 * PART_BYTES}))
        await settle()
        held.client.heard()
        held.client.say(encode_cancel(1))
        await settle()
        held.client.say(encode_credit(0, 1 << 20))
        await settle()
        assert held.client.heard() == []
        await held.connection.aclose()
    assert [each.status for each in held.records] == [StatusCode.CANCELLED]


async def test_time_that_runs_out_amid_a_reply_is_told() -> None:
    async with relaying(here=ALL_HERE) as held:
        held.client.say(call(1, "big", {"size": 10 * PART_BYTES}, timeout=5))
        await settle()
        held.client.heard()
        held.loop.advance(5)
        await settle()
        ((call_id, code, _),) = map(status, held.client.heard())
        assert (call_id, code) == (1, StatusCode.DEADLINE_EXCEEDED)


async def test_a_reply_longer_than_the_caller_takes_is_an_error() -> None:
    async with relaying(here=ALL_HERE, limits=SMALL) as held:
        held.client.say(call(1, "big_inline", {"size": 3000}))
        await settle()
        ((call_id, code, text),) = map(status, held.client.heard())
        assert (call_id, code) == (1, StatusCode.RESOURCE_EXHAUSTED)
        assert "the caller takes no reply of 3003 bytes: " in text


async def test_an_error_longer_than_the_caller_takes_goes_without_its_text() -> None:
    async with relaying(here=ALL_HERE, limits=SMALL) as held:
        held.client.say(call(1, "fail", {"how": "long"}))
        await settle()
        assert list(map(status, held.client.heard())) == [(1, StatusCode.NOT_FOUND, "")]
        await held.connection.aclose()
    assert [each.status for each in held.records] == [StatusCode.NOT_FOUND]


# Streams.


async def test_a_stream_ends_with_a_status_after_its_items() -> None:
    served = Stream()
    async with relaying(served, here=ALL_HERE) as held:
        held.client.say(stream(1, count=3, size=5))
        await settle()
        heard = held.client.heard()
        assert kinds(heard) == ["Item"] * 3 + ["Status"]
        assert isinstance(heard[-1], Status) and heard[-1].code == 0
        assert served.ended == [None]


async def test_a_stream_that_nobody_takes_waits_and_is_let_go() -> None:
    served = Stream()
    async with relaying(served, here=ALL_HERE) as held:
        held.client.say(stream(1, count=1000, size=PART_BYTES - 40))
        await settle()
        assert kinds(held.client.heard()) == ["Item"] * 5
        held.client.say(encode_cancel(1))
        await settle()
        assert len(served.ended) == 1 and served.ended[0] is not None
        assert held.client.heard() == []


# The level of answers.


async def test_answers_keep_the_level_of_the_call_and_refusals_the_minimum() -> None:
    async with relaying(here=ALL_HERE, minimum=NONE) as held:
        said = (
            (call(1, "inline", {"text": "x"}), SIGN),
            (call(2, "inline", {"text": "x"}), SEAL),
            (call(3, "inline", {"text": "x"}), NONE),
            (call(4, "unknown"), NONE),
        )
        found: list[tuple[Protection, str]] = []
        for message, level in said:
            held.client.say(message, level=level)
            await settle()
            found += [(level, kinds(some)[0]) for level, some in held.client.records()]
        # Of a method that demands SIGN even the refusal is signed.
        assert found == [
            (SIGN, "Reply"),
            (SEAL, "Reply"),
            (SIGN, "Status"),
            (NONE, "Status"),
        ]


async def test_a_caller_that_does_not_read_is_not_read_from() -> None:
    async with relaying(here=ALL_HERE) as held:
        held.client.pipe.full = True
        held.client.say(call(1, "inline", {"text": "x"}))
        await settle()
        assert held.client.pipe.paused
        held.client.say(call(2, "inline", {"text": "y"}))
        await settle()
        assert held.desk.started == ["x"]
        held.client.pipe.make_room()
        await settle()
        assert held.desk.started == ["x", "y"]
        assert held.client.heard() == [reply(1, "X"), reply(2, "Y")]


async def test_failing_a_call_that_has_ended_does_nothing() -> None:
    async with relaying() as held:
        held.client.say(call(1, "wait", {"text": "x"}))
        await settle()
        (running,) = held.connection._calls.values()  # pyright: ignore[reportPrivateUsage]
        held.desk.go.set()
        await settle()
        assert held.client.heard() == [reply(1, "x")]
        held.connection.fail(running, RpcError(StatusCode.ABORTED, "late"))
        held.connection.reply(running, "late")
        held.connection.end_stream(running)
        await settle()
        assert held.client.heard() == []
        await held.connection.aclose()
    assert [each.status for each in held.records] == [StatusCode.OK]
