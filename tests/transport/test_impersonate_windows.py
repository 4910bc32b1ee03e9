"""Acting as a caller on Windows, with stand-ins for its libraries."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from signetrpc.transport import ImpersonationLevel
from signetrpc.transport._impersonate_windows import (
    NotImpersonated,
    Windows,
    impersonated,
    run_as,
)
from tests.support.windows import (
    ACCESS_DENIED,
    ANONYMOUS,
    CONTEXT,
    DELEGATION,
    IDENTIFICATION,
    IMPERSONATION,
    INVALID_HANDLE,
    Aborted,
    Machine,
    in_thread,
)

WHOLE = ["open", "impersonate", "open", "query", "close"]
END = ["open", "query", "close", "revert", "open"]


def test_order_of_calls() -> None:
    machine = Machine()
    assert machine.run(lambda: machine.acts_as_caller)
    assert machine.calls == [*WHOLE, *END]


def test_arguments_and_result() -> None:
    machine = Machine()

    def call() -> str:
        return run_as(CONTEXT, "{}{}".format, "a", 5, windows=machine.windows)

    assert in_thread(call) == "a5"


def test_an_exception_does_not_keep_the_identity() -> None:
    machine = Machine()

    def fail() -> None:
        assert machine.acts_as_caller
        raise LookupError("the handler's")

    def work() -> bool:
        with pytest.raises(LookupError, match="the handler's"):
            run_as(CONTEXT, fail, windows=machine.windows)
        return machine.acts_as_caller

    assert not in_thread(work)
    assert machine.calls == [*WHOLE, *END]


def test_the_block_learns_the_level() -> None:
    def level(machine: Machine) -> ImpersonationLevel:
        with impersonated(CONTEXT, windows=machine.windows) as found:
            return found

    impersonation, delegation = Machine(IMPERSONATION), Machine(DELEGATION)
    assert in_thread(lambda: level(impersonation)) is ImpersonationLevel.IMPERSONATE
    assert in_thread(lambda: level(delegation)) is ImpersonationLevel.DELEGATE


@pytest.mark.parametrize(
    ("level", "at_least", "says"),
    [
        (ANONYMOUS, ImpersonationLevel.IMPERSONATE, "no caller's token, and IMPERS"),
        (IDENTIFICATION, ImpersonationLevel.IMPERSONATE, "level IDENTIFY, and IMPERS"),
        (IDENTIFICATION, ImpersonationLevel.DELEGATE, "level IDENTIFY, and DELEGATE"),
        (IMPERSONATION, ImpersonationLevel.DELEGATE, "level IMPERSONATE, and DELEG"),
        (7, ImpersonationLevel.IMPERSONATE, "no caller's token"),
    ],
)
def test_a_token_that_allows_too_little(
    level: int, at_least: ImpersonationLevel, says: str
) -> None:
    machine = Machine(level)
    ran: list[str] = []

    def work() -> bool:
        with pytest.raises(NotImpersonated, match=says) as caught:
            run_as(CONTEXT, ran.append, "x", at_least=at_least, windows=machine.windows)
        assert caught.value.status is None
        return machine.acts_as_caller

    assert not in_thread(work) and not ran
    assert machine.calls.count("revert") == 1


def test_windows_says_yes_and_gives_no_token() -> None:
    machine = Machine(-1)
    with pytest.raises(NotImpersonated, match="no caller's token"):
        machine.run(list[int])
    assert machine.calls == ["open", "impersonate", "open", "open", "open"]


def test_windows_says_no() -> None:
    machine = Machine()
    machine.statuses["impersonate"] = INVALID_HANDLE
    with pytest.raises(NotImpersonated, match="answered 0x80090301") as caught:
        machine.run(list[int])
    assert caught.value.status == INVALID_HANDLE
    assert "revert" not in machine.calls


def test_nobody_acts_at_level_identify() -> None:
    machine = Machine()
    with pytest.raises(ValueError, match="level IDENTIFY"):
        machine.run(list[int], at_least=ImpersonationLevel.IDENTIFY)
    assert not machine.calls


def test_one_caller_at_a_time() -> None:
    machine = Machine()

    def nested() -> None:
        with pytest.raises(NotImpersonated, match="acts for somebody already"):
            run_as(CONTEXT, list[int], windows=machine.windows)
        assert machine.acts_as_caller

    machine.run(nested)
    assert machine.calls.count("impersonate") == 1


def test_threads_do_not_share_a_token() -> None:
    machine = Machine()
    assert not machine.run(lambda: in_thread(lambda: machine.acts_as_caller))


@pytest.mark.parametrize("fails", [False, True])
def test_no_way_back_is_the_end(fails: bool) -> None:
    machine = Machine()
    machine.statuses["revert"] = INVALID_HANDLE

    def work() -> int:
        return 1 // (not fails)

    with pytest.raises(Aborted):
        machine.run(work)
    assert machine.calls[-2:] == ["revert", "abort"]


def test_a_token_that_stays_is_the_end() -> None:
    machine = Machine()
    machine.reverts = False
    with pytest.raises(Aborted):
        machine.run(list[int])
    assert machine.calls[-5:] == ["revert", "open", "query", "close", "abort"]


@pytest.mark.parametrize("function", ["open", "query"])
def test_not_to_know_is_the_end(function: str) -> None:
    machine = Machine()
    with pytest.raises(Aborted):
        machine.run(lambda: machine.errors.update({function: ACCESS_DENIED}))
    assert machine.calls[-1] == "abort"


def test_not_to_know_at_the_beginning_is_an_error() -> None:
    machine = Machine()
    machine.errors["open"] = ACCESS_DENIED
    with pytest.raises(OSError, match="OpenThreadToken failed, error 5"):
        machine.run(list[int])
    assert machine.calls == ["open"]


def test_handles_are_closed_after_errors() -> None:
    machine = Machine()

    def work() -> None:
        machine.errors["query"] = ACCESS_DENIED
        with pytest.raises(OSError, match="GetTokenInformation failed, error 5"):
            machine.windows.token_level()
        assert machine.calls[-2:] == ["query", "close"]
        machine.errors.clear()

    machine.run(work)


def test_a_handler_that_reverts_is_the_server_already() -> None:
    machine = Machine()
    machine.run(lambda: machine.windows.revert(CONTEXT))
    assert machine.calls.count("revert") == 1
    assert machine.calls[-1] == "open"


def test_a_block_that_is_left_in_another_thread_is_the_end() -> None:
    machine = Machine()
    block = impersonated(CONTEXT, windows=machine.windows)
    in_thread(block.__enter__)
    with pytest.raises(Aborted):
        block.__exit__(None, None, None)


def test_the_main_thread_runs_other_things() -> None:
    machine = Machine()
    with pytest.raises(RuntimeError, match="the main thread runs other things"):
        run_as(CONTEXT, list[int], windows=machine.windows)
    assert not machine.calls


def test_a_task_shares_its_thread(anyio_backend_name: str) -> None:
    machine = Machine()

    async def task() -> None:
        with pytest.raises(RuntimeError, match="the thread of an event loop"):
            run_as(CONTEXT, list[int], windows=machine.windows)

    in_thread(lambda: anyio.run(task, backend=anyio_backend_name))
    assert not machine.calls


@pytest.mark.anyio
async def test_worker_threads_of_tasks() -> None:
    machine = Machine()

    def work(value: int) -> tuple[int, bool]:
        return value, machine.acts_as_caller

    found = await anyio.to_thread.run_sync(
        lambda: run_as(CONTEXT, work, 5, windows=machine.windows)
    )
    assert found == (5, True)
    assert not await anyio.to_thread.run_sync(lambda: machine.acts_as_caller)


async def coroutine() -> None: ...


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


class Awaitable:
    def __await__(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize(
    "function", [coroutine, generator, async_generator, lambda: coroutine(), Awaitable]
)
def test_nothing_is_left_to_run_as_the_server(function: Callable[[], object]) -> None:
    machine = Machine()
    with pytest.raises(TypeError, match="would run later, as the server"):
        machine.run(function)


def test_elsewhere_than_on_windows_there_are_no_libraries() -> None:
    with pytest.raises(OSError, match=f"on Windows, and this is {sys.platform}"):
        run_as(CONTEXT, list[int])
    with pytest.raises(OSError, match="threads impersonate on Windows"):
        Windows.load()


def test_on_windows_the_libraries_are_the_system_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    loaded: list[tuple[str, bool, int]] = []

    def library(name: str, *, use_last_error: bool, winmode: int) -> object:
        loaded.append((name, use_last_error, winmode))
        return getattr(machine, name)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", library, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", machine.last_error, raising=False)
    assert in_thread(lambda: run_as(CONTEXT, lambda: machine.acts_as_caller))
    # 0x800: LOAD_LIBRARY_SEARCH_SYSTEM32.
    names = ("secur32", "advapi32", "kernel32")
    assert loaded == [(name, True, 0x800) for name in names]


def test_the_process_does_not_go_on() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from tests.support.windows import die; die()"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert run.returncode == -signal.SIGABRT
    assert run.stdout == ""
    assert "signetrpc: a thread cannot stop acting as its caller\n" in run.stderr
