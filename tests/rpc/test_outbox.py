"""The sending half of a stream: pieces, credit, levels, ends."""

import pytest

from signetrpc.rpc import Protection, RpcError, StatusCode
from signetrpc.rpc._flow import ITEM_OVERHEAD, SLOW_PIECE_BYTES, STREAM_WINDOW
from signetrpc.rpc._messages import PART_BYTES, Item, Part
from signetrpc.transport import (
    BusyError,
    FrameTooLarge,
    InsufficientProtection,
    RemoteProtocolError,
)
from tests.support.outlet import GONE, PLENTY, TURN, Held
from tests.support.stepping import finished

SIGN, SEAL = Protection.SIGN, Protection.SEAL


def test_an_item_goes_at_once() -> None:
    held = Held()
    assert not held.outbox.begun
    finished(held.outbox.send(b"abc"))
    assert held.outbox.begun
    assert held.outlet.sent == [(Item(7, False, b"abc"), SIGN, 3 + ITEM_OVERHEAD)]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES])
def test_what_fits_a_message_is_one(size: int) -> None:
    held = Held()
    finished(held.outbox.send(bytes(size)))
    (message, _, counted), *rest = held.outlet.sent
    assert rest == [] and counted == size + ITEM_OVERHEAD
    assert isinstance(message, Item) and not message.more


def test_what_does_not_goes_in_parts() -> None:
    held = Held()
    body = bytes(range(256)) * 600
    finished(held.outbox.send(body))
    first, *rest = [message for message, _, _ in held.outlet.sent]
    assert isinstance(first, Item) and first.more
    assert [part.more for part in rest if isinstance(part, Part)] == [True, False]
    assert held.outlet.bodies() == body
    assert held.outlet.counted == len(body) + ITEM_OVERHEAD
    assert not held.outbox.midway


def test_two_whole_parts_have_no_empty_one_after_them() -> None:
    held = Held()
    finished(held.outbox.send(bytes(2 * PART_BYTES)))
    assert len(held.outlet.sent) == 2


def test_where_sealing_takes_long_pieces_are_shorter_and_one_is_a_turn() -> None:
    held = Held(piece_bytes=SLOW_PIECE_BYTES)
    body = bytes(range(250)) * 200
    long_ones: list[int] = []

    async def send() -> None:
        await held.outbox.send(body)
        await held.outbox.send_rest(body)

    task = held.outlet.steps.spawn(send())
    while not task.over:
        before = len(held.outlet.sent)
        held.outlet.steps.turn()
        sizes = [size for _, _, size in held.outlet.sent[before:]]
        long_ones.append(sum(size >= SLOW_PIECE_BYTES for size in sizes))
    assert max(long_ones) == 1
    assert len(held.outlet.sent) == 5 + 4
    assert held.outlet.bodies() == body + body[SLOW_PIECE_BYTES:]


def test_there_short_messages_still_share_a_turn() -> None:
    held = Held(piece_bytes=SLOW_PIECE_BYTES)
    assert not held.outbox.send_now(bytes(SLOW_PIECE_BYTES + 1))
    for _ in range(TURN):
        assert held.outbox.send_now(b"x")
    assert not held.outbox.send_now(b"x")


def test_the_rest_of_what_another_message_began() -> None:
    held = Held()
    body = bytes(range(256)) * 600
    finished(held.outbox.send_rest(body))
    assert held.outlet.bodies() == body[PART_BYTES:]
    assert all(isinstance(message, Part) for message, _, _ in held.outlet.sent)


# Levels.


@pytest.mark.parametrize(
    ("own", "asked", "sent"),
    [
        (SIGN, None, SIGN),
        (SIGN, SEAL, SEAL),
        (SIGN, Protection.NONE, SIGN),
        (SEAL, SIGN, SEAL),
    ],
)
def test_an_item_is_raised_and_never_lowered(
    own: Protection, asked: Protection | None, sent: Protection
) -> None:
    held = Held(own)
    finished(held.outbox.send(b"x", asked))
    finished(held.outbox.send(bytes(2 * PART_BYTES), asked))
    assert [level for _, level, _ in held.outlet.sent] == [sent] * 3
    held.outlet.sent.clear()
    finished(held.outbox.send(b"x"))
    assert [level for _, level, _ in held.outlet.sent] == [own]


