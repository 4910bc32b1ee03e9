"""A process that becomes a user and tells what it is then.

    python -m tests.support.becoming ACTION [plain]

Run by root; `plain` is as a service that is not root, but has two capabilities.  The
answer is one line of JSON; an action that then waits does so until its standard input
ends.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from signetrpc.rpc import _worker_identity as identity
from signetrpc.transport import LocalUser
from tests.mutation.edits import take_out

__all__ = ["MEMORY", "USER"]

USER: Final = LocalUser(name="made-up", uid=61001, gid=61002, groups=(61002, 61003))
MEMORY: Final = 300 * 1024 * 1024

_SERVICE: Final = 61009
_SOME_BYTES: Final = 1 << 16
_PR_GET_PDEATHSIG: Final = 2
_PR_SET_KEEPCAPS: Final = 8


def _be_plain() -> None:
    """Be a service's own user, who may become others."""
    assert ctypes.CDLL(None).prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
    os.setgroups([_SERVICE])
    os.setresgid(*[_SERVICE] * 3)
    os.setresuid(*[_SERVICE] * 3)
    identity.keep_capabilities(identity.CAP_SETGID, identity.CAP_SETUID)


def _become() -> None:
    identity.become(USER, max_memory_bytes=MEMORY)


def _error(action: Callable[[], object]) -> str:
    """Return the name of what an action raises."""
    try:
        action()
    except Exception as error:
        return type(error).__name__
    return ""


def _dies_by() -> int:
    number = ctypes.c_int()
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0) == 0
    return number.value


def facts() -> dict[str, Any]:
    """Become the user and return everything worth knowing."""
    os.umask(0)
    resource.setrlimit(resource.RLIMIT_CORE, (_SOME_BYTES, _SOME_BYTES))
    keyring = identity._session_keyring()  # pyright: ignore[reportPrivateUsage]
    shadow = Path("/etc/shadow")
    _become()
    attempts: dict[str, Callable[[], object]] = {
        "setuid": lambda: os.setuid(0),
        "setresuid": lambda: os.setresuid(0, 0, 0),
        "saved uid": lambda: os.setresuid(-1, -1, 0),
        "setgid": lambda: os.setgid(0),
        "saved gid": lambda: os.setresgid(-1, -1, 0),
        "another user": lambda: os.setuid(USER.uid + 1),
        "setgroups": lambda: os.setgroups([0]),
        "capabilities": lambda: identity.keep_capabilities(identity.CAP_SETUID),
        "root's file": shadow.read_text,
        "root's process": lambda: os.kill(os.getppid(), 0),
        "memory limit": lambda: resource.setrlimit(
            resource.RLIMIT_DATA, (MEMORY + 1, MEMORY + 1)
        ),
        "core limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
        "too much memory": lambda: bytearray(MEMORY + 1),
        "some memory": lambda: bytearray(MEMORY // 4),
        "its groups": lambda: os.setresgid(*[USER.gid] * 3),
    }
    return {
        "status": identity.read_status(),
        "attempts": {name: _error(each) for name, each in attempts.items()},
        "cwd": os.getcwd(),
        "umask": os.umask(0o077),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "data": resource.getrlimit(resource.RLIMIT_DATA),
        "keyrings": [keyring, identity._session_keyring()],  # pyright: ignore
        "session": os.getsid(0) == os.getpid(),
    }


def stay() -> dict[str, Any]:
    """Become the user and wait."""
    _become()
    return {"pid": os.getpid()}


def family() -> dict[str, Any]:
    """Have a child that dies with this process, and waits."""
    read, write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        found: list[object] = [_error(lambda: identity.die_with_parent(1))]
        identity.die_with_parent(parent)
        found.append(_dies_by())
        identity.outlive_parent()
        found.append(_dies_by())
        identity.die_with_parent(parent)
        os.write(write, json.dumps(found).encode())
        signal.pause()
    already, *dies_by = json.loads(os.read(read, 4096))
    return {"pid": child, "died already": already, "dies by": dies_by}


def two_capabilities() -> dict[str, Any]:
    """Keep the two capabilities of a template, and adopt orphans."""
    identity.adopt_orphans()
    identity.keep_capabilities(identity.CAP_SETGID, identity.CAP_SETUID)
    orphan_read, orphan_write = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os.read(orphan_read, 1)
            os._exit(7)
        os._exit(0)
    os.waitpid(child, 0)
    os.write(orphan_write, b"x")
    _, status = os.wait()
    return {
        "status": identity.read_status(),
        "orphan": os.waitstatus_to_exitcode(status),
        "more": _error(lambda: identity.keep_capabilities(0)),
        "root's groups": _error(lambda: os.setgroups([USER.gid])),
    }


_ACTIONS: Final = {
    "facts": facts,
    "stay": stay,
    "family": family,
    "two_capabilities": two_capabilities,
}

if __name__ == "__main__":
    take_out()
    if "plain" in sys.argv[2:]:
        _be_plain()
    print(json.dumps(_ACTIONS[sys.argv[1]]()), flush=True)
    sys.stdin.read()
