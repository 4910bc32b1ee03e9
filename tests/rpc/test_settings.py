"""Numbers that would let no call through are refused where they are given."""

from typing import Any

import pytest

from signetrpc.rpc import ConnectFailed, Server, connect, connect_blocking
from signetrpc.rpc._settings import checked_positive
from signetrpc.rpc.testing import channel_for
from tests.support.kinds import Numbers
from tests.support.negotiation import ALICE

NOWHERE = "tcp://127.0.0.1:1"


def test_over_zero() -> None:
    checked_positive(one=1, half=0.5, ever=float("inf"))
    for value in (0, -1, -0.0, float("nan")):
        with pytest.raises(ValueError, match=f"this is {value}; it must be over 0"):
            checked_positive(good=1, this=value)


@pytest.mark.parametrize("name", ["max_body_bytes", "max_calls", "max_threads"])
def test_of_a_server(name: str) -> None:
    options: Any = {name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0; it must be over 0"):
        Server([Numbers], **options)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["max_body_bytes", "default_timeout"])
async def test_of_a_channel(name: str) -> None:
    options: Any = {name: -1}
    with pytest.raises(ValueError, match=f"{name} is -1; it must be over 0"):
        async with connect(NOWHERE, credentials=ALICE, **options):
            raise AssertionError("connected")
    with pytest.raises(ValueError, match=f"{name} is -1; it must be over 0"):
        async with channel_for(Numbers, **options):
            raise AssertionError("connected")


def test_of_a_blocking_channel() -> None:
    with (
        pytest.raises(ValueError, match="default_timeout is 0"),
        connect_blocking(NOWHERE, credentials=ALICE, default_timeout=0),
    ):
        raise AssertionError("connected")
    with (
        pytest.raises(ConnectFailed),
        connect_blocking(NOWHERE, credentials=ALICE, default_timeout=1),
    ):
        raise AssertionError("connected")


def test_one_service_is_given_as_a_list_too() -> None:
    given: Any = Numbers
    with pytest.raises(TypeError, match=r"write Server\(\[Numbers\]"):
        Server(given)
