"""The warden: it outlives the template, and nothing of a template outlives it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from signetrpc.rpc import RpcError, StatusCode
from signetrpc.rpc._janitors import MOST_AT_ONCE, Bell, Janitors
from signetrpc.rpc._packets import packet_pair
from signetrpc.rpc._warden import _remove  # pyright: ignore[reportPrivateUsage]
from signetrpc.transport import LocalUser
from tests.support.chores import Chores
from tests.support.crew import Crew, alive, children_of, crew, until
from tests.support.parts import Part, require
from tests.support.people import ALICE

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

# Takes the two capabilities too, and what its child is told to do.
_PROGRAM = """\
import os, signal, sys
from tests.mutation.edits import take_out
take_out()
from signetrpc.rpc._warden import fork_guarded
from signetrpc.rpc._worker_identity import outlive_parent
guarded = fork_guarded(int(sys.argv[1]), "/none/")
{}
"""


@pytest.fixture(autouse=True)
def root() -> None:
    require(Part.ROOT)


@pytest.fixture
async def team() -> AsyncIterator[Crew]:
    # A busy machine can take long to start what takes the place of what was killed.
    async with crew([Chores], start_seconds=60.0) as team:
        yield team


async def template_of(team: Crew) -> int:
    facts = await team.call("alice", "facts")
    parent: int = facts["parent"]
    return parent


async def test_what_a_killed_template_leaves_is_ended(
    team: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    template = await template_of(team)
    orphan = int(await team.call("bob", "orphan"))
    visit = await team.visit("alice")
    pid = (await visit.call("facts"))["pid"]
    async with anyio.create_task_group() as group:

        async def hang() -> None:
            with pytest.raises(RpcError) as caught:
                await visit.call("hang")  # with every signal blocked
            assert caught.value.status is StatusCode.UNAVAILABLE

        group.start_soon(hang)
        await until(lambda: "hanging" in caplog.text)
        os.kill(template, signal.SIGKILL)
    await until(lambda: not alive(pid) and not alive(orphan))
    assert await template_of(team) != template


async def test_a_call_that_waits_ends_as_its_process_does(
    team: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    template = await template_of(team)
    visit = await team.visit("alice")
    ends: list[StatusCode] = []
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            with pytest.raises(RpcError) as caught:
                await visit.call("wait")
            ends.append(caught.value.status)

        group.start_soon(wait)
        await until(lambda: "waiting" in caplog.text)
        os.kill(template, signal.SIGKILL)
    # Not CANCELLED: its handler was, but nobody has given the call up.
    assert ends == [StatusCode.UNAVAILABLE]


async def test_folders_of_workers_go_with_a_killed_template(team: Crew) -> None:
    folder = Path(await team.call("alice", "make_folder"))
    prefix, dash, _ = folder.name.rpartition("-")
    other = folder.with_name(f"{prefix}{dash}of-root")
    other.mkdir()
    try:
        (other / "file").write_text("of root")
        os.kill(await template_of(team), signal.SIGKILL)
        await until(lambda: not folder.exists())
        # One that nobody's worker can have made stays.
        await template_of(team)
        assert (other / "file").read_text() == "of root"
    finally:
        shutil.rmtree(other)


async def test_without_a_warden_the_template_ends_in_order(team: Crew) -> None:
    facts = await team.call("alice", "facts")
    orphan = int(await team.call("bob", "orphan"))
    template = facts["parent"]
    warden = int(
        Path(f"/proc/{template}/stat").read_text().rpartition(")")[2].split()[1]
    )
    assert children_of(warden) == {template}
    os.kill(warden, signal.SIGKILL)
    await until(lambda: not any(map(alive, (template, facts["pid"], orphan))))
    assert await template_of(team) != template


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_terminals_signals_are_not_for_it(
    team: Crew, number: signal.Signals
) -> None:
    template = await template_of(team)
    (warden,) = {
        each for each in children_of(os.getpid()) if template in children_of(each)
    }
    os.kill(warden, number)
    assert await template_of(team) == template
    assert alive(warden)
    assert os.getsid(warden) == warden


class Counting(Janitors):
    """Removes by itself, and counts how many would be at work at once."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = self.most = 0

    def send(
        self, user: LocalUser, pids: Sequence[int] = (), *, folder: str = ""
    ) -> None:
        assert user.uid == ALICE.uid
        os.rmdir(folder)
        self.at_work += 1
        self.most = max(self.most, self.at_work)

    def end_all(self, bell: Bell, reap: Callable[[], object]) -> None:
        self.at_work = 0


def test_nobody_has_a_warden_become_any_number_of_processes(tmp_path: Path) -> None:
    for number in range(2 * MOST_AT_ONCE + 1):
        folder = tmp_path / f"signetrpc-{number}"
        folder.mkdir()
        os.chown(folder, ALICE.uid, ALICE.uid)
    janitors = Counting()
    # Not made: it takes the signals of the process that it is in.
    _remove(f"{tmp_path}/signetrpc-", janitors, object.__new__(Bell))
    assert janitors.most == MOST_AT_ONCE and not janitors.at_work
    assert [*tmp_path.iterdir()] == []


# By itself.


@pytest.fixture
def far() -> Iterator[socket.socket]:
    near, far = packet_pair()
    with far:
        yield far
    near.close()


def run(far: socket.socket, child: str) -> "subprocess.Popen[bytes]":
    """Start a program whose child does something once it is guarded."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(child), str(far.fileno())],
        pass_fds=[far.fileno()],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )


@pytest.mark.parametrize(
    ("child", "status"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL),
    ],
)
def test_it_ends_as_what_it_guards_does(
    far: socket.socket, child: str, status: int
) -> None:
    with run(far, child) as warden:
        assert warden.wait(60) == status


def test_what_it_guards_is_not_the_first_to_end(far: socket.socket) -> None:
    child = """\
if os.fork() == 0:
    orphan = os.fork()
    if orphan == 0:
        signal.pause()
        os._exit(6)
    print(orphan, flush=True)
    os._exit(5)
os.wait()
os.kill(os.getpid(), signal.SIGKILL)
"""
    with run(far, child) as warden:
        assert warden.stdout is not None
        orphan = int(warden.stdout.readline())
        try:
            assert warden.wait(60) == 128 + signal.SIGKILL
            # Nobody of this user's either is left.
            assert not alive(orphan)
        finally:
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)


def test_a_mistake_of_its_own_is_told(far: socket.socket) -> None:
    program = _PROGRAM.format("").replace(
        "guarded =", "import signetrpc.rpc._warden as it; it._guard = None\nguarded ="
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(far.fileno())],
        pass_fds=[far.fileno()],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "TypeError: 'NoneType' object is not callable" in done.stderr


def test_until_it_is_told_otherwise_the_child_dies_with_it(far: socket.socket) -> None:
    child = "print('ok', flush=True); signal.pause()"
    with run(far, child) as warden:
        assert warden.stdout is not None
        assert warden.stdout.readline() == b"ok\n"
        warden.kill()
        # It has this end too, so the end comes when it has ended.
        assert warden.stdout.read() == b""


def test_then_it_hears_of_it(far: socket.socket) -> None:
    child = "outlive_parent(); print('ok', flush=True); print(guarded.recv(1))"
    with run(far, child) as warden:
        assert warden.stdout is not None
        assert warden.stdout.readline() == b"ok\n"
        warden.kill()
        assert warden.stdout.read() == b"b''\n"
