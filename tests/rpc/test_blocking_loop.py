"""The blocking channel's thread, where processes fork and interpreters end."""

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from signetrpc.rpc import Server
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
