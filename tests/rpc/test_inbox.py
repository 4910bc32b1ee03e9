"""The receiving half of a stream: order, room, ends."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc import RpcError, StatusCode
from signetrpc.rpc._assembly import Budget
from signetrpc.rpc._flow import ITEM_OVERHEAD, STREAM_WINDOW
from signetrpc.rpc._inbox import Inbox
from signetrpc.rpc._messages import PART_BYTES
from signetrpc.transport import BusyError, RemoteProtocolError
from signetrpc.transport._loops import open_loop
from tests.support.stepping import StepLoop, StepTask, finished
from tests.support.turns import settle

LIMIT = 1 << 20
HALF = STREAM_WINDOW // 2
GONE = RpcError(StatusCode.UNAVAILABLE, "gone")


def ignored(credit: int) -> None:
    """Be where no credit is wanted."""


class Held:
    """An inbox and the credit that it gave."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.given: list[int] = []
        self.loop = StepLoop()
        self.inbox = Inbox(self.loop, self.given.append, limit, "item")

    def add(self, size: int, *, more: bool = False) -> None:
        """Let an ITEM come."""
        self.inbox.add(bytes(size), more)

    def parts(self, *sizes: int, more: bool = False) -> None:
        """Let PARTs come."""
        last = len(sizes) - 1
        for number, size in enumerate(sizes):
            self.inbox.add_part(bytes(size), more or number < last)

    def take(self) -> int:
        """Return the size of what is taken."""
        return len(finished(self.inbox.take()))


def test_messages_are_taken_in_their_order() -> None:
    held = Held()
    for body in (b"a", b"", b"c"):
        held.inbox.add(body, False)
    assert held.inbox.waiting
    assert [finished(held.inbox.take()) for _ in range(3)] == [b"a", b"", b"c"]
    assert not held.inbox.waiting


def test_parts_are_put_together() -> None:
    held = Held()
    held.inbox.add(b"ab", True)
    held.inbox.add_part(b"cd", True)
    assert not held.inbox.waiting
    held.inbox.add_part(memoryview(b"ef"), False)
    assert finished(held.inbox.take()) == b"abcdef"


