"""Streams of the blocking channel: from threads, with the loop behind them."""

import gc
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from signetrpc.rpc import (
    BlockingChannel,
    DeadlineExceeded,
    Protection,
    RpcError,
    Server,
    StatusCode,
    connect_blocking,
    raised,
)
from tests.rpc.blocked_service import (
    COUNT,
    DEAF,
    ECHO,
    FIRST,
    REFUSE,
    TOTAL,
    WAIT,
    Nothing,
    Streams,
    Upto,
)
from tests.support.negotiation import ALICE, account_file

SECONDS = 10
"""What never comes does not hang the tests."""


@pytest.fixture
def streams() -> Streams:
    return Streams()


@pytest.fixture
def address(streams: Streams, tmp_path: Path) -> Generator[str]:
    server = Server([streams], accept=[account_file(tmp_path)])
    with start_blocking_portal("asyncio") as portal:
        serving, where = portal.start_task(server.serve, "tcp://127.0.0.1:0")
        yield str(where)
        serving.cancel()


@pytest.fixture
def channel(address: str) -> Generator[BlockingChannel]:
    with connect_blocking(address, credentials=ALICE) as channel:
        yield channel


def test_a_server_stream(channel: BlockingChannel) -> None:
    with channel.server_stream(COUNT, Upto(5000)) as numbers:
        assert numbers.headers() == (("first", "yes"),)
        assert list(numbers) == list(range(5000))
        assert list(numbers) == []
        assert numbers.trailers == (("last", "yes"),)
    assert list(channel.server_stream(COUNT, Upto(0))) == []


def test_what_came_before_an_error_is_had_first(channel: BlockingChannel) -> None:
    numbers = channel.server_stream(COUNT, Upto(13))
    got: list[int] = []
    with pytest.raises(RpcError, match="not thirteen"):
        got.extend(numbers)
    with pytest.raises(RpcError, match="not thirteen") as caught:
        next(numbers)
    assert caught.value.status is StatusCode.OUT_OF_RANGE
    numbers = channel.server_stream(COUNT, Upto(13))
    assert [next(numbers) for _ in range(13)] == list(range(13))


def test_each_item_goes_to_one_thread(channel: BlockingChannel) -> None:
    numbers = channel.server_stream(COUNT, Upto(4000))
    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(list[int], numbers) for _ in range(4)]
        parts = [each.result(SECONDS) for each in reading]
    assert sorted(number for part in parts for number in part) == list(range(4000))
    for part in parts:
        assert part == sorted(part)


def test_many_threads_stream_side_by_side(channel: BlockingChannel) -> None:
    def one(end: int) -> bool:
        numbers = list(channel.server_stream(COUNT, Upto(end)))
        total = channel.client_stream(TOTAL, Nothing(), numbers)
        return numbers == list(range(end)) and total == sum(numbers)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(100, 132)))


def test_leaving_the_block_cancels(channel: BlockingChannel, streams: Streams) -> None:
    with channel.server_stream(WAIT, Nothing()) as numbers:
        assert next(numbers) == 0
    assert streams.cancelled.wait(SECONDS)
    with pytest.raises(RpcError, match="cancelled") as caught:
        next(numbers)
    assert caught.value.status is StatusCode.CANCELLED


def test_what_nobody_holds_is_cancelled(
    channel: BlockingChannel, streams: Streams
) -> None:
    numbers = channel.server_stream(WAIT, Nothing())
    assert next(numbers) == 0
    del numbers
    gc.collect()
    assert streams.cancelled.wait(SECONDS)


def test_another_thread_cancels(channel: BlockingChannel, streams: Streams) -> None:
    numbers = channel.server_stream(WAIT, Nothing())
    assert next(numbers) == 0
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, numbers)
        numbers.cancel()
        error = waiting.exception(SECONDS)
    assert isinstance(error, RpcError)
    assert error.status is StatusCode.CANCELLED
    assert streams.cancelled.wait(SECONDS)


def test_a_stream_that_cannot_begin(channel: BlockingChannel) -> None:
    with pytest.raises(ValueError, match="other characters"):
        next(channel.server_stream(COUNT, Upto(1), metadata={"K": "v"}))
    with pytest.raises(ValueError, match="other characters"):
        with channel.server_stream(COUNT, Upto(1), metadata={"K": "v"}):
            raise AssertionError
    what: Any = object()
    with pytest.raises(RpcError, match='argument "end"'):
        channel.server_stream(COUNT, Upto(what)).headers()


def test_a_deadline_ends_a_stream(channel: BlockingChannel) -> None:
    with pytest.raises(DeadlineExceeded):
        list(channel.server_stream(WAIT, Nothing(), timeout=0.05))


def test_a_client_stream(channel: BlockingChannel) -> None:
    assert channel.client_stream(TOTAL, Nothing(), range(5000)) == sum(range(5000))
    assert channel.client_stream(TOTAL, Nothing(), []) == 0
    items = (raised(number, Protection.SEAL) for number in range(3))
    assert channel.client_stream(TOTAL, Nothing(), items) == 3


