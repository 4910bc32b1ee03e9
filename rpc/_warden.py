"""The warden: the template's parent, which ends what a template leaves that dies.

The kernel can kill a process with its parent, but only if the parent may signal it, and
a template may not signal its workers: they are other users, and it has no CAP_KILL.
What it can do for any service is to give the children of a process that dies to the
nearest of its ancestors that asked for them.  That is the warden.  It never runs
anything of the service's or of a caller's, and waits until the template ends: then it
ends whatever is left, workers that block every signal and what they have started too.

Each sees to the other's end: the template hears of the warden's, and ends in order.
"""

import gc
import glob
import os
import socket
import traceback
from typing import Final

from signetrpc.transport import LocalUser

from ._janitors import MOST_AT_ONCE, Bell, Janitors
from ._worker_identity import (
    CAP_SETGID,
    CAP_SETUID,
    adopt_orphans,
    die_with_parent,
    keep_capabilities,
)

__all__ = ["fork_guarded"]

_SIGNALLED: Final = 128
"""As shells have it: more than this is the exit status of a program that was killed."""


def fork_guarded(control: int, folders: str) -> socket.socket:
    """Become two processes, and return in the child, which the other one guards.

    Until `outlive_parent` the child is killed with the other; afterwards it is to end
    by itself.

    Args:
        control: A descriptor that is the child's alone.
        folders: How the paths of folders begin that are to go if the child is killed.

    Returns:
        What becomes readable when the other process has ended.
    """
    warden = os.getpid()
    ends, held = socket.socketpair()
    # What is here is not looked at again, so that both share its memory.
    gc.freeze()
    child = os.fork()
    if child == 0:
        held.close()
        die_with_parent(warden)
        return ends
    status = 1
    try:
        ends.close()
        os.close(control)
        status = _guard(child, folders)
    except BaseException:
        traceback.print_exc()
    finally:
        # Not by way of the interpreter's end, which is the child's.
        os._exit(status)


def _guard(template: int, folders: str) -> int:
    """Wait for the template to end, then for everything else; return its status."""
    bell = Bell()
    adopt_orphans()
    keep_capabilities(CAP_SETGID, CAP_SETUID)
    janitors = Janitors()
    code = _wait_for(template)
    janitors.end_all(bell, lambda: [*janitors.reap()])
    if code != 0:
        _remove(folders, janitors, bell)
    return code if code >= 0 else _SIGNALLED - code


def _wait_for(template: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == template:
            return os.waitstatus_to_exitcode(status)


def _remove(folders: str, janitors: Janitors, bell: Bell) -> None:
    """Have folders removed that workers would have had removed, by their owners."""
    paths = glob.glob(f"{glob.escape(folders)}*")
    # Anybody may have made some, and any number; nobody's but their owner's can go.
    for first in range(0, len(paths), MOST_AT_ONCE):
        for path in paths[first : first + MOST_AT_ONCE]:
            owner = _owner_of(path)
            if owner is not None:
                janitors.send(owner, folder=path)
        janitors.end_all(bell, lambda: [*janitors.reap()])


def _owner_of(folder: str) -> LocalUser | None:
    try:
        found = os.lstat(folder)
    except OSError:
        return None  # not here any more
    if found.st_uid in (0, os.getuid()):
        return None
    return LocalUser(
        name="", uid=found.st_uid, gid=found.st_gid, groups=(found.st_gid,)
    )