def test_an_empty_item_needs_room_too() -> None:
    held = Held()
    for _ in range(STREAM_WINDOW // ITEM_OVERHEAD):
        held.add(0)
    with pytest.raises(RemoteProtocolError, match="32 bytes of a body without credit"):
        held.add(0)


def test_what_waits_is_bounded_by_the_window() -> None:
    held = Held()
    size = PART_BYTES - ITEM_OVERHEAD
    for _ in range(4):
        held.add(size)
    with pytest.raises(RemoteProtocolError, match="without credit"):
        held.add(0)


def test_room_is_given_when_half_is_taken() -> None:
    held = Held()
    for _ in range(4):
        held.add(PART_BYTES - ITEM_OVERHEAD)
    held.take()
    assert held.given == []
    held.take()
    assert held.given == [HALF]
    held.take()
    assert held.given == [HALF]


def test_a_message_longer_than_the_window_comes_when_nothing_else_waits() -> None:
    held = Held()
    held.add(PART_BYTES, more=True)
    for _ in range(10):
        held.parts(PART_BYTES, more=True)
    held.parts(5)
    # Its pieces were given back as they came, before anybody took it.
    assert sum(held.given) > STREAM_WINDOW
    assert held.take() == 11 * PART_BYTES + 5
    assert sum(held.given) <= 11 * PART_BYTES + 5 + ITEM_OVERHEAD


def test_a_long_message_waits_while_another_does() -> None:
    held = Held()
    held.add(10)
    held.add(PART_BYTES, more=True)
    held.parts(PART_BYTES, PART_BYTES, PART_BYTES, more=True)
    with pytest.raises(RemoteProtocolError, match="without credit"):
        held.parts(PART_BYTES, more=True)
    assert held.given == []


def test_taking_what_waited_lets_a_long_message_go_on() -> None:
    held = Held()
    held.add(10)
    held.add(PART_BYTES, more=True)
    held.parts(PART_BYTES, PART_BYTES, PART_BYTES, more=True)
    assert held.take() == 10
    assert held.given == [4 * PART_BYTES + 10 + 2 * ITEM_OVERHEAD]
    held.parts(PART_BYTES, 1)
    assert held.take() == 5 * PART_BYTES + 1


def test_a_message_over_the_limit_is_refused_before_it_is_whole() -> None:
    held = Held(limit=PART_BYTES + 10)
    held.add(PART_BYTES, more=True)
    with pytest.raises(RpcError) as caught:
        held.parts(11, more=True)
    assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.message == "item of 65547 bytes, limit 65546"


@pytest.mark.parametrize("more", [True, False])
def test_a_message_over_the_limit_is_refused_at_once(more: bool) -> None:
    held = Held(limit=10)
    assert not held.inbox.put(bytes(11))
    with pytest.raises(RpcError, match="item of 11 bytes, limit 10"):
        held.add(11, more=more)
    assert held.inbox.put(bytes(10))


def test_what_is_put_is_taken_like_any_other() -> None:
    held = Held()
    assert held.inbox.put(b"a")
    held.inbox.add(b"b", False)
    assert held.inbox.put(b"c")
    assert [held.inbox.pop() for _ in range(3)] == [b"a", b"b", b"c"]
    held.add(1, more=True)
    assert not held.inbox.put(b"d")
    held.parts(1)
    held.inbox.finish()
    assert not held.inbox.put(b"d")


def test_what_is_put_needs_credit_and_makes_room() -> None:
    held = Held()
    for _ in range(4):
        assert held.inbox.put(bytes(PART_BYTES - ITEM_OVERHEAD))
    with pytest.raises(RemoteProtocolError, match="without credit"):
        held.inbox.put(b"")
    for _ in range(2):
        held.inbox.pop()
    assert held.given == [HALF]


def test_a_message_of_the_limit_is_not() -> None:
    held = Held(limit=PART_BYTES + 10)
    held.add(PART_BYTES, more=True)
    held.parts(10)
    assert held.take() == PART_BYTES + 10


# The wrong moment.


def test_an_item_in_the_middle_of_another() -> None:
    held = Held()
    held.add(1, more=True)
    with pytest.raises(RemoteProtocolError, match="an item at the wrong moment"):
        held.add(1)


def test_an_item_after_the_end() -> None:
    held = Held()
    held.inbox.finish()
    with pytest.raises(RemoteProtocolError, match="an item at the wrong moment"):
        held.add(1)


@pytest.mark.parametrize("before", [0, 1])
def test_a_part_of_nothing(before: int) -> None:
    held = Held()
    for _ in range(before):
        held.add(1)
    with pytest.raises(RemoteProtocolError, match="a part of no item"):
        held.parts(1)


def test_a_part_after_the_last() -> None:
    held = Held()
    held.add(1, more=True)
    held.parts(1)
    with pytest.raises(RemoteProtocolError, match="a part of no item"):
        held.parts(1)


def test_an_end_in_the_middle() -> None:
    held = Held()
    held.add(1, more=True)
    with pytest.raises(RemoteProtocolError, match="end of a stream at the wrong"):
        held.inbox.finish()


def test_an_end_after_the_end() -> None:
    held = Held()
    held.inbox.finish()
    with pytest.raises(RemoteProtocolError, match="end of a stream at the wrong"):
        held.inbox.finish()


# Ends.


def test_what_is_here_comes_before_the_end() -> None:
    held = Held()
    held.add(1)
    held.inbox.finish()
    assert held.take() == 1
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            held.take()


def test_what_is_here_comes_before_an_error_that_cuts() -> None:
    held = Held()
    held.add(1)
    held.add(7, more=True)
    held.inbox.cut(lambda: GONE)
    assert held.take() == 1
    for _ in range(2):
        with pytest.raises(RpcError, match="gone"):
            held.take()


def test_a_failure_drops_what_is_here() -> None:
    held = Held()
    held.add(1)
    held.inbox.fail(lambda: GONE)
    with pytest.raises(RpcError, match="gone"):
        held.take()


def test_arguments_are_counted_and_given_back_at_once() -> None:
    held = Held()
    for _ in range(20):
        held.inbox.count(PART_BYTES)
    assert held.given == [HALF] * 10


def test_a_reply_needs_no_credit() -> None:
    held = Held()
    for _ in range(STREAM_WINDOW // ITEM_OVERHEAD):
        held.add(0)
    held.inbox.add(b"reply", False, counted=False)


# Waiting.


@pytest.mark.anyio
async def test_who_takes_waits_and_is_alone() -> None:
    async with open_loop() as loop:
        inbox = Inbox(loop, ignored, LIMIT, "item")
        taken: list[bytes] = []

        async def take() -> None:
            taken.append(await inbox.take())

        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await settle()
            assert taken == []
            with pytest.raises(BusyError, match="another task reads this stream"):
                await inbox.take()
            inbox.add(b"a", False)
            inbox.add(b"b", False)
        assert taken == [b"a"]
        assert await inbox.take() == b"b"


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["finish", "cut", "fail"])
async def test_every_end_wakes_who_waits(end: str) -> None:
    async with open_loop() as loop:
        inbox = Inbox(loop, ignored, LIMIT, "item")
        ended: list[Exception] = []

        async def take() -> None:
            try:
                await inbox.take()
            except (RpcError, StopAsyncIteration) as error:
                ended.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await settle()
            match end:
                case "finish":
                    inbox.finish()
                case "cut":
                    inbox.cut(lambda: GONE)
                case _:
                    inbox.fail(lambda: GONE)
        assert [type(error) for error in ended] == [
            StopAsyncIteration if end == "finish" else RpcError
        ]


@pytest.mark.anyio
async def test_nothing_is_lost_when_who_waits_is_cancelled() -> None:
    async with open_loop() as loop:
        inbox = Inbox(loop, ignored, LIMIT, "item")
        async with anyio.create_task_group() as group:
            group.start_soon(inbox.take)
            await settle()
            # Woken and cancelled in one turn.
            inbox.add(b"a", False)
            group.cancel_scope.cancel()
        inbox.add(b"b", False)
        taken = [await inbox.take()]
        if taken == [b"a"]:  # else the task had it before it was cancelled
            taken.append(await inbox.take())
        assert taken[-1] == b"b"
        assert not inbox.waiting


# Room.


@given(
    st.lists(
        st.integers(0, 3 * PART_BYTES)
        | st.just(4 * STREAM_WINDOW)
        | st.sampled_from(["take"] * 4),
        max_size=60,
    )
)
def test_no_room_is_lost_and_nobody_waits_for_ever(steps: list[int | str]) -> None:
    """Sent by the rules, all of it comes; taken, all of it is given back."""
    held = Held(limit=8 * STREAM_WINDOW)
    window, sent, taken, cost = STREAM_WINDOW, 0, 0, 0
    pieces: list[tuple[int, bool, bool]] = []
    for step in (*steps, *["take"] * 200):
        if isinstance(step, int):
            sent += 1
            sizes = [PART_BYTES] * (step // PART_BYTES) + [step % PART_BYTES]
            pieces += [
                (size, number == 0, number < len(sizes) - 1)
                for number, size in enumerate(sizes)
            ]
        while pieces and window > 0:
            size, first, more = pieces.pop(0)
            counts = size + ITEM_OVERHEAD if first else size
            window -= counts
            cost += counts
            if first:
                held.add(size, more=more)
            else:
                held.parts(size, more=more)
            window += sum(held.given)
            held.given.clear()
        if step == "take" and held.inbox.waiting:
            held.take()
            taken += 1
            window += sum(held.given)
            held.given.clear()
    assert taken == sent and pieces == []
    assert STREAM_WINDOW - HALF < window <= STREAM_WINDOW


def test_a_task_that_waits_is_woken_once() -> None:
    held = Held()
    task = StepTask(held.inbox.take())
    task.step()
    assert not task.ready
    held.add(1)
    held.add(1)
    assert task.ready


def test_what_is_held_beyond_the_windows_is_bounded_for_all_calls_together() -> None:
    loop, budget = StepLoop(), Budget(PART_BYTES)  # for sixteen of such messages
    inboxes = [Inbox(loop, ignored, LIMIT, "item", budget) for _ in range(17)]
    for inbox in inboxes[:15]:
        inbox.add(bytes(PART_BYTES), True)
    assert budget.used == 15 * (PART_BYTES + ITEM_OVERHEAD)
    with pytest.raises(RpcError, match="half-received items of") as caught:
        inboxes[15].add(bytes(PART_BYTES), True)
    assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
    # Taken, failed or cut short, they give their room back.
    inboxes[0].add_part(b"x", False)
    assert len(finished(inboxes[0].take())) == PART_BYTES + 1
    inboxes[1].fail(lambda: GONE)
    inboxes[2].cut(lambda: GONE)
    inboxes[15].fail(lambda: GONE)
    assert budget.used == 12 * (PART_BYTES + ITEM_OVERHEAD)
    inboxes[16].add(bytes(PART_BYTES), True)
    for inbox in inboxes:
        inbox.fail(lambda: GONE)
    assert budget.used == 0


def test_a_message_behind_another_counts_from_when_it_is_the_next() -> None:
    budget = Budget(PART_BYTES)
    inbox = Inbox(StepLoop(), ignored, LIMIT, "item", budget)
    inbox.add(b"first", False)
    inbox.add(bytes(PART_BYTES), True)
    assert budget.used == 0
    assert finished(inbox.take()) == b"first"
    assert budget.used == PART_BYTES + ITEM_OVERHEAD
    inbox.add_part(b"x", False)
    assert len(finished(inbox.take())) == PART_BYTES + 1
    assert budget.used == 0
