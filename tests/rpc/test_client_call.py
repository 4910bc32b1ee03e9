"""What interceptors at the client see of a call, and may change."""

import pytest

from signetrpc.rpc import CallInfo, Protection, RpcError, StatusCode
from signetrpc.rpc._client_call import ClientCall
from signetrpc.rpc.testing import SERVER

PAIRS = (("a", "1"), ("b-bin", b"2"))


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return it."""
        return self.now


def made(clock: Clock, timeout: float | None = None) -> ClientCall:
    return ClientCall(
        method="test.Numbers/twice",
        protection=Protection.SIGN,
        timeout=timeout,
        metadata=PAIRS,
        time=clock,
        peer=lambda: SERVER,
    )


def test_it_knows_what_was_asked() -> None:
    call = made(Clock())
    assert call.method == "test.Numbers/twice" and call.peer is SERVER
    assert call.protection is Protection.SIGN and call.metadata == PAIRS
    assert call.status is None and call.headers == call.trailers == ()


def test_it_knows_the_time() -> None:
    clock = Clock()
    call = made(clock, timeout=3.0)
    clock.now += 2.0
    assert (call.age(), call.time_left()) == (2.0, 1.0)
    call.timeout = 10.0
    assert call.time_left() == 8.0
    clock.now += 9.0
    assert call.time_left() == 0.0
    call.timeout = None
    assert call.time_left() is None


def test_set_metadata_replaces_what_has_the_same_key() -> None:
    call = made(Clock())
    for _ in range(2):
        call.set_metadata([("b-bin", b"3"), ("b-bin", b"4"), ("c", "5")])
        assert call.metadata == (
            ("a", "1"),
            ("b-bin", b"3"),
            ("b-bin", b"4"),
            ("c", "5"),
        )
    with pytest.raises(ValueError, match="has other characters"):
        call.set_metadata({"A": "1"})
    call.set_metadata({"a": "x" * 16384})  # what is too much, the call finds out
    assert call.metadata[-1] == ("a", "x" * 16384) and len(call.metadata) == 4


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, StatusCode.OK),
        (RpcError(StatusCode.NOT_FOUND), StatusCode.NOT_FOUND),
        (ValueError("of the caller's items"), StatusCode.CANCELLED),
        (GeneratorExit(), StatusCode.CANCELLED),
    ],
)
def test_it_knows_how_the_last_attempt_ended(
    error: BaseException | None, status: StatusCode
) -> None:
    call, info = made(Clock()), CallInfo()
    info.headers = (("former", "1"),)

    def attempt() -> None:
        with call.attempt(info) as given:
            assert given is info and info.headers == () and call.status is None
            info.headers, info.trailers = (("h", "1"),), (("t", "2"),)
            if error is not None:
                raise error

    if error is None:
        attempt()
    else:
        with pytest.raises(type(error)):
            attempt()
    assert call.status is status
    assert (call.headers, call.trailers) == ((("h", "1"),), (("t", "2"),))
