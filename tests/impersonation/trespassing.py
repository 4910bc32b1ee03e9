"""Ways into another process, for a handler or for a program of somebody's own:

python -m tests.impersonation.trespassing PID [SIGNAL...]
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["WAYS", "trespasses"]

_PTRACE_ATTACH: Final = 16
_PTRACE_SEIZE: Final = 0x4206
_SYS_PIDFD_GETFD: Final = 438

_libc = ctypes.CDLL(None, use_errno=True)


def _called(result: int) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _ptrace(request: int, pid: int) -> None:
    _called(_libc.ptrace(ctypes.c_ulong(request), pid, None, None))


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _read_memory(pid: int) -> None:
    buffer = ctypes.create_string_buffer(8)
    here = _Vector(ctypes.addressof(buffer), 8)
    # Whether there is something at the address is asked after whether one may.
    there = _Vector(ctypes.addressof(buffer), 8)
    _called(
        _libc.process_vm_readv(
            pid,
            ctypes.byref(here),
            ctypes.c_ulong(1),
            ctypes.byref(there),
            ctypes.c_ulong(1),
            ctypes.c_ulong(0),
        )
    )


def _take_descriptor(pid: int) -> None:
    process = os.pidfd_open(pid)
    try:
        _called(_libc.syscall(ctypes.c_long(_SYS_PIDFD_GETFD), process, 0, 0))
    finally:
        os.close(process)


WAYS: Final[dict[str, Callable[[int], object]]] = {
    "attach": lambda pid: _ptrace(_PTRACE_ATTACH, pid),
    "seize": lambda pid: _ptrace(_PTRACE_SEIZE, pid),
    "memory": _read_memory,
    "descriptor": _take_descriptor,
    "mem": lambda pid: open(f"/proc/{pid}/mem", "rb").close(),
    "environ": lambda pid: Path(f"/proc/{pid}/environ").read_bytes(),
    "maps": lambda pid: Path(f"/proc/{pid}/maps").read_bytes(),
    "fd": lambda pid: os.listdir(f"/proc/{pid}/fd"),
    "cwd": lambda pid: os.readlink(f"/proc/{pid}/cwd"),
    "root": lambda pid: os.listdir(f"/proc/{pid}/root"),
}
"""All but signals."""


def _tried(way: Callable[[int], object], pid: int) -> str:
    try:
        way(pid)
    except OSError as error:
        return type(error).__name__
    return ""


def trespasses(pid: int, *signals: str) -> dict[str, str]:
    """Try every way, then signals; return the name of the error of each, or nothing."""
    found = {name: _tried(way, pid) for name, way in WAYS.items()}
    for name in signals or ("SIGKILL", "SIGSTOP"):
        number = signal.Signals[name]
        found[name] = _tried(lambda target, n=number: os.kill(target, n), pid)  # type: ignore[misc]
    return found


if __name__ == "__main__":
    print(json.dumps(trespasses(int(sys.argv[1]), *sys.argv[2:])))
