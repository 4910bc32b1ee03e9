"""Windows: what may be sent, and when there is room again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc._flow import (
    CONNECTION_WINDOW,
    ITEM_OVERHEAD,
    LINK_WINDOW,
    MOST_CREDIT,
    STREAM_WINDOW,
    ReceiveWindow,
    SendWindow,
)
from signetrpc.rpc._messages import PART_BYTES
from signetrpc.transport import RemoteProtocolError

LARGEST = PART_BYTES + ITEM_OVERHEAD


def test_the_numbers_of_the_wire() -> None:
    assert (STREAM_WINDOW, CONNECTION_WINDOW) == (256 << 10, 1 << 20)
    assert ITEM_OVERHEAD == 32 and MOST_CREDIT == 2**31 - 1
    # No message is longer than what triggers the next credit: nobody runs dry.
    assert LARGEST < STREAM_WINDOW // 2 <= CONNECTION_WINDOW // 2 < LINK_WINDOW


def test_credit_adds_up_to_a_limit() -> None:
    window = SendWindow(STREAM_WINDOW)
    window.grant(MOST_CREDIT - STREAM_WINDOW)
    assert window.left == MOST_CREDIT
    with pytest.raises(RemoteProtocolError, match="credit for 2147483648 bytes, limit"):
        window.grant(1)


def test_credit_may_be_more_than_a_window_began_with() -> None:
    window = SendWindow(10)
    window.left -= 15
    window.grant(100)
    assert window.left == 95


def test_the_last_message_may_overdraw_and_the_next_may_not() -> None:
    window = ReceiveWindow(100)
    window.arrived(99)
    window.arrived(50)
    assert window.left == -49
    with pytest.raises(RemoteProtocolError, match="7 bytes of a body without credit"):
        window.arrived(7)


def test_nothing_comes_on_an_empty_window() -> None:
    window = ReceiveWindow(100)
    window.arrived(100)
    with pytest.raises(RemoteProtocolError):
        window.arrived(1)


def test_credit_is_given_half_a_window_at_a_time() -> None:
    window = ReceiveWindow(100)
    window.arrived(100)
    assert window.released(49) == 0
    assert window.left == 0
    assert window.released(1) == 50
    assert window.left == 50
    assert window.released(49) == 0
    assert window.released(30) == 79
    assert window.left == 129


def test_what_was_overdrawn_comes_back_too() -> None:
    window = ReceiveWindow(100)
    window.arrived(1)
    window.arrived(164)
    assert window.released(1) == 0
    assert window.released(164) == 165
    assert window.left == 100


@given(
    st.sampled_from([STREAM_WINDOW, CONNECTION_WINDOW]),
    st.lists(
        st.integers(1, LARGEST) | st.sampled_from(["take", "take all", "credit"]),
        max_size=200,
    ),
)
def test_nothing_of_a_window_is_ever_lost(size: int, steps: list[int | str]) -> None:
    """A sender that keeps the rules is never refused, and gets all of it back."""
    sender, receiver = SendWindow(size), ReceiveWindow(size)
    waiting: list[int] = []
    credits: list[int] = []

    def take() -> None:
        if credit := receiver.released(waiting.pop(0)):
            credits.append(credit)

    for step in (*steps, "take all", "credit"):
        match step:
            case int() if sender.left > 0:
                sender.left -= step
                receiver.arrived(step)
                waiting.append(step)
            case "take" if waiting:
                take()
            case "take all":
                while waiting:
                    take()
            case "credit":
                while credits:
                    sender.grant(credits.pop(0))
            case _:
                pass
        assert sum(waiting) < size + LARGEST
        assert sender.left + sum(credits) == receiver.left
    # All is taken and told: less than half of it is not given back yet.
    assert size - size // 2 < sender.left == receiver.left <= size
