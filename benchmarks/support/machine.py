"""A machine of the benchmark's own, with users whom its servers can impersonate.

The users are in the private `/etc` of a namespace; the real machine's stay as they are.
"""

import os
import sys
from pathlib import Path
from typing import Final

from benchmarks.support.users import NAMES
from tests.support import namespace

__all__ = ["enter_namespace", "make_users"]

_FIRST_ID: Final = 21000
_ROOT: Final = Path(__file__).parents[2]
_OUTSIDE: Final = "SIGNETRPC_BENCHMARK_OUTSIDE"


def enter_namespace() -> None:
    """Run this program anew in a namespace, unless that is where it runs already.

    Ends it with status 2 where there can be no namespace.
    """
    here = os.readlink("/proc/self/ns/mnt")
    if os.environ.get(_OUTSIDE, here) != here:
        return
    if namespace.is_refused():
        print("needs namespaces: root, and a kernel that grants them", file=sys.stderr)
        sys.exit(2)
    os.environ[_OUTSIDE] = here
    program = str(Path(sys.argv[0]).resolve())
    command = namespace.command(sys.executable, program, *sys.argv[1:])
    os.chdir(_ROOT)
    os.execvp(command[0], command)


def make_users() -> None:
    """Have this machine know root, nobody and `NAMES`, and ask files alone for them.

    Raises:
        RuntimeError: This is no namespace, so `/etc` is the real one.
    """
    here = os.readlink("/proc/self/ns/mnt")
    if os.environ.get(_OUTSIDE, here) == here:
        raise RuntimeError("users are made in a namespace only")
    users = ["root:x:0:0::/root:/bin/sh", "nobody:x:65534:65534::/:/bin/false"]
    groups = ["root:x:0:", "nogroup:x:65534:"]
    for number, name in enumerate(NAMES, start=_FIRST_ID):
        users.append(f"{name}:x:{number}:{number}::/:/bin/sh")
        groups.append(f"{name}:x:{number}:")
    for file, lines in ("passwd", users), ("group", groups):
        Path("/etc", file).write_text("\n".join([*lines, ""]))
    Path("/etc/nsswitch.conf").write_text(
        "passwd: files\ngroup: files\nhosts: files dns\n"
    )
