"""What calls learn whose connection did not come."""

import pytest

from signetrpc.rpc import RpcError, StatusCode
from signetrpc.rpc._attempt import Attempt, Failure, connect_error
from signetrpc.transport import (
    AuthenticationFailed,
    ConnectFailed,
    FailureReason,
    InsufficientProtection,
    LocalProtocolError,
    TransportError,
)


def test_an_attempt_begins_with_nothing() -> None:
    attempt = Attempt()
    assert not attempt.over.is_set()
    assert attempt.connection is None and attempt.error is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (
            AuthenticationFailed("who?", reason=FailureReason.REFUSED),
            StatusCode.UNAUTHENTICATED,
        ),
        (InsufficientProtection("only SIGN"), StatusCode.FAILED_PRECONDITION),
        (LocalProtocolError("no name"), StatusCode.FAILED_PRECONDITION),
        (ConnectFailed("refused"), StatusCode.UNAVAILABLE),
        (
            AuthenticationFailed("no KDC", reason=FailureReason.NO_KDC),
            StatusCode.UNAVAILABLE,
        ),
    ],
)
def test_each_cause_has_its_status(error: TransportError, status: StatusCode) -> None:
    made = connect_error(error)
    assert isinstance(made, RpcError)
    assert made.status is status and made.message == str(error)
    assert Failure.of(error).passes is (status is StatusCode.UNAVAILABLE)


def test_who_comes_too_early_learns_when_to_come() -> None:
    made = Failure.of(ConnectFailed("refused")).error(1.25)
    assert made.status is StatusCode.UNAVAILABLE
    assert made.message == "refused; next attempt in 1.2 seconds"
