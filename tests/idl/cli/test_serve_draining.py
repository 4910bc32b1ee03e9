"""`signet serve` and signals: calls under way finish, within the grace."""

import signal
from pathlib import Path

import pytest

from signetrpc.idl.cli._serve import Backend
from tests.idl.cli.conftest import Signet

SLOW = """
import sys
from collections.abc import AsyncIterator

import anyio

from signetrpc.rpc import Protection, method, service

@service("test.Slow", protection=Protection.SIGN)
class Slow:
    @method
    async def wait(self, path: str) -> str:
        print("waiting", file=sys.stderr, flush=True)
        while not await anyio.Path(path).exists():
            await anyio.sleep(0.01)
        return "done"

    @method
    async def count(self, path: str) -> AsyncIterator[int]:
        yield 1
        await self.wait(path)
        yield 2
"""

SERVE = (
    *("serve", "slow:Slow", "--listen", "127.0.0.1:0"),
    *("--ntlm-accounts", "accounts.txt"),
)
NUMBERS = [signal.SIGINT, signal.SIGTERM]


def calling(address: str, name: str = "wait") -> tuple[str, ...]:
    return (
        *("call", address, f"test.Slow/{name}", "path=go", "--interface", "slow:Slow"),
        *("--user", r"CORP\alice", "--password-file", "password.txt"),
    )


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("backend", [each.value for each in Backend])
def test_a_call_under_way_finishes(
    signet: Signet, backend: str, number: signal.Signals
) -> None:
    Path("slow.py").write_text(SLOW)
    with signet.beside(*SERVE, "--backend", backend) as server:
        assert server.stderr is not None
        address = server.stderr.readline().split()[-1]
        assert server.stderr.readline().startswith("handlers run as this process")
        with signet.beside(*calling(address)) as caller:
            assert server.stderr.readline() == "waiting\n"
            server.send_signal(number)
            assert server.stderr.readline() == (
                "finishing calls within 30 seconds; another signal ends at once\n"
            )
            Path("go").touch()
            output, errors = caller.communicate(timeout=30)
            assert (caller.returncode, output, errors) == (0, '"done"\n', "")
        assert server.wait(timeout=30) == 0
        assert server.stderr.read() == ""


@pytest.mark.parametrize("backend", [each.value for each in Backend])
def test_a_stream_under_way_goes_on_to_its_end(signet: Signet, backend: str) -> None:
    Path("slow.py").write_text(SLOW)
    with signet.beside(*SERVE, "--backend", backend) as server:
        assert server.stderr is not None
        address = server.stderr.readline().split()[-1]
        assert server.stderr.readline().startswith("handlers run as this process")
        with signet.beside(*calling(address, "count")) as caller:
            assert server.stderr.readline() == "waiting\n"
            server.send_signal(signal.SIGTERM)
            assert server.stderr.readline().startswith("finishing calls within")
            Path("go").touch()
            output, errors = caller.communicate(timeout=30)
            assert (caller.returncode, output, errors) == (0, "1\n2\n", "")
        assert server.wait(timeout=30) == 0
        assert server.stderr.read() == ""


def test_a_call_that_takes_longer_than_the_grace_is_cut_off(signet: Signet) -> None:
    Path("slow.py").write_text(SLOW)
    with signet.beside(*SERVE, "--grace", "0.1") as server:
        assert server.stderr is not None
        address = server.stderr.readline().split()[-1]
        assert server.stderr.readline().startswith("handlers run as this process")
        with signet.beside(*calling(address)) as caller:
            assert server.stderr.readline() == "waiting\n"
            server.send_signal(signal.SIGTERM)
            _, errors = caller.communicate(timeout=30)
            assert caller.returncode != 0 and "UNAVAILABLE" in errors
        assert server.wait(timeout=30) == 0


@pytest.mark.parametrize("number", NUMBERS)
def test_a_second_signal_ends_at_once(signet: Signet, number: signal.Signals) -> None:
    Path("slow.py").write_text(SLOW)
    with signet.beside(*SERVE) as server:
        assert server.stderr is not None
        address = server.stderr.readline().split()[-1]
        assert server.stderr.readline().startswith("handlers run as this process")
        with signet.beside(*calling(address)):
            assert server.stderr.readline() == "waiting\n"
            server.send_signal(number)
            assert server.stderr.readline().startswith("finishing calls within")
            server.send_signal(number)
            assert server.wait(timeout=30) == -number