def test_an_answer_does_not_wait_for_the_items(channel: BlockingChannel) -> None:
    go = threading.Event()

    def endless() -> Iterator[int]:
        yield 7
        assert go.wait(SECONDS)
        raise AssertionError("nobody hears of this")

    assert channel.client_stream(FIRST, Nothing(), endless()) == 7
    with pytest.raises(RpcError, match="not now"):
        channel.client_stream(REFUSE, Nothing(), endless())
    with pytest.raises(DeadlineExceeded):
        channel.client_stream(TOTAL, Nothing(), endless(), timeout=0.05)
    go.set()


def test_items_that_fail(channel: BlockingChannel) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        channel.client_stream(TOTAL, Nothing(), failing())
    wrong: Any = [1, object()]
    with pytest.raises(RpcError, match="item: .*object") as caught:
        channel.client_stream(TOTAL, Nothing(), wrong)
    assert caught.value.status is StatusCode.INVALID_ARGUMENT

    def texts() -> Iterator[str]:
        yield "a"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(channel.bidirectional(ECHO, Nothing(), texts()))


def test_talking(channel: BlockingChannel) -> None:
    with channel.bidirectional(ECHO, Nothing()) as talk:
        for text in ("a", "b"):
            talk.send(text)
            assert next(talk) == f"{text}!"
        talk.send("c", protection=Protection.SEAL)
        wrong: Any = object()
        with pytest.raises(RpcError, match="item: .*object"):
            talk.send(wrong)
        talk.end()
        talk.end()
        assert list(talk) == ["c!"]
        with pytest.raises(RpcError, match="answered before"):
            talk.send("d")


def test_nothing_is_sent_after_the_end(channel: BlockingChannel) -> None:
    with channel.bidirectional(DEAF, Nothing()) as talk:
        assert next(talk) == "go"
        talk.end()
        with pytest.raises(RpcError, match="sending has ended"):
            talk.send(b"")


def test_items_that_are_given(channel: BlockingChannel) -> None:
    texts = [str(number) for number in range(3000)]
    with channel.bidirectional(ECHO, Nothing(), iter(texts)) as talk:
        assert list(talk) == [f"{text}!" for text in texts]


def test_one_thread_sends_and_another_reads(channel: BlockingChannel) -> None:
    texts = [str(number) for number in range(3000)]
    with (
        channel.bidirectional(ECHO, Nothing()) as talk,
        ThreadPoolExecutor(1) as pool,
    ):
        reading = pool.submit(list[str], talk)
        for text in texts:
            talk.send(text)
        talk.end()
        assert reading.result(SECONDS) == [f"{text}!" for text in texts]


def test_who_waits_to_send_learns_that_the_call_is_over(
    channel: BlockingChannel, streams: Streams
) -> None:
    """The server takes nothing, so sending comes to a halt, until the call ends."""
    with ThreadPoolExecutor(1) as pool:
        sent = 0
        talk = channel.bidirectional(DEAF, Nothing(), timeout=0.3)

        def send() -> None:
            nonlocal sent
            while True:
                talk.send(bytes(1 << 16))
                sent += 1

        error = pool.submit(send).exception(SECONDS)
    assert isinstance(error, DeadlineExceeded)
    # The windows of the call and of what waits to cross: no more is held.
    assert sent * (1 << 16) <= 1 << 20
    assert streams.cancelled.wait(SECONDS)
    assert next(talk) == "go"
    with pytest.raises(DeadlineExceeded):
        next(talk)


def test_a_slow_reader_stops_the_server(channel: BlockingChannel) -> None:
    numbers = channel.server_stream(COUNT, Upto(1_000_000))
    assert next(numbers) == 0
    assert list(channel.server_stream(COUNT, Upto(100))) == list(range(100))
    assert next(numbers) == 1
    numbers.cancel()


def test_closing_the_channel_ends_its_streams(address: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        with connect_blocking(address, credentials=ALICE) as channel:
            numbers = channel.server_stream(WAIT, Nothing())
            talk = channel.bidirectional(DEAF, Nothing())
            assert next(numbers) == 0
            assert next(talk) == "go"
            waiting = pool.submit(next, numbers)
        error = waiting.exception(SECONDS)
    assert isinstance(error, RpcError)
    assert error.status in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)
    with pytest.raises(RpcError):
        talk.send(b"")
    talk.end()
    talk.cancel()
    with pytest.raises(RpcError, match="the channel is closed"):
        channel.server_stream(WAIT, Nothing())
    with pytest.raises(RpcError, match="the channel is closed"):
        channel.client_stream(TOTAL, Nothing(), [1])


@pytest.mark.parametrize("blocked_in", ["next", "send"])
def test_an_interrupt_cancels_the_call(
    channel: BlockingChannel,
    streams: Streams,
    monkeypatch: pytest.MonkeyPatch,
    blocked_in: str,
) -> None:
    talk = channel.bidirectional(DEAF, Nothing())
    assert next(talk) == "go"
    wait = threading.Condition.wait
    calls = iter([True])

    def interrupted(condition: threading.Condition, timeout: Any = None) -> bool:
        mine = threading.current_thread() is threading.main_thread()
        if mine and next(calls, False):
            raise KeyboardInterrupt
        return wait(condition, timeout)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Condition, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            while blocked_in == "send":
                talk.send(bytes(1 << 16))
            next(talk)
    assert streams.cancelled.wait(SECONDS)
