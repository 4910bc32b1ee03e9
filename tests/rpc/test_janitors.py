"""Janitors: whom they end, and whose process a process is."""

import os
import subprocess
import sys

from signetrpc.rpc import _janitors as janitors
from tests.support.crew import alive
from tests.support.parts import Part, require

# Has children: one that it keeps, one that it does not, one that is stopped.
_PROGRAM = """\
import os, signal, subprocess
from signetrpc.rpc._janitors import Bell, Janitors, children
bell, janitors = Bell(), Janitors()
kept, other = (subprocess.Popen(["sleep", "1000"]).pid for _ in range(2))
assert children() == {kept, other}
janitors.end_all_but({kept})
assert janitors.busy
while janitors.busy or other in children():
    bell.wait(60)
    for pid, status in janitors.reap():
        assert (pid, os.waitstatus_to_exitcode(status)) == (other, -9)
os.kill(kept, signal.SIGSTOP)
stopped = []
while not stopped:
    bell.wait(60)
    stopped = [each for each in janitors.reap()]
((pid, status),) = stopped
assert pid == kept and os.WIFSTOPPED(status)
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGINT)
janitors.end_all(bell, lambda: [*janitors.reap()])
assert children() == set()
print(kept, other)
"""


def test_children_are_ended_but_for_those_that_are_kept() -> None:
    require(Part.ROOT)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert not any(alive(int(pid)) for pid in done.stdout.split())
    assert done.returncode == 0


def test_who_owns_a_process_is_told_while_it_runs() -> None:
    found = janitors._owner(os.getpid())  # pyright: ignore[reportPrivateUsage]
    assert found is not None
    assert (found.uid, found.gid) == (os.getuid(), os.getgid())
    with subprocess.Popen(["/bin/true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        # Ended, but not reaped.
        assert janitors._owner(ended.pid) is None  # pyright: ignore[reportPrivateUsage]
    assert janitors._owner(ended.pid) is None  # pyright: ignore[reportPrivateUsage]
