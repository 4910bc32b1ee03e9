"""The STATUS that a call ends with: what of an error travels, and what cannot."""

from typing import Any

import pytest

from signetrpc.rpc import DeclaredError, RpcError, StatusCode, declared_error
from signetrpc.rpc._context import CallContext
from signetrpc.rpc._declared_errors import error_classes
from signetrpc.rpc._ending import ending
from signetrpc.rpc._messages import Status, decode_message
from signetrpc.rpc.details import RequestInfo
from signetrpc.transport import ANONYMOUS, Protection

INFO = RequestInfo(request_id="1")


def context() -> CallContext:
    made = CallContext(
        method="a/b",
        caller=ANONYMOUS,
        protection=Protection.SIGN,
        metadata=(),
        deadline=None,
        time=lambda: 0.0,
    )
    made.set_trailers({"from": "context"})
    return made


def status(error: RpcError | None, **options: Any) -> Status:
    data, code = ending(7, error, context(), **options)
    message = decode_message(data)
    assert isinstance(message, Status) and (message.id, message.code) == (7, code)
    return message


def test_no_error_is_ok_with_the_trailers_that_were_set() -> None:
    found = status(None)
    assert found.code == StatusCode.OK and found.trailers == [("from", "context")]


def test_an_error_with_all_that_it_has() -> None:
    found = status(RpcError(StatusCode.NOT_FOUND, "gone", details=[INFO]))
    assert (found.code, found.message) == (StatusCode.NOT_FOUND, "gone")
    assert found.trailers == [("from", "context")]
    assert found.details is not None and found.details[0][0] == "signet.RequestInfo"
    found = status(RpcError(StatusCode.NOT_FOUND, "gone", trailers={"its": "own"}))
    assert found.trailers == [("its", "own")]


def test_trailers_over_the_limit_are_told_in_place_of_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = RpcError(StatusCode.NOT_FOUND, "gone", trailers={"k": "v" * 9})
    assert status(error, limit=10).code == StatusCode.NOT_FOUND
    found = status(error, limit=9)
    assert found.code == StatusCode.RESOURCE_EXHAUSTED
    assert found.message == (
        "trailers of 10 bytes, limit 9; the call had ended with NOT_FOUND"
    )
    assert found.trailers == [("from", "context")]
    assert "an error cannot travel: trailers of 10 bytes, limit 9" in caplog.text


@pytest.mark.parametrize("trailers", [(("K", "v"),), (("k", object()),), None])
def test_what_is_no_error_is_internal(trailers: Any) -> None:
    error = RpcError(StatusCode.NOT_FOUND, "secret")
    error.trailers = trailers
    if trailers is None:
        error.status = "none"  # type: ignore[assignment]  # pyright: ignore
    found = status(error)
    assert (found.code, found.message) == (StatusCode.INTERNAL, "the handler failed")
    assert found.trailers is None


@declared_error("test.Broken")
class Broken(DeclaredError):
    """An error with a field."""

    number: int


def test_a_declared_error_travels_as_itself_if_it_can(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors = error_classes([Broken], "test")
    found = status(Broken(number=1), errors=errors)
    assert found.details is not None and found.details[0][0] == "test.Broken"
    broken = Broken(number=1)
    broken.number = {1: object(), "secret": 2}  # type: ignore[assignment]  # pyright: ignore
    found = status(broken, errors=errors)
    assert found.code == StatusCode.FAILED_PRECONDITION and found.details is None
    assert "error test.Broken cannot travel as itself" in caplog.text
    assert "secret" not in caplog.text
