"""The template: it forks workers, ends them, and leaves nothing of them behind."""

import gc
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from signetrpc.rpc import RpcError
from signetrpc.rpc import _worker_template as module
from signetrpc.rpc._packets import packet_pair
from signetrpc.rpc._worker_messages import Failed, read_from_template
from tests.support.chores import Chores
from tests.support.crew import Crew, Visit, alive, children_of, crew, until
from tests.support.parts import Part, require

pytestmark = pytest.mark.anyio

PROGRAM = "from signetrpc.rpc._worker_template import main; main({}, '/none/')"


def descriptors(pid: int | str) -> int:
    """Return how many a process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.fixture(autouse=True)
def root() -> None:
    require(Part.ROOT)


async def template_of(team: Crew) -> int:
    facts = await team.call("alice", "facts")
    parent: int = facts["parent"]
    return parent


# Workers.


async def test_a_killed_template_takes_its_workers_along(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with crew([Chores]) as team:
        facts = [await team.call(each, "facts") for each in ("alice", "bob")]
        (template,) = {each["parent"] for each in facts}
        assert children_of(template) == {each["pid"] for each in facts}
        os.kill(template, signal.SIGKILL)
        await until(lambda: not any(alive(each["pid"]) for each in facts))
        # The next call starts another, and all is well.
        after = await team.call("alice", "facts")
        assert after["parent"] != template
        await until(lambda: caplog.text.count("ended with the template process") == 2)
    assert not alive(after["parent"])
    assert "is gone: another one" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_terminals_signals_are_not_for_it(number: signal.Signals) -> None:
    async with crew([Chores]) as team:
        template = await template_of(team)
        os.kill(template, number)
        assert await template_of(team) == template
        assert os.getsid(template) == template


async def test_a_stopped_worker_is_killed() -> None:
    async with crew([Chores]) as team:
        facts = await team.call("alice", "facts")
        os.kill(facts["pid"], signal.SIGSTOP)
        await until(lambda: not alive(facts["pid"]))
        after = await team.call("alice", "facts")
        assert after["parent"] == facts["parent"]


async def test_a_worker_in_another_session_is_its_own_leader() -> None:
    async with crew([Chores]) as team:
        facts = await team.call("alice", "facts")
        assert os.getsid(facts["pid"]) == facts["pid"]


async def test_whoever_leaves_a_process_behind_does_not_for_long() -> None:
    async with crew([Chores]) as team:
        facts = await team.call("alice", "facts")
        orphan = int(await team.call("alice", "orphan"))
        # Its parent has ended, so it is the template's child now, and goes.
        await until(lambda: not alive(orphan))
        assert alive(facts["pid"])
        again = await team.call("alice", "facts")
        assert again["pid"] == facts["pid"]


async def test_an_idle_worker_goes_by_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with crew([Chores], idle_seconds=0.05) as team:
        facts = await team.call("alice", "facts")
        await until(lambda: not alive(facts["pid"]))
        assert alive(facts["parent"])
        assert await team.call("alice", "again") == 1
    assert caplog.text == ""


async def test_one_that_does_not_go_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    async with crew([Chores], idle_seconds=0.05) as team:
        visit = await team.visit("alice")
        pid = (await visit.call("facts"))["pid"]
        async with anyio.create_task_group() as group:

            async def hang() -> None:
                with pytest.raises(RpcError):
                    await visit.call("hang")

            group.start_soon(hang)
            await until(lambda: "hanging" in caplog.text)
            visit.worker.leave()
            await until(lambda: not alive(pid))
        assert await team.call("alice", "again") == 1


@pytest.mark.parametrize("busy", [False, True])
async def test_at_the_end_nothing_is_left(
    busy: bool, caplog: pytest.LogCaptureFixture
) -> None:
    pids: list[int] = []
    async with anyio.create_task_group() as group:

        async def hang(visit: Visit) -> None:
            with pytest.raises(RpcError):
                await visit.call("hang")

        async with crew([Chores]) as team:
            pids.append(int(await team.call("bob", "orphan")))
            visits = [await team.visit(each) for each in ("alice", "bob")]
            facts = [await each.call("facts") for each in visits]
            pids += [facts[0]["parent"], *(each["pid"] for each in facts)]
            if busy:
                for visit in visits:
                    group.start_soon(hang, visit)
                await until(lambda: caplog.text.count("hanging") == 2)
    assert len(pids) == 4
    assert not any(map(alive, pids))


async def test_fifty_starts_leave_nothing() -> None:
    async with crew([Chores], idle_seconds=0.01) as team:
        facts = await team.call("alice", "facts")
        template = facts["parent"]
        await until(lambda: not children_of(template))
        gc.collect()  # what other tests have left
        before = descriptors("self"), descriptors(template)
        for turn in range(50):
            await team.call(("alice", "bob")[turn % 2], "again")
        await until(lambda: not children_of(template))
        gc.collect()
        assert (descriptors("self"), descriptors(template)) == before


async def test_a_folder_of_a_worker_goes_with_it() -> None:
    async with crew([Chores], idle_seconds=0.05) as team:
        folder = Path(await team.call("alice", "make_folder"))
        await until(lambda: not folder.exists())
        # One that somebody else has put there stays: nobody's but its user's goes.
        visit = await team.visit("bob")
        cache = (await visit.call("facts"))["environment"]["KRB5CCNAME"]
        other = Path(cache.removeprefix("FILE:")).parent
        other.mkdir(mode=0o755)
        (other / "file").write_text("of root")
        visit.worker.kill()
        await until(lambda: not team.workers.running)
    assert (other / "file").read_text() == "of root"
    shutil.rmtree(other)


# What it says, and what it does not do.


def test_a_fork_that_fails_is_an_end_with_its_number() -> None:
    status = module._status_of(OSError(11, "again"))  # pyright: ignore[reportPrivateUsage]
    assert os.waitstatus_to_exitcode(status) == 11
    status = module._status_of(OSError("odd"))  # pyright: ignore[reportPrivateUsage]
    assert os.waitstatus_to_exitcode(status) == 1


def test_it_ends_when_nobody_sets_it_up() -> None:
    near, far = packet_pair()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(far.fileno())], pass_fds=[far.fileno()]
    ) as process:
        far.close()
        near.close()
        assert process.wait(60) == 0


def test_what_is_no_setup_is_refused() -> None:
    near, far = packet_pair()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(far.fileno())],
        pass_fds=[far.fileno()],
        stderr=subprocess.DEVNULL,
    ) as process:
        far.close()
        near.send(b"\xc1")
        assert process.wait(60) == 1
    data, _ = near.receive_now()
    found = read_from_template(data)
    assert isinstance(found, Failed)
    assert found.text.startswith("ValueError: malformed packet: ")
    near.close()
