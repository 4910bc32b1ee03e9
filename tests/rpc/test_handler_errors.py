"""What callers learn of what goes wrong in handlers: of each style and kind."""

import logging
from typing import Any

import msgspec
import pytest

from signetrpc.rpc import (
    BidirectionalMethod,
    Channel,
    ClientStreamMethod,
    Protection,
    RpcError,
    ServerStreamMethod,
    StatusCode,
    UnaryMethod,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import Status, encode_call
from signetrpc.rpc.details import ErrorInfo, UnknownDetail
from signetrpc.rpc.testing import channel_for
from tests.support.calls import server_end
from tests.support.desk import answers
from tests.support.mishaps import MAPPING, RETRY, Locked, Mishaps

pytestmark = pytest.mark.anyio

SIGN = Protection.SIGN


class How(msgspec.Struct):
    """One argument."""

    how: str


OPTIONS: dict[str, Any] = {
    "service": "test.Mishaps",
    "protection": SIGN,
    "arguments": How,
    "errors": [Locked],
}


async def failure(channel: Channel, name: str, how: str) -> RpcError:
    """Return the error that a call ends with."""
    arguments = How(how)
    with pytest.raises(RpcError) as caught:
        match name:
            case "items" | "thread_items":
                out = ServerStreamMethod[How, int](name=name, result=int, **OPTIONS)
                async for item in channel.server_stream(out, arguments):
                    assert item == 1
            case "taking":
                taking = ClientStreamMethod[How, int, None](
                    name=name, item=int, result=None, **OPTIONS
                )
                await channel.client_stream(taking, arguments, [1])
            case "both":
                both = BidirectionalMethod[How, int, int](
                    name=name, item=int, result=int, **OPTIONS
                )
                async for item in channel.bidirectional(both, arguments, [1]):
                    assert item == 1
            case _:
                unary = UnaryMethod[How, None](name=name, result=None, **OPTIONS)
                await channel.unary(unary, arguments)
    return caught.value


EACH = ["task", "thread", "inline", "items", "thread_items", "taking", "both"]


@pytest.mark.parametrize("name", EACH)
async def test_a_declared_error_is_itself(name: str) -> None:
    async with channel_for(Mishaps) as channel:
        error = await failure(channel, name, "declared")
        assert isinstance(error, Locked)
        assert (error.by, error.status) == ("bob", StatusCode.ABORTED)
        assert error.message == "Somebody else works on it"
        assert error.trailers == (("from", "context"),)
        more = await failure(channel, name, "declared and details")
        assert isinstance(more, Locked)
        assert more.details == (RETRY,)


@pytest.mark.parametrize("name", EACH)
async def test_details_travel(name: str) -> None:
    async with channel_for(Mishaps) as channel:
        error = await failure(channel, name, "details")
        assert error.status is StatusCode.UNAVAILABLE
        assert error.details == (RETRY, UnknownDetail("acme.X", b"\x07"))


@pytest.mark.parametrize("name", EACH)
async def test_exceptions_are_what_the_mapping_says(name: str) -> None:
    async with channel_for(Mishaps, errors=MAPPING) as channel:
        mapped = await failure(channel, name, "mapped")
        assert (mapped.status, mapped.message) == (
            StatusCode.FAILED_PRECONDITION,
            "the handler raised Overdrawn",
        )
        explained = await failure(channel, name, "explained")
        assert (explained.status, explained.message) == (
            StatusCode.NOT_FOUND,
            "no such account",
        )
        assert explained.details == (
            ErrorInfo(reason="NO_ACCOUNT", metadata={"account": "42"}),
        )


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("how", ["other", "missing file", "forbidden", "mapped"])
async def test_what_is_not_mapped_is_internal_and_for_the_log(
    name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with channel_for(Mishaps) as channel:
        error = await failure(channel, name, how)
    assert (error.status, error.message) == (StatusCode.INTERNAL, "the handler failed")
    assert error.details == ()
    (record,) = (each for each in caplog.records if each.name == "signetrpc.rpc")
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None and "hunter2" in str(record.exc_info[1])


async def test_a_mapping_that_fails_is_internal_and_both_are_for_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with channel_for(Mishaps, errors=MAPPING) as channel:
        error = await failure(channel, "task", "explained badly")
    assert (error.status, error.message) == (StatusCode.INTERNAL, "the handler failed")
    (record,) = (each for each in caplog.records if each.name == "signetrpc.rpc")
    assert record.exc_info is not None
    failed = record.exc_info[1]
    assert isinstance(failed, RuntimeError)
    assert isinstance(failed.__context__, IndexError)


async def test_a_declared_error_that_cannot_travel_is_a_plain_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with channel_for(Mishaps) as channel:
        error = await failure(channel, "task", "of another type")
    assert type(error) is RpcError
    assert error.status is StatusCode.ABORTED
    assert error.details == ()
    assert "error mishaps.Locked cannot travel as itself" in caplog.text


async def test_details_over_the_limit_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with channel_for(Mishaps) as channel:
        error = await failure(channel, "task", "many details")
    assert len(error.details) == 16
    assert caplog.text.count("left out") == 24


async def test_the_declared_error_is_the_first_detail_on_the_wire() -> None:
    async with server_end(Mishaps()) as (_, far, _):
        body = encode_value({"how": "declared and details"})
        far.say(encode_call(1, encode_value("test.Mishaps/task"), None, b"\xc0", body))
        (status,) = await answers(far, 1)
        assert isinstance(status, Status)
        assert (status.code, status.message) == (10, "Somebody else works on it")
        assert status.details == [
            ("mishaps.Locked", encode_value({"by": "bob"})),
            ("signet.RetryInfo", encode_value({"retry_delay": "PT3S"})),
        ]