# Credit.


def test_a_sender_waits_for_credit() -> None:
    held = Held()
    held.fill()
    task = held.sending(5)
    assert not task.over and held.outlet.counted == STREAM_WINDOW
    held.outbox.grant(1)
    held.outlet.steps.run()
    assert task.over and held.outlet.counted == STREAM_WINDOW + 5 + ITEM_OVERHEAD
    # That overdrew: so much has to come back before the next.
    task = held.sending(0)
    held.outbox.grant(4 + ITEM_OVERHEAD)
    held.outlet.steps.run()
    assert not task.over
    held.outbox.grant(1)
    held.outlet.steps.run()
    assert task.over


def test_a_long_item_goes_as_far_as_there_is_credit() -> None:
    held = Held()
    task = held.sending(10 * PART_BYTES)
    assert len(held.outlet.sent) == 4 and held.outbox.midway
    held.outbox.grant(ITEM_OVERHEAD)  # by so much it was overdrawn
    for _ in range(6):
        assert not task.over
        held.outbox.grant(PART_BYTES)
        held.outlet.steps.run()
    assert task.over and not held.outbox.midway
    assert len(held.outlet.bodies()) == 10 * PART_BYTES


def test_credit_over_the_limit_is_the_peers_fault() -> None:
    held = Held()
    with pytest.raises(RemoteProtocolError, match="credit for"):
        held.outbox.grant((1 << 31) - 1)


def test_a_sender_waits_for_the_connection_too() -> None:
    held = Held()
    held.outlet.room = 0
    task = held.sending(5)
    assert not task.over and held.outlet.sent == []
    held.outlet.make_room()
    held.outlet.steps.run()
    assert task.over and len(held.outlet.sent) == 1


def test_who_is_woken_and_finds_no_room_waits_again() -> None:
    held = Held()
    held.outlet.room = 0
    task = held.sending(5)
    held.outlet.waiters[0].set_result(None)
    held.outlet.steps.run()
    assert not task.over
    # At its old place in the queue, which it leaves when it is done.
    assert held.outlet.tickets == [None, 1] and held.outlet.passed == 0
    held.outlet.make_room()
    held.outlet.steps.run()
    assert task.over and held.outlet.passed == 1


def test_a_long_item_keeps_its_place_in_the_queue_to_its_end() -> None:
    held = Held()
    held.outlet.room = 0
    task = held.sending(3 * PART_BYTES)
    for _ in range(3):
        assert not task.over and held.outlet.passed == 0
        held.outlet.make_room(1)
        held.outlet.steps.run()
    assert task.over and held.outlet.passed == 1
    assert held.outlet.tickets == [None, 1, 1]


@pytest.mark.parametrize("size", [1, 3 * PART_BYTES])
def test_who_is_cancelled_leaves_the_queue(size: int) -> None:
    held = Held()
    held.outlet.room = 0
    held.sending(size).cancel()
    held.outlet.steps.run()
    assert held.outlet.passed == 1


def test_who_has_no_credit_of_its_own_leaves_the_queue() -> None:
    held = Held()
    held.outlet.room = 0
    held.sending(10 * PART_BYTES)
    held.outlet.make_room()
    held.outlet.steps.run()
    assert len(held.outlet.sent) == 4
    assert held.outlet.passed == 1


