"""The error tree: what its docstring draws is what it is."""

import re

import pytest

from signetrpc.transport import errors
from signetrpc.transport.errors import (
    AuthenticationFailed,
    ConnectionClosed,
    FailureReason,
    FrameTooLarge,
    HandshakeTimeout,
    IntegrityError,
    RemoteProtocolError,
    TransportError,
)


def _drawn() -> dict[str, str]:
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ |]+)(\+- )?([A-Z]\w+)( {2,}|$)", line)
        if found is None:
            continue
        depth, name = len(found[1]), found[3]
        above = [entry for entry in above if entry[0] < depth]
        if above:
            parents[name] = above[-1][1]
        above.append((depth, name))
    return parents


def test_the_docstring_draws_the_tree() -> None:
    classes = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, TransportError)
    ]
    assert _drawn() == {
        kind.__name__: kind.__bases__[0].__name__
        for kind in classes
        if kind is not TransportError
    }


def test_every_public_class_is_exported() -> None:
    public = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    }
    assert set(errors.__all__) == public


def test_messages_name_the_fact_and_the_limit() -> None:
    error = FrameTooLarge("frame", size=70000, limit=65536)
    assert str(error) == "frame of 70000 bytes, limit 65536"
    assert (error.size, error.limit) == (70000, 65536)


@pytest.mark.parametrize("clean", [True, False])
def test_a_closed_connection_says_how(clean: bool) -> None:
    error = ConnectionClosed("the stream ended", clean=clean)
    assert (str(error), error.cause, error.clean) == (
        "the stream ended",
        "the stream ended",
        clean,
    )


def test_authentication_failures_keep_their_reason() -> None:
    error = AuthenticationFailed("no", reason=FailureReason.EXPIRED)
    assert error.reason is FailureReason.EXPIRED


def test_they_are_caught_as_what_people_expect() -> None:
    with pytest.raises(TimeoutError):
        raise HandshakeTimeout("late")
    with pytest.raises(RemoteProtocolError):
        raise IntegrityError("changed")
