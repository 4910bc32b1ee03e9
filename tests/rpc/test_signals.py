"""Signals that drain a server: who gets them, when, and that they are given back."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import pytest

from signetrpc.rpc import Server
from signetrpc.rpc._signals import DrainSignals
from signetrpc.transport import listen
from signetrpc.transport._loops import open_loop
from tests.e2e.processes import PATIENCE
from tests.support.negotiation import account_file

USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2


def nothing(number: int, frame: object) -> None:
    """Handle a signal by doing nothing."""


@contextmanager
def handled_by(handler: Any) -> Generator[None]:
    before = signal.signal(USR1, handler)
    try:
        yield
    finally:
        signal.signal(USR1, before)


@pytest.mark.anyio
async def test_the_first_drains_and_the_next_is_the_systems() -> None:
    drained = anyio.Event()
    graces: list[float] = []
    handlers: list[object] = []

    async def drain(grace: float) -> None:
        graces.append(grace)
        handlers.append(signal.getsignal(USR1))
        drained.set()

    with handled_by(nothing), anyio.fail_after(PATIENCE):
        with DrainSignals([USR1], 7.0) as signals:
            assert signal.getsignal(USR1) is nothing
            async with open_loop() as loop:
                signals.arm(loop, drain)
                assert signal.getsignal(USR1) is not nothing
                signal.raise_signal(USR1)
                await drained.wait()
        assert signal.getsignal(USR1) is nothing
    assert graces == [7.0] and handlers == [signal.SIG_DFL]


@pytest.mark.anyio
async def test_they_are_given_back_where_none_came() -> None:
    async def drain(grace: float) -> None:
        raise AssertionError

    with handled_by(nothing):
        with DrainSignals([USR1], 0.0) as signals:
            async with open_loop() as loop:
                signals.arm(loop, drain)
        assert signal.getsignal(USR1) is nothing
        with DrainSignals([USR1], 0.0):  # and nobody has it any more
            pass
        assert signal.getsignal(USR1) is nothing


@pytest.mark.anyio
async def test_none_is_none() -> None:
    async def drain(grace: float) -> None:
        raise AssertionError

    async def arm() -> None:
        with DrainSignals((), 1.0) as signals:
            async with open_loop() as loop:
                signals.arm(loop, drain)
                handlers.append(signal.getsignal(USR1))

    handlers: list[object] = []
    with handled_by(nothing):
        await arm()
        await anyio.to_thread.run_sync(anyio.run, arm)
    assert handlers == [nothing, nothing]


def test_one_server_for_each_signal() -> None:
    with DrainSignals([USR1], 1.0):
        with pytest.raises(ValueError, match="SIGUSR1 drains another server already"):
            DrainSignals([USR2, USR1], 1.0)
        with DrainSignals([USR2], 1.0):
            pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_some_cannot_be_handled(number: signal.Signals) -> None:
    with pytest.raises(ValueError, match=f"{number.name} cannot be handled"):
        DrainSignals([number], 1.0)


@pytest.mark.parametrize("grace", [-0.1, float("nan")])
def test_a_grace_below_zero(grace: float) -> None:
    with pytest.raises(ValueError, match="is below 0"):
        DrainSignals([], grace)


@pytest.mark.anyio
async def test_a_server_refuses_before_it_listens(tmp_path: Any) -> None:
    server = Server([], accept=[account_file(tmp_path)])
    address = f"unix://{tmp_path}/socket"

    async def serve() -> None:
        await server.serve(address, drain_on=[USR1])

    with pytest.raises(ValueError, match="drain_on needs the main thread"):
        await anyio.to_thread.run_sync(anyio.run, serve)
    with pytest.raises(ValueError, match=r"grace of -1\.0 seconds"):
        await server.serve(address, grace=-1.0)
    assert not (tmp_path / "socket").exists()


@pytest.mark.anyio
async def test_a_server_ends_at_all_its_addresses(tmp_path: Any) -> None:
    accept = [account_file(tmp_path)]
    server = Server([], accept=accept)
    ended: list[str] = []

    async def here(*, task_status: anyio.abc.TaskStatus[str]) -> None:
        async with await listen(f"unix://{tmp_path}/here", accept=accept) as listener:
            await server.serve_listener(
                listener, drain_on=[USR1], grace=PATIENCE, task_status=task_status
            )
        ended.append("here")

    async def there(*, task_status: anyio.abc.TaskStatus[str]) -> None:
        await server.serve(f"unix://{tmp_path}/there", task_status=task_status)
        ended.append("there")

    with handled_by(nothing), anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            await group.start(here)
            await group.start(there)
            with pytest.raises(ValueError, match="SIGUSR1 drains another server"):
                await server.serve(f"unix://{tmp_path}/too", drain_on=[USR1])
            signal.raise_signal(USR1)
        assert signal.getsignal(USR1) is nothing
    assert sorted(ended) == ["here", "there"]
