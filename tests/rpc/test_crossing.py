"""A relayed call: what caller and worker may say of it, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetrpc.rpc import StatusCode
from signetrpc.rpc._crossing import Crossing, WorkerMessage, counted
from signetrpc.rpc._flow import ITEM_OVERHEAD, MOST_CREDIT, STREAM_WINDOW
from signetrpc.rpc._messages import (
    PART_BYTES,
    Credit,
    End,
    Headers,
    Item,
    Message,
    Part,
    Reply,
    Status,
)
from signetrpc.rpc._schema import CallKind
from signetrpc.transport import RemoteProtocolError

UNARY, CLIENT, SERVER, BOTH = (
    CallKind.UNARY,
    CallKind.CLIENT_STREAM,
    CallKind.SERVER_STREAM,
    CallKind.BIDIRECTIONAL,
)
GIVING, TAKING = (SERVER, BOTH), (CLIENT, BOTH)
LIMIT = 1 << 20


def item(size: int = 1, *, more: bool = False) -> Item:
    return Item(1, more, bytes(size))


def part(size: int = 1, *, more: bool = False) -> Part:
    return Part(1, more, memoryview(bytes(size)))


def reply(size: int = 1, *, more: bool = False, trailers: object = None) -> Reply:
    return Reply(1, trailers, more, bytes(size))  # type: ignore[arg-type]  # pyright: ignore


def status(code: int, trailers: object = None) -> Status:
    return Status(1, code, "", trailers)  # type: ignore[arg-type]  # pyright: ignore


HEADERS = Headers(1, [("k", "v")])


def worker(crossing: Crossing, *messages: WorkerMessage) -> StatusCode | None:
    """Let a worker say messages; return how the last of them ended the call."""
    ended = None
    for message in messages:
        assert ended is None
        ended = crossing.of_worker(message, counted(message))
    return ended


def test_what_messages_count_as() -> None:
    sizes = [counted(each) for each in (item(5), part(5), reply(5), End(1), HEADERS)]
    assert sizes == [5 + ITEM_OVERHEAD, 5, 0, 0, 0]


# Callers.


@pytest.mark.parametrize("kind", [UNARY, SERVER])
@pytest.mark.parametrize("message", [item(), End(1)])
def test_a_stream_for_a_method_that_takes_none(
    kind: CallKind, message: Message
) -> None:
    with pytest.raises(RemoteProtocolError, match="for call 1 at the wrong moment"):
        Crossing(kind, LIMIT).of_caller(message)


@pytest.mark.parametrize(
    "messages",
    [
        [End(1), item()],
        [End(1), End(1)],
        [item(more=True), item()],
        [item(more=True), End(1)],
        [item(more=True), part(), part()],
        [item(), part()],
        [part()],
        [End(1), part()],
    ],
)
def test_a_callers_stream_has_an_order(messages: list[Message]) -> None:
    crossing = Crossing(CLIENT, LIMIT)
    for message in messages[:-1]:
        crossing.of_caller(message)
    with pytest.raises(RemoteProtocolError):
        crossing.of_caller(messages[-1])


@pytest.mark.parametrize("kind", CallKind)
def test_arguments_in_parts_come_first(kind: CallKind) -> None:
    crossing = Crossing(kind, LIMIT, more=True)
    for message in (item(), End(1)):
        with pytest.raises(RemoteProtocolError):
            crossing.of_caller(message)
    assert crossing.of_caller(part(5, more=True)) == 5
    assert crossing.of_caller(part(5)) == 5
    with pytest.raises(RemoteProtocolError, match="a part of nothing for 1"):
        crossing.of_caller(part())
    if kind.takes_items:
        assert crossing.of_caller(item(5)) == 5 + ITEM_OVERHEAD
        assert crossing.of_caller(End(1)) == 0


def test_a_caller_has_the_streams_window_and_what_the_worker_grants() -> None:
    crossing = Crossing(CLIENT, LIMIT)
    whole = item(PART_BYTES - ITEM_OVERHEAD)
    for _ in range(STREAM_WINDOW // PART_BYTES):
        crossing.of_caller(whole)
    with pytest.raises(RemoteProtocolError, match="without credit"):
        crossing.of_caller(item(0))
    worker(crossing, Credit(1, 1))
    crossing.of_caller(whole)
    with pytest.raises(RemoteProtocolError, match="without credit"):
        crossing.of_caller(item(0))


def test_a_callers_credit_has_a_limit() -> None:
    crossing = Crossing(SERVER, LIMIT)
    with pytest.raises(RemoteProtocolError, match="credit for"):
        crossing.of_caller(Credit(1, MOST_CREDIT))


# Workers.


@pytest.mark.parametrize("kind", [UNARY, CLIENT])
def test_one_reply_ends_a_call(kind: CallKind) -> None:
    assert worker(Crossing(kind, LIMIT), HEADERS, reply()) is StatusCode.OK
    whole = reply(more=True), part(more=True), part()
    assert worker(Crossing(kind, LIMIT), *whole) is StatusCode.OK


@pytest.mark.parametrize("kind", GIVING)
def test_a_status_ends_a_stream(kind: CallKind) -> None:
    items: list[WorkerMessage] = [item(), item(more=True), part()]
    assert worker(Crossing(kind, LIMIT), HEADERS, *items, status(0)) is StatusCode.OK
    assert worker(Crossing(kind, LIMIT), status(0)) is StatusCode.OK


@pytest.mark.parametrize("kind", CallKind)
@pytest.mark.parametrize("code", range(1, 17))
def test_an_error_ends_any_call(kind: CallKind, code: int) -> None:
    assert worker(Crossing(kind, LIMIT), status(code)) is StatusCode(code)


@pytest.mark.parametrize("kind", CallKind)
def test_an_error_can_come_in_the_middle_of_a_body(kind: CallKind) -> None:
    # As when the time runs out.
    half = item(more=True) if kind.gives_items else reply(more=True)
    assert worker(Crossing(kind, LIMIT), half, status(4)) is StatusCode(4)


BAD_PAIRS = [("Upper", "v")]


@pytest.mark.parametrize(
    ("kind", "messages", "says"),
    [
        (UNARY, [item()], "an item of call 1, of none"),
        (CLIENT, [item()], "an item of call 1, of none"),
        (SERVER, [reply()], "a reply to call 1, of none"),
        (BOTH, [reply()], "a reply to call 1, of none"),
        (UNARY, [status(0)], "status OK without a result"),
        (CLIENT, [status(0)], "status OK without a result"),
        (SERVER, [item(more=True), status(0)], "half an item of call 1"),
        (UNARY, [reply(more=True), status(0)], "status OK without a result"),
        (UNARY, [reply(more=True), reply()], "a reply to call 1, of none"),
        (SERVER, [item(more=True), item()], "an item of call 1, of none"),
        (UNARY, [part()], "a part of nothing"),
        (SERVER, [item(), part()], "a part of nothing"),
        (UNARY, [HEADERS, HEADERS], "headers of 1 come too late"),
        (SERVER, [item(), HEADERS], "headers of 1 come too late"),
        (UNARY, [reply(more=True), HEADERS], "headers of 1 come too late"),
        (UNARY, [Headers(1, BAD_PAIRS)], "malformed headers"),
        (UNARY, [reply(trailers=BAD_PAIRS)], "malformed trailers"),
        (UNARY, [status(5, BAD_PAIRS)], "malformed trailers"),
        (CLIENT, [Credit(1, 1)], "credit over the window of 1"),
    ],
)
def test_a_worker_that_breaks_the_rules(
    kind: CallKind, messages: list[WorkerMessage], says: str
) -> None:
    crossing = Crossing(kind, LIMIT)
    worker(crossing, *messages[:-1])
    with pytest.raises(RemoteProtocolError, match=says):
        worker(crossing, messages[-1])


def test_metadata_of_a_worker_has_the_servers_limit() -> None:
    pairs = [("k", "v" * 9)]
    for said in (Headers(1, pairs), reply(trailers=pairs), status(5, pairs)):
        worker(Crossing(UNARY, LIMIT, 10), said)
        with pytest.raises(RemoteProtocolError, match="10 bytes, limit 9"):
            worker(Crossing(UNARY, LIMIT, 9), said)


def test_bodies_of_a_worker_have_a_limit() -> None:
    first, last = reply(PART_BYTES, more=True), part(1)
    assert worker(Crossing(UNARY, PART_BYTES + 1), first, last) is StatusCode.OK
    crossing = Crossing(UNARY, PART_BYTES)
    worker(crossing, first)
    with pytest.raises(RemoteProtocolError, match="over 65536 bytes of call 1"):
        worker(crossing, last)


def test_each_item_has_it_by_itself() -> None:
    crossing = Crossing(SERVER, 10)
    assert worker(crossing, item(10), item(9, more=True), part(1), item(10)) is None
    with pytest.raises(RemoteProtocolError, match="over 10 bytes of call 1"):
        worker(crossing, item(11))


def test_a_worker_sends_what_the_caller_has_room_for() -> None:
    crossing = Crossing(SERVER, LIMIT)
    whole = item(PART_BYTES - ITEM_OVERHEAD)
    worker(crossing, *[whole] * (STREAM_WINDOW // PART_BYTES))
    with pytest.raises(RemoteProtocolError, match="32 bytes of call 1 without credit"):
        worker(crossing, item(0))
    crossing.of_caller(Credit(1, 1))
    worker(crossing, item(0))


messages = st.one_of(
    st.builds(item, st.sampled_from([0, 1, PART_BYTES]), more=st.booleans()),
    st.builds(part, st.sampled_from([0, 1, PART_BYTES]), more=st.booleans()),
    st.builds(reply, st.sampled_from([0, PART_BYTES]), more=st.booleans()),
    st.builds(status, st.integers(0, 16)),
    st.just(HEADERS),
    st.builds(Credit, st.just(1), st.sampled_from([1, STREAM_WINDOW, MOST_CREDIT])),
)


@given(st.sampled_from(CallKind), st.lists(messages, max_size=40))
def test_what_passes_is_a_call_as_a_client_knows_it(
    kind: CallKind, said: list[WorkerMessage]
) -> None:
    """A client that takes a call's messages by docs/wire.md can take all of these."""
    crossing = Crossing(kind, LIMIT)
    whole, credit, half = 0, STREAM_WINDOW, False
    for message in said:
        try:
            ended = worker(crossing, message)
        except RemoteProtocolError:
            return
        if size := counted(message):
            assert credit > 0
            credit -= size
        match message:
            case Item(more=more) | Reply(more=more):
                assert not half and isinstance(message, Item) == kind.gives_items
                half = more
                whole += not more
            case Part(more=more):
                assert half
                half = more
                whole += not more
            case Status(code=0):
                assert kind.gives_items and not half
            case _:
                pass
        assert kind.gives_items or (whole == 1) == (ended is StatusCode.OK)
        if ended is not None:
            return
