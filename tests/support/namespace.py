"""A machine of one's own for a command: its own network, processes and system folders.

    python -m tests.support.namespace COMMAND ARGUMENT...   (as root, inside `unshare`)

`command` gives the whole line.  Inside, the loopback interface is the only one and up,
every port is free, `/etc` is a copy, and the folders of `EMPTY` are empty; when the
command ends, every process it left behind is ended and all of that is gone.  Nothing
of the machine outside changes.

Python and the project are often in the home folder of root, where nobody else may look.
Inside every user can run and read them, if their own files let them: folders on the
way that are closed are covered by open ones, which hold nothing else.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")

REPORTS = "SIGNETRPC_INSIDE_REPORTS"
"""What a run of tests inside has in its environment: see `tests.support.inside`."""

EMPTY = ("/var/lib/samba", "/var/cache/samba", "/var/log/samba")

_ROOT = Path(__file__).parents[2]
_NEEDED = (Path(sys.prefix), Path(sys.base_prefix), _ROOT)
# Empty but for what of `_NEEDED` is below, with these modes.
_COVERED = {Path("/home"): 0o755, Path("/tmp"): 0o1777}
_OTHERS_MAY_ENTER = 0o001

_RUN = Path("/run")
_PRIVATE = _RUN / "private"
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1


def is_inside() -> bool:
    """Return whether this process is of a run of tests in a namespace."""
    return REPORTS in os.environ


def is_refused() -> bool:
    """Return whether this process may not make namespaces."""
    attempt = [*_UNSHARE, "--mount-proc", "mount", "-t", "tmpfs", "none", "/run"]
    try:
        done = subprocess.run(attempt, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return True
    return done.returncode != 0


def command(*arguments: str) -> list[str]:
    """Return the command line that runs `arguments` in a namespace.

    It is to be started in the project's folder.  Ending it by SIGKILL, which is its
    own default for its child, ends everything inside.
    """
    enter = [sys.executable, "-m", "tests.support.namespace"]
    return [*_UNSHARE, "--mount-proc", *enter, *arguments]


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _cover(folder: str, content: str | None = None) -> None:
    """Put a folder of our own, empty or a copy of another, over one of the system's."""
    private = _PRIVATE / folder.strip("/").replace("/", "-")
    private.mkdir(parents=True)
    if content is not None:
        subprocess.run(["cp", "-a", f"{content}/.", str(private)], check=True)
    Path(folder).mkdir(parents=True, exist_ok=True)
    _mount("--bind", str(private), folder)


def _uncover(needed: Sequence[Path]) -> None:
    """Cover folders, and have what is needed be there as before and open to all."""
    kept = {path: _PRIVATE / f"kept-{n}" for n, path in enumerate(needed)}
    for path, private in kept.items():
        private.mkdir(parents=True)
        _mount("--rbind", str(path), str(private))
    covered = dict(_COVERED)
    for path in needed:
        for folder in reversed(path.parents):
            if not folder.stat().st_mode & _OTHERS_MAY_ENTER:
                covered.setdefault(folder, 0o755)
                break
    for folder, mode in sorted(covered.items()):
        # A folder of the list may be below another.
        folder.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", f"mode={mode:o}", "none", str(folder))
    for path, private in kept.items():
        if not path.exists() or not path.samefile(private):
            path.mkdir(parents=True, exist_ok=True)
            _mount("--rbind", str(private), str(path))


def _loopback_up() -> None:
    # struct ifreq: a name of 16 bytes, then the flags, in 40 bytes.
    request = struct.pack("16sH22x", b"lo", _IFF_UP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def main() -> None:
    """Set this namespace up and become the command."""
    os.umask(0o022)  # or what is made here would be closed again
    _loopback_up()
    _mount("-t", "tmpfs", "-o", "mode=755", "none", str(_RUN))
    for name in ("samba", "lock"):
        (_RUN / name).mkdir()
    _cover("/etc", "/etc")
    for folder in EMPTY:
        _cover(folder)
    _uncover([path.resolve() for path in _NEEDED])
    os.chdir(_ROOT)  # not by way of what is covered now
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
