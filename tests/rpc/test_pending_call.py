"""A call of one reply in the client's table: what it takes, and how it ends once."""

import anyio
import pytest

from signetrpc.rpc import CallInfo, DeclaredError, RpcError, StatusCode, declared_error
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._declared_errors import NO_ERRORS, ErrorClasses, error_classes
from signetrpc.rpc._messages import Headers, Reply, Status
from signetrpc.rpc._outbox import Outbox
from signetrpc.rpc._pending_call import PendingCall
from signetrpc.transport import Protection, RemoteProtocolError
from signetrpc.transport._loops import Loop, open_loop
from tests.support.calls import client_end
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

BAD = [("UPPER", "case")]


@declared_error("pending.Refused", status=StatusCode.ABORTED)
class Refused(DeclaredError):
    """It is refused."""

    by: str


def pending(
    loop: Loop, info: CallInfo | None = None, errors: ErrorClasses = NO_ERRORS
) -> PendingCall:
    return PendingCall(Protection.SIGN, bytes, loop.waiter(), errors, info)


async def test_what_comes_beside_the_reply_is_noted_where_somebody_asked() -> None:
    async with open_loop() as loop:
        info = CallInfo()
        asked, silent = pending(loop, info), pending(loop)
        for call in (asked, silent):
            call.take_headers(Headers(1, [("a", "1")]))
            call.take_trailers(Reply(1, [("b", "2")], False, b"\xc0"))
        assert (info.headers, info.trailers) == ((("a", "1"),), (("b", "2"),))
        empty = pending(loop, info)
        empty.take_headers(Headers(2, None))
        empty.take_trailers(Reply(2, None, False, b"\xc0"))
        assert (info.headers, info.trailers) == ((), ())


async def test_what_is_no_metadata_or_comes_twice_is_refused() -> None:
    async with open_loop() as loop:
        call = pending(loop)
        with pytest.raises(RemoteProtocolError, match="malformed headers"):
            call.take_headers(Headers(1, BAD))
        with pytest.raises(RemoteProtocolError, match="malformed trailers"):
            call.take_trailers(Reply(1, BAD, False, b"\xc0"))
        with pytest.raises(RemoteProtocolError, match="malformed trailers"):
            call.error_of(Status(1, 5, "", BAD))
        call.take_headers(Headers(1, None))
        with pytest.raises(RemoteProtocolError, match="second headers of call 1"):
            call.take_headers(Headers(1, None))


async def test_an_error_is_the_one_that_the_method_declares() -> None:
    async with open_loop() as loop:
        info = CallInfo()
        details = [("pending.Refused", encode_value({"by": "bob"}))]
        message = Status(1, 10, "It is refused", [("t", "1")], details)
        call = pending(loop, info, error_classes([Refused], "pending.Desk.ask"))
        error = call.error_of(message)
        assert isinstance(error, Refused) and error.by == "bob"
        assert info.trailers == error.trailers == (("t", "1"),)
        assert type(pending(loop).error_of(message)) is RpcError
        with pytest.raises(RemoteProtocolError, match="OK without a result"):
            call.error_of(Status(1, 0, "", None))


async def test_it_ends_once_and_wakes_its_caller() -> None:
    async with open_loop() as loop:
        call = pending(loop)
        call.end(7)
        call.end(8)
        assert await call.waiter == 7


@pytest.mark.parametrize("outcome", [7, RpcError(StatusCode.ABORTED, "no")])
async def test_what_still_sends_its_arguments_learns_of_its_end(
    outcome: object,
) -> None:
    async with client_end() as (connection, _, loop):
        call = pending(loop)
        call.outbox = Outbox(connection, 1, Protection.SIGN)
        call.end(outcome)
        await settle()
        with pytest.raises(RpcError) as caught, anyio.fail_after(10):
            await call.outbox.send(b"more")
        if isinstance(outcome, RpcError):
            assert caught.value is outcome
        else:
            assert caught.value.message == "answered before all of it was sent"