def test_a_busy_sender_lets_others_have_their_turn() -> None:
    held = Held()

    async def many() -> None:
        for _ in range(520):
            await held.outbox.send(b"")

    held.outlet.steps.spawn(many())
    (task,) = held.outlet.steps.tasks
    task.step()
    assert len(held.outlet.sent) == TURN
    held.outlet.steps.run()
    assert len(held.outlet.sent) == 520


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (
            FrameTooLarge("message", size=2000, limit=1024),
            StatusCode.RESOURCE_EXHAUSTED,
        ),
        (InsufficientProtection("no seal here"), StatusCode.FAILED_PRECONDITION),
    ],
)
@pytest.mark.parametrize("size", [5, 2 * PART_BYTES])
def test_what_cannot_be_sent_costs_no_credit(
    refusal: Exception, status: StatusCode, size: int
) -> None:
    held = Held()
    held.outlet.refusal = refusal
    for _ in range(10):
        with pytest.raises(RpcError) as caught:
            finished(held.outbox.send(bytes(size)))
        assert caught.value.status is status
    assert not held.outbox.midway
    held.outlet.refusal = None
    held.fill()
    assert held.outlet.counted == STREAM_WINDOW


# At once or not at all.


def test_what_waits_for_nothing_is_sent_at_once() -> None:
    held = Held()
    assert held.outbox.send_now(b"abc")
    assert held.outbox.send_now(b"", SEAL)
    assert held.outlet.sent == [
        (Item(7, False, b"abc"), SIGN, 3 + ITEM_OVERHEAD),
        (Item(7, False, b""), SEAL, ITEM_OVERHEAD),
    ]


@pytest.mark.parametrize("why", ["long", "credit", "room", "ended", "busy", "turn"])
def test_what_has_to_wait_is_not_sent_at_once(why: str) -> None:
    held = Held()
    match why:
        case "credit":
            held.fill()
        case "room":
            held.outlet.room = 0
        case "ended":
            held.outbox.close(lambda: GONE)
        case "busy":
            held.outlet.room = 0
            held.sending(5)
            held.outlet.room = PLENTY
        case "turn":
            while held.outbox.send_now(b""):
                pass
            assert len(held.outlet.sent) == TURN
        case _:
            pass
    before = len(held.outlet.sent)
    assert not held.outbox.send_now(bytes(PART_BYTES + 1) if why == "long" else b"x")
    assert len(held.outlet.sent) == before


def test_what_cannot_be_sent_at_once_is_refused_at_once() -> None:
    held = Held()
    held.outlet.refusal = FrameTooLarge("message", size=2000, limit=1024)
    with pytest.raises(RpcError, match="limit 1024"):
        held.outbox.send_now(b"x")


# Ends.


def test_nothing_is_sent_after_the_end() -> None:
    held = Held()
    held.outbox.close(lambda: GONE)
    for size in (0, 2 * PART_BYTES):
        with pytest.raises(RpcError, match="gone"):
            finished(held.outbox.send(bytes(size)))
    assert held.outlet.sent == []


@pytest.mark.parametrize("room", [True, False])
def test_the_end_wakes_who_waits(room: bool) -> None:
    held = Held()
    if room:
        held.fill()
    else:
        held.outlet.room = 0
    ended: list[str] = []

    async def send() -> None:
        try:
            await held.outbox.send(b"x")
        except RpcError as error:
            ended.append(str(error))

    held.outlet.steps.spawn(send())
    held.outlet.steps.run()
    assert ended == []
    held.outbox.close(lambda: GONE)
    held.outlet.steps.run()
    assert ended == ["UNAVAILABLE: gone"]


def test_one_sender_at_a_time() -> None:
    held = Held()
    held.fill()
    task = held.sending(1)
    with pytest.raises(BusyError, match="another task sends on this stream"):
        finished(held.outbox.send(b"x"))
    with pytest.raises(BusyError):
        held.outbox.check_idle()
    held.outbox.grant(STREAM_WINDOW)
    held.outlet.steps.run()
    assert task.over
    held.outbox.check_idle()
    finished(held.outbox.send(b"x"))


def test_a_cancelled_sender_leaves_its_place() -> None:
    held = Held()
    held.fill()
    held.sending(1).cancel()
    held.outlet.steps.run()
    assert not held.outbox.midway
    held.outbox.grant(STREAM_WINDOW)
    finished(held.outbox.send(b"x"))
    assert len(held.outlet.sent) == 5


def test_half_a_message_is_known_for_ever() -> None:
    held = Held()
    task = held.sending(10 * PART_BYTES)
    task.cancel()
    held.outlet.steps.run()
    assert held.outbox.midway
