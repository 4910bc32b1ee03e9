"""The blocking channel: threads in front of it, one event loop behind."""

import threading
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anyio.from_thread import start_blocking_portal

from signetrpc.rpc import (
    BlockingChannel,
    ConnectivityState,
    DeadlineExceeded,
    Protection,
    RpcError,
    Server,
    StatusCode,
    UnaryMethod,
    connect_blocking,
    current_call,
    method,
    service,
)
from signetrpc.transport import ConnectFailed, Mechanism
from tests.support.negotiation import ALICE, account_file


@service("test.Blocked")
class Blocked:
    """Answers when told to."""

    def __init__(self) -> None:
        self.calls = threading.Semaphore(0)
        self.go = threading.Event()

    @method(Protection.SIGN, inline=True)
    def echo(self, text: str) -> str:
        return f"{text} {current_call().metadata} {current_call().protection.name}"

    @method(Protection.SIGN)
    def wait(self, text: str) -> str:
        self.calls.release()
        assert self.go.wait(10)
        return text


class Text(msgspec.Struct):
    """One argument."""

    text: str


def declared(name: str) -> UnaryMethod[Text, str]:
    return UnaryMethod(
        service="test.Blocked",
        name=name,
        protection=Protection.SIGN,
        arguments=Text,
        result=str,
    )


ECHO, WAIT = declared("echo"), declared("wait")


@pytest.fixture
def blocked() -> Blocked:
    return Blocked()


@pytest.fixture
def address(blocked: Blocked, tmp_path: Path) -> Generator[str]:
    server = Server([blocked], accept=[account_file(tmp_path)])
    with start_blocking_portal("asyncio") as portal:
        serving, where = portal.start_task(server.serve, "tcp://127.0.0.1:0")
        yield str(where)
        blocked.go.set()
        serving.cancel()


def test_a_call(address: str) -> None:
    with connect_blocking(address, credentials=ALICE) as channel:
        assert channel.unary(ECHO, Text("a")) == "a () SIGN"
        assert (
            channel.unary(
                ECHO,
                Text("b"),
                metadata={"k": "v"},
                protection=Protection.SEAL,
                timeout=5.0,
            )
            == "b (('k', 'v'),) SEAL"
        )
        assert channel.peer.mechanism is Mechanism.NTLM
        assert channel.minimum_protection is Protection.SIGN


def test_threads_wait_side_by_side(address: str, blocked: Blocked) -> None:
    with (
        connect_blocking(address, credentials=ALICE) as channel,
        ThreadPoolExecutor(8) as pool,
    ):
        texts = [str(number) for number in range(8)]
        waiting = [pool.submit(channel.unary, WAIT, Text(text)) for text in texts]
        for _ in texts:
            assert blocked.calls.acquire(timeout=10)
        blocked.go.set()
        assert [future.result(10) for future in waiting] == texts


def test_errors_are_the_channels(address: str) -> None:
    with connect_blocking(address, credentials=ALICE) as channel:
        with pytest.raises(DeadlineExceeded):
            channel.unary(WAIT, Text("a"), timeout=0.01)
        with pytest.raises(ValueError, match="other characters"):
            channel.unary(ECHO, Text("a"), metadata={"K": "v"})


def test_its_state_and_waiting_for_it(address: str) -> None:
    with connect_blocking(address, credentials=ALICE) as channel:
        channel.channel_ready(timeout=30.0)
        assert channel.get_state() is ConnectivityState.READY
    assert channel.get_state() is ConnectivityState.SHUTDOWN
    with pytest.raises(RpcError, match="the channel is closed"):
        channel.channel_ready()


def test_a_closed_channel_refuses(address: str) -> None:
    with connect_blocking(address, credentials=ALICE) as channel:
        assert channel.unary(ECHO, Text("a"))
    with pytest.raises(RpcError, match="the channel is closed") as caught:
        channel.unary(ECHO, Text("a"))
    assert caught.value.status is StatusCode.CANCELLED


def test_closing_ends_the_calls_of_other_threads(
    address: str, blocked: Blocked
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with connect_blocking(address, credentials=ALICE) as channel:
            waiting = pool.submit(channel.unary, WAIT, Text("a"))
            assert blocked.calls.acquire(timeout=10)
        error = waiting.exception(10)
    assert isinstance(error, RpcError)
    assert error.status in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)


def test_an_interrupt_cancels_the_call(
    address: str, blocked: Blocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect_blocking(address, credentials=ALICE) as channel:
        cancelled = threading.Event()
        interrupt(monkeypatch, channel, cancelled)
        with pytest.raises(KeyboardInterrupt):
            channel.unary(WAIT, Text("a"))
        assert cancelled.wait(10)
        assert channel.unary(ECHO, Text("still there"))


def interrupt(
    monkeypatch: pytest.MonkeyPatch,
    channel: BlockingChannel,
    cancelled: threading.Event,
) -> None:
    """Raise KeyboardInterrupt where the calling thread waits."""
    inner: Any = channel._channel  # pyright: ignore[reportPrivateUsage]
    unary, result = inner.unary, Future[Any].result
    calls = iter([True])

    async def noting(*args: Any, **options: Any) -> Any:
        try:
            return await unary(*args, **options)
        except BaseException:
            cancelled.set()
            raise

    def interrupted(future: Any, timeout: float | None = None) -> Any:
        if next(calls, False):
            raise KeyboardInterrupt
        return result(future, timeout)

    monkeypatch.setattr(inner, "unary", noting)
    monkeypatch.setattr(Future, "result", interrupted)


def test_nobody_listens() -> None:
    with pytest.raises(ConnectFailed):
        with connect_blocking("127.0.0.1:1", credentials=ALICE):
            raise AssertionError
