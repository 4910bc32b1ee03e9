"""`signet call` where items go in by standard input and come out line by line."""

import io
import os
import subprocess
import sys
from collections.abc import Generator
from datetime import date

import pytest

from signetrpc.idl.cli._making import items_given
from tests.idl.cli.conftest import RUN, Signet

ALICE = ("--user", r"CORP\alice", "--password-file", "password.txt")
INTERFACE = ("--interface", "streams:Streams")
SECONDS = 30
"""What hangs does not hang the tests."""

STREAMS = """
from collections.abc import AsyncIterator
from dataclasses import dataclass

from signetrpc.rpc import RpcError, StatusCode, method, service


@dataclass
class Entry:
    name: str
    places: dict[tuple[int, int], str]


@service("test.Streams")
class Streams:
    @method
    async def watch(self, count: int) -> AsyncIterator[Entry]:
        for number in range(count):
            yield Entry(f"n{number}", {(number, 1): "a"})
        if count == 3:
            raise RpcError(StatusCode.NOT_FOUND, "no fourth")

    @method
    async def total(self, start: int, numbers: AsyncIterator[int]) -> list[int]:
        return [start, sum([number async for number in numbers])]

    @method
    async def echo(self, texts: AsyncIterator[str]) -> AsyncIterator[str]:
        async for text in texts:
            if text == "stop":
                raise RpcError(StatusCode.ABORTED, "as you say")
            yield f"{text}!"
"""


@pytest.fixture
def address(signet: Signet) -> Generator[str]:
    """Return the address of a server of `streams.py`."""
    (signet.folder / "streams.py").write_text(STREAMS)
    options = ("--listen", "127.0.0.1:0", "--ntlm-accounts", "accounts.txt")
    with signet.beside("serve", "streams:Streams", *options) as process:
        assert process.stderr is not None
        yield process.stderr.readline().split()[-1]


def test_a_stream_is_printed_line_by_line(signet: Signet, address: str) -> None:
    watch = ("call", address, "test.Streams/watch", *INTERFACE, *ALICE)
    assert signet(*watch, "count=2") == 0
    assert signet.output == (
        '{"name":"n0","places":[[[0,1],"a"]]}\n{"name":"n1","places":[[[1,1],"a"]]}\n'
    )
    assert signet(*watch, "count=0") == 0
    assert signet.output == ""
    assert signet(*watch, "count=3") == 69
    assert (len(signet.output.splitlines()), signet.errors) == (
        3,
        "NOT_FOUND: no fourth\n",
    )


def test_items_come_from_standard_input(signet: Signet, address: str) -> None:
    total = ("call", address, "test.Streams/total", "start=5", *INTERFACE, *ALICE)
    assert signet(*total, given="1\n\n2\n3") == 0
    assert signet.output == "[\n  5,\n  6\n]\n"
    assert signet(*total, given="") == 0
    assert signet.output == "[\n  5,\n  0\n]\n"
    assert signet(*total, given='1\n"x"\n') == 2
    assert (signet.output, signet.errors) == (
        "",
        "error: line 2 of standard input: Expected int, got str\n",
    )


def test_both_ways(signet: Signet, address: str) -> None:
    echo = ("call", address, "test.Streams/echo", *INTERFACE, *ALICE)
    assert signet(*echo, given='"a"\n"b"\n') == 0
    assert signet.output == '"a!"\n"b!"\n'
    assert signet(*echo, given='"a"\nb\n') == 2
    assert "error: line 2 of standard input: JSON is malformed" in signet.errors


def test_standard_input_is_read_for_one_thing(signet: Signet, address: str) -> None:
    echo = ("call", address, "test.Streams/echo", *INTERFACE, "--user", "alice")
    assert signet(*echo, "--password-file", "-", given="secret\n") == 2
    assert "--password-file - reads standard input, which" in signet.errors


def test_talking_to_the_command(signet: Signet, address: str) -> None:
    """Each answer comes before the next item is given; the call's end ends it all."""
    echo = ("call", address, "test.Streams/echo", *INTERFACE, *ALICE)
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *echo],
        cwd=signet.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        for text in ("a", "b"):
            print(f'"{text}"', file=process.stdin, flush=True)
            assert process.stdout.readline() == f'"{text}!"\n'
        print('"stop"', file=process.stdin, flush=True)
        # Standard input is open, and nothing more comes of it.
        assert process.wait(SECONDS) == 74
        assert process.stderr.read() == "ABORTED: as you say\n"


def test_lines_of_a_real_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'"2026-01-02"\n\n"2026-01-03"\r\n"2026-01-04"')
    os.close(writing)
    with open(reading) as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert list(items_given(date)) == [date(2026, 1, day) for day in (2, 3, 4)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"\xff", "line 1 of standard input: "),
        (b'"\xff"', "line 1 of standard input: "),
        (b'"a', "line 1 of standard input: Input data was truncated"),
        (b"\n5", "line 2 of standard input: Expected str, got int"),
    ],
)
def test_lines_that_are_no_items(
    monkeypatch: pytest.MonkeyPatch, line: bytes, says: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))
    with pytest.raises(ValueError, match=says):
        list(items_given(str))
