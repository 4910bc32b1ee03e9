"""The blocking channel's thread, where processes fork and interpreters end."""

import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from signetrpc.rpc import CallContext, CancellationCause, Protection, RpcError, Server
from signetrpc.rpc._blocking_loop import LoopThread
from signetrpc.rpc._context import CURRENT
from signetrpc.transport import Identity, Mechanism
from tests.rpc.blocked_service import Streams
from tests.support.negotiation import account_file

SECONDS = 30
"""A program that hangs does not hang the tests."""

BEGIN = """
import gc, os, sys, threading
from contextlib import ExitStack
from signetrpc.rpc import RpcError, connect_blocking
from tests.rpc.blocked_service import *
from tests.support.negotiation import ALICE

address = sys.argv[1]

def join(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

def refused(function, *args):
    try:
        function(*args)
    except RuntimeError as error:
        assert f"process {os.getpid()} was forked" in str(error), error
    else:
        raise AssertionError
"""

FORK = """
with connect_blocking(address, credentials=ALICE) as channel:
    assert channel.unary(DOUBLE, Upto(1)) == 2
    numbers = channel.server_stream(COUNT, Upto(5000))
    talk = channel.bidirectional(ECHO, Nothing())
    talk.send("a")
    assert (next(numbers), next(talk)) == (0, "a!")
    child = os.fork()
    if child == 0:
        refused(channel.unary, DOUBLE, Upto(1))
        refused(channel.server_stream, COUNT, Upto(1))
        refused(channel.client_stream, TOTAL, Nothing(), [1])
        refused(channel.bidirectional, ECHO, Nothing())
        refused(next, numbers)
        refused(next, talk)
        refused(talk.send, "b")
        refused(talk.end)
        refused(talk.headers)
        with connect_blocking(address, credentials=ALICE) as own:
            assert own.unary(DOUBLE, Upto(2)) == 4
            assert list(own.server_stream(COUNT, Upto(5))) == [0, 1, 2, 3, 4]
        talk.cancel()
        del numbers, talk
        gc.collect()
        # Through the end of the block, and through that of the interpreter.
        sys.exit(7)
    join(child)
    assert list(numbers) == list(range(1, 5000))
    talk.send("b")
    assert next(talk) == "b!"
    assert channel.unary(DOUBLE, Upto(3)) == 6
"""

BUSY_FORK = """
with connect_blocking(address, credentials=ALICE) as channel:
    stop = threading.Event()
    failures = []

    def keep_calling():
        while not stop.is_set():
            try:
                assert channel.unary(DOUBLE, Upto(1)) == 2
                total = channel.client_stream(TOTAL, Nothing(), range(50))
                assert total == sum(range(50))
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=keep_calling) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        child = os.fork()
        if child == 0:
            refused(channel.unary, DOUBLE, Upto(1))
            os._exit(7)
        join(child)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert channel.unary(DOUBLE, Upto(3)) == 6
"""

LEFT_OPEN = """
context = connect_blocking(address, credentials=ALICE)
channel = context.__enter__()
numbers = channel.server_stream(WAIT, Nothing())
assert next(numbers) == 0
talk = channel.bidirectional(DEAF, Nothing())
talk.send(b"never read")
"""

LEFT_IN_THREADS = """
stack = ExitStack()
channel = stack.enter_context(connect_blocking(address, credentials=ALICE))
numbers = channel.server_stream(WAIT, Nothing())
assert next(numbers) == 0
for function in (lambda: next(numbers), lambda: channel.unary(DOUBLE, Upto(1))):
    threading.Thread(target=function, daemon=True).start()
threading.excepthook = lambda *_: None  # how they end is their own matter
"""


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


def run(address: str, text: str) -> None:
    """Run a program to its end, at which it has to say nothing."""
    # Forking beside threads is warned of since Python 3.12: that is what this is about.
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEGIN + text]
        + [address],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_forked_process_is_refused_and_its_parent_unharmed(address: str) -> None:
    run(address, FORK)


def test_forking_while_other_threads_call(address: str) -> None:
    run(address, BUSY_FORK)


@pytest.mark.parametrize("text", [LEFT_OPEN, LEFT_IN_THREADS], ids=["open", "threads"])
def test_an_open_channel_keeps_no_program_from_ending(
    address: str, streams: Streams, text: str
) -> None:
    run(address, text)
    assert streams.cancelled.wait(SECONDS)


class Context:
    """What is entered on the loop."""

    def __init__(
        self, enter: Exception | None = None, leave: Exception | None = None
    ) -> None:
        self.left = threading.Event()
        self._enter = enter
        self._leave = leave

    @asynccontextmanager
    async def entering(self) -> AsyncGenerator[str]:
        if self._enter is not None:
            raise self._enter
        try:
            yield "entered"
        finally:
            self.left.set()
            if self._leave is not None:
                raise self._leave


def test_a_context_is_entered_and_left() -> None:
    context = Context()
    thread = LoopThread(context.entering)
    assert thread.start() == "entered"
    assert thread.run(anyio.sleep, 0) is None
    assert not context.left.is_set()
    thread.close()
    assert context.left.is_set()
    thread.close()
    thread.call_soon_if_open(context.left.clear)
    assert context.left.is_set()
    with pytest.raises(RpcError, match="the channel is closed"):
        thread.run(anyio.sleep, 0)
    with pytest.raises(RpcError, match="the channel is closed"):
        thread.call_soon(context.left.clear)


def test_what_entering_and_leaving_raise_is_heard() -> None:
    with pytest.raises(LookupError, match="not in"):
        LoopThread(Context(enter=LookupError("not in")).entering).start()
    thread = LoopThread(Context(leave=LookupError("not out")).entering)
    thread.start()
    with pytest.raises(LookupError, match="not out"):
        thread.close()


def test_an_interrupt_ends_the_entering(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    @asynccontextmanager
    async def never() -> AsyncGenerator[None]:
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        yield

    interrupt(monkeypatch, never, begun.wait)
    assert cancelled.is_set()


def interrupt(
    monkeypatch: pytest.MonkeyPatch,
    entering: Callable[[], AbstractAsyncContextManager[None]],
    first: Callable[[float], bool],
) -> None:
    """Raise KeyboardInterrupt where the calling thread waits for the entering."""

    def interrupted(future: Any, timeout: float | None = None) -> Any:
        assert first(SECONDS)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            LoopThread(entering).start()


def test_the_loops_end_ends_what_runs_there() -> None:
    thread = LoopThread(Context().entering)
    thread.start()
    begun = threading.Event()

    async def forever() -> None:
        begun.set()
        await anyio.sleep_forever()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(thread.run, forever)
        assert begun.wait(SECONDS)
        thread.close()
        error = waiting.exception(SECONDS)
    assert isinstance(error, RpcError)
    assert error.message == "the channel is closed"


def test_the_end_of_a_handlers_call_ends_what_it_waits_for() -> None:
    context = CallContext(
        method="test.Service/method",
        caller=Identity(mechanism=Mechanism.NTLM),
        protection=Protection.SIGN,
        metadata=(),
        deadline=None,
        time=lambda: 0.0,
    )
    thread = LoopThread(Context().entering)
    thread.start()

    async def forever() -> None:
        # The server's thread does this, and not the handler's, which waits.
        threading.Thread(
            target=context.note_cancelled, args=[CancellationCause.CALLER]
        ).start()
        await anyio.sleep_forever()

    token = CURRENT.set(context)
    try:
        with pytest.raises(RpcError, match="the call that this is part of has ended"):
            thread.run(forever)
    finally:
        CURRENT.reset(token)
        thread.close()
