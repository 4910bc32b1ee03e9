"""What errors say, and that they survive a copy."""

import copy
import pickle

import pytest

from signetrpc.rpc._status import StatusCode
from signetrpc.rpc.errors import DeadlineExceeded, RpcError, SchemaError, rpc_error


class NoAccount(RpcError):
    """A user's own error, whose constructor takes something else."""

    def __init__(self, account: int) -> None:
        super().__init__(StatusCode.NOT_FOUND, f"no account {account}")
        self.account = account


def test_text_has_status_and_message() -> None:
    error = RpcError(StatusCode.NOT_FOUND, "no account 42", trailers={"shard": "7"})
    assert str(error) == "NOT_FOUND: no account 42"
    assert repr(error) == "RpcError(NOT_FOUND, 'no account 42')"
    assert error.trailers == (("shard", "7"),)
    assert str(RpcError(StatusCode.ABORTED)) == "ABORTED"


def test_trailers_are_checked_and_not_shown() -> None:
    with pytest.raises(ValueError, match="reserved"):
        RpcError(StatusCode.ABORTED, trailers={"signet-x": "1"})
    error = RpcError(StatusCode.ABORTED, trailers={"token": "hunter2"})
    assert "hunter2" not in f"{error!r} {error}"


def test_ok_is_no_error() -> None:
    with pytest.raises(ValueError, match="OK is not an error"):
        RpcError(StatusCode.OK)


def test_deadline_is_a_timeout() -> None:
    error = DeadlineExceeded()
    assert isinstance(error, TimeoutError)
    assert str(error) == "DEADLINE_EXCEEDED: the deadline passed"
    assert error.errno is None


@pytest.mark.parametrize("status", [code for code in StatusCode if code])
def test_status_picks_the_class(status: StatusCode) -> None:
    error = rpc_error(status, "so it is", {"a": "b"})
    assert type(error) is (DeadlineExceeded if status == 4 else RpcError)
    assert (error.status, error.message) == (status, "so it is")
    assert error.trailers == (("a", "b"),)


@pytest.mark.parametrize(
    "error",
    [
        RpcError(StatusCode.DATA_LOSS, "gone", trailers={"k-bin": b"\0"}),
        DeadlineExceeded("late", trailers={"a": "b"}),
        NoAccount(42),
    ],
)
def test_copies_are_whole(error: RpcError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert (twin.args, twin.__dict__) == (error.args, error.__dict__)
        assert str(twin) == str(error)


def test_schema_error_has_a_hint() -> None:
    error = SchemaError("type X cannot travel", "use str")
    assert str(error) == "type X cannot travel (hint: use str)"
    assert str(SchemaError("no")) == "no"
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.message, twin.hint) == ("type X cannot travel", "use str")
