"""A unary call in the client's table: its outcome, and what comes beside it."""

import pytest

from signetrpc.rpc import (
    DeclaredError,
    Protection,
    RpcError,
    StatusCode,
    declared_error,
)
from signetrpc.rpc._call_info import CallInfo
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._declared_errors import error_classes
from signetrpc.rpc._messages import Headers, Reply, Status
from signetrpc.rpc._pending_call import PendingCall
from signetrpc.transport import RemoteProtocolError
from tests.support.outlet import Held
from tests.support.stepping import StepWaiter, finished

GONE = RpcError(StatusCode.NOT_FOUND, "gone")
PAIRS = [("k", "v")]
BAD = [("Upper", "v")]


def pending(beside: CallInfo | None = None) -> tuple[PendingCall, StepWaiter]:
    waiter = StepWaiter()
    call = PendingCall(Protection.SIGN, bytes, waiter, {}, beside)
    return call, waiter


async def outcome(waiter: StepWaiter) -> object:
    return await waiter


@pytest.mark.parametrize("end", [b"reply", GONE])
def test_its_end_wakes_its_caller(end: object) -> None:
    call, waiter = pending()
    call.end(end)
    assert finished(outcome(waiter)) is end


def test_an_end_after_its_caller_was_cancelled_is_nobodys() -> None:
    call, waiter = pending()
    waiter.set_result("cancelled")
    call.end(b"reply")
    assert finished(outcome(waiter)) == "cancelled"


@pytest.mark.parametrize(
    ("end", "says"),
    [(GONE, "NOT_FOUND: gone"), (b"reply", "answered before all of it was sent")],
)
def test_its_end_ends_the_sending_of_its_arguments(end: object, says: str) -> None:
    call, _ = pending()
    held = Held()
    call.outbox = held.outbox
    call.end(end)
    with pytest.raises(RpcError, match=says):
        finished(held.outbox.send(b"x"))


def test_what_comes_beside_a_reply() -> None:
    beside = CallInfo()
    call, _ = pending(beside)
    call.take_headers(Headers(1, PAIRS))
    call.take_trailers(Reply(1, PAIRS, False, b""))
    assert beside.headers == beside.trailers == (("k", "v"),)


@pytest.mark.parametrize("beside", [None, CallInfo()])
def test_what_is_no_metadata_is_the_servers_fault(beside: CallInfo | None) -> None:
    call, _ = pending(beside)
    with pytest.raises(RemoteProtocolError, match="malformed headers"):
        call.take_headers(Headers(1, BAD))
    with pytest.raises(RemoteProtocolError, match="malformed trailers"):
        call.take_trailers(Reply(1, BAD, False, b""))
    call.take_headers(Headers(1, None))
    with pytest.raises(RemoteProtocolError, match="second headers of call 1"):
        call.take_headers(Headers(1, None))


def test_a_status_is_an_error_and_its_trailers_are_kept() -> None:
    beside = CallInfo()
    call, _ = pending(beside)
    error = call.error_of(Status(1, 5, "gone", PAIRS))
    assert (error.status, error.message) == (StatusCode.NOT_FOUND, "gone")
    assert error.trailers == beside.trailers == (("k", "v"),)
    with pytest.raises(RemoteProtocolError, match="status OK without a result"):
        call.error_of(Status(1, 0, "", None))


@declared_error("pending.Refused", status=StatusCode.ABORTED)
class Refused(DeclaredError):
    """It is refused."""

    by: str


def test_an_error_is_the_one_that_the_method_declares() -> None:
    beside = CallInfo()
    errors = error_classes([Refused], "pending.Desk.ask")
    call = PendingCall(Protection.SIGN, bytes, StepWaiter(), errors, beside)
    details = [("pending.Refused", encode_value({"by": "bob"}))]
    message = Status(1, 10, "It is refused", PAIRS, details)
    error = call.error_of(message)
    assert isinstance(error, Refused) and error.by == "bob"
    assert beside.trailers == error.trailers == (("k", "v"),)
    assert type(pending()[0].error_of(message)) is RpcError
