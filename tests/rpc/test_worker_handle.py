"""What the service keeps of one worker."""

from typing import Any, cast

import pytest

from signetrpc.rpc import LinuxImpersonation, LocalUser, UserTable
from signetrpc.rpc._worker_handle import Worker

pytestmark = pytest.mark.anyio

USER = LocalUser(name="alice", uid=1001, gid=1001, groups=(1001,))


class Noted:
    """What is asked of all workers."""

    def __init__(self, **options: Any) -> None:
        self.config = LinuxImpersonation(mapping=UserTable({}), **options)
        self.asked: list[str] = []

    def idle(self, worker: Worker) -> None:
        self.asked.append(f"idle {worker}")

    def kill(self, worker: Worker) -> None:
        self.asked.append(f"kill {worker}")


def made(**options: Any) -> tuple[Worker, Noted]:
    noted = Noted(**options)
    worker = Worker(cast(Any, noted), USER, (USER, ""))
    worker.number = 7
    return worker, noted


async def test_it_says_whose_it_is() -> None:
    worker, noted = made()
    worker.kill()
    assert noted.asked == ["kill worker 7 of alice"]


async def test_calls_are_counted_in_and_out() -> None:
    worker, noted = made(max_calls=2)
    assert not worker.busy
    assert [worker.enter() for _ in range(3)] == [True, True, False]
    assert (worker.calls, worker.busy) == (2, True)
    worker.leave()
    assert noted.asked == []
    worker.leave()
    assert noted.asked == ["idle worker 7 of alice"]
    assert not worker.busy


async def test_a_link_to_come_keeps_it() -> None:
    worker, noted = made()
    worker.opening += 1
    assert worker.enter()
    worker.leave()
    assert worker.busy
    assert noted.asked == []


@pytest.mark.parametrize(
    ("ready", "running", "going"),
    [(False, False, False), (True, True, False), (True, False, True)],
)
async def test_it_is_going_once_it_has_served(
    ready: bool, running: bool, going: bool
) -> None:
    worker, _ = made()
    worker.running = running
    if ready:
        worker.ready.set()
    assert worker.going is going


async def test_it_is_asked_in_time_for_what_is_promised() -> None:
    worker, _ = made(stall_seconds=30.0)
    policy = worker.keepalive
    assert policy.idle_seconds + policy.timeout_seconds == 30.0


def test_the_key_has_the_name_too() -> None:
    other = LocalUser(name="bob", uid=1001, gid=1001, groups=(1001,))
    assert len({(USER, ""), (other, ""), (USER, "session")}) == 3
