"""How a process becomes a user for good, and makes sure that it has.

In the order of OpenSSH's `permanently_set_uid`, and like it trusting no return value:
what the kernel says of the process afterwards is read and compared.

Linux only.  Source: credentials(7), capabilities(7), prctl(2), keyrings(7).
"""

import ctypes
import os
import resource
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from signetrpc.transport import LocalUser

__all__ = [
    "CAP_SETGID",
    "CAP_SETUID",
    "IdentityError",
    "act_as",
    "adopt_orphans",
    "become",
    "check",
    "die_with_parent",
    "keep_capabilities",
    "kill_for",
    "outlive_parent",
    "read_status",
    "seal_off",
    "switch_ids",
]

CAP_SETGID: Final = 6
CAP_SETUID: Final = 7

_CAP_VERSION_3: Final = 0x20080522
_PR_SET_PDEATHSIG: Final = 1
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_KEYCTL_GET_KEYRING_ID: Final = 0
_KEYCTL_JOIN_SESSION_KEYRING: Final = 1
_KEY_SPEC_SESSION_KEYRING: Final = -3
# By machine, from the kernel's tables: uapi/asm-generic/unistd.h and x86's own.
_SYS_KEYCTL: Final = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219}

_libc = ctypes.CDLL(None, use_errno=True)


class IdentityError(Exception):
    """The process is not, or cannot become, the user it was to be."""


def _prctl(option: int, value: int = 0) -> int:
    arguments = [ctypes.c_ulong(each) for each in (value, 0, 0, 0)]
    result: int = _libc.prctl(option, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl {option}: {os.strerror(error)}")
    return result


def keep_capabilities(*kept: int) -> None:
    """Give up every capability of this thread but those; ambient ones all.

    Raises:
        OSError: The kernel refused.
    """
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    mask = sum(1 << each for each in kept)
    header = (ctypes.c_uint32 * 2)(_CAP_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    # Effective, permitted, inheritable; twice 32 bits each.
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if _libc.capset(header, data) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"capset: {os.strerror(error)}")


def adopt_orphans() -> None:
    """Have what descendants of this process leave behind become its children.

    Raises:
        OSError: The kernel refused.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def switch_ids(user: LocalUser) -> None:
    """Take a user's groups, group and user id: real, effective and saved.

    Raises:
        OSError: The kernel refused.
    """
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    keep_capabilities()


def act_as(user: LocalUser) -> None:
    """Take a user's groups and effective ids, and no capabilities; for our own code.

    The real and saved ids stay, by which signals are allowed: the user can neither
    stop nor kill this process.

    Raises:
        OSError: The kernel refused.
    """
    os.setgroups(user.groups)
    os.setresgid(-1, user.gid, -1)
    os.setresuid(-1, user.uid, -1)
    keep_capabilities()


def kill_for(user: LocalUser, process: int) -> None:
    """Kill a process of a user's, after `act_as`.

    Args:
        user: Whose it is; or it was forked for the user and is not the user's yet.
        process: A descriptor of it, from `pidfd_open`.
    """
    for uid in (user.uid, os.getuid(), user.uid):
        os.seteuid(uid)
        try:
            return signal.pidfd_send_signal(process, signal.SIGKILL)
        except PermissionError:
            continue
        except ProcessLookupError:
            return


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends.

    To be called after every change of ids, which forgets it.  The kernel asks then
    whether the parent may signal this process (kill(2)), so it is of no use to a
    worker, who is another user than its template.

    Raises:
        IdentityError: The parent has ended already.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise IdentityError("the parent process is gone")


def outlive_parent() -> None:
    """Take `die_with_parent` back.

    Raises:
        OSError: The kernel refused.
    """
    _prctl(_PR_SET_PDEATHSIG, 0)


def seal_off(*, max_memory_bytes: int) -> None:
    """Cut off what reaches past the ids: privileges by exec, tracing, keys, core dumps.

    Raises:
        OSError: The kernel refused.
        IdentityError: The session's keys would stay within reach.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # Nobody of the same user traces it or reads its memory (ptrace(2)).
    _prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (max_memory_bytes, max_memory_bytes))
    os.umask(0o077)
    os.chdir("/")
    _leave_keyring()


def _keyctl(operation: int, argument: int | None) -> int:
    number = _SYS_KEYCTL.get(os.uname().machine)
    if number is None:
        raise IdentityError(f"keyrings of {os.uname().machine} are not known here")
    call = _libc.syscall
    call.restype = ctypes.c_long
    value = None if argument is None else ctypes.c_long(argument)
    result: int = call(ctypes.c_long(number), ctypes.c_long(operation), value, 0, 0, 0)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _session_keyring() -> int | None:
    """Return the session keyring's number, or None where keyrings are out of reach."""
    try:
        return _keyctl(_KEYCTL_GET_KEYRING_ID, _KEY_SPEC_SESSION_KEYRING)
    except OSError:
        return None


def _leave_keyring() -> None:
    before = _session_keyring()
    try:
        _keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None)
    except OSError as error:
        # A kernel without keyrings or a filter that forbids them: nothing to leave.
        if before is not None:
            raise IdentityError(f"no session keyring of its own: {error}") from error
        return
    if _session_keyring() == before:
        raise IdentityError("the session keyring is still the service's")


def read_status() -> dict[str, str]:
    """Return what the kernel says of this process, from `/proc/self/status`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in map(_parted, lines)}


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def check(user: LocalUser, status: Mapping[str, str]) -> None:
    """Compare what the kernel says of this process with what it was to become.

    Args:
        user: Who it was to become.
        status: From `read_status`.

    Raises:
        IdentityError: They differ; the text names the first difference.
    """
    nothing = "0" * 16
    wanted = {
        "Uid": [str(user.uid)] * 4,
        "Gid": [str(user.gid)] * 4,
        "CapInh": [nothing],
        "CapPrm": [nothing],
        "CapEff": [nothing],
        "CapAmb": [nothing],
        "NoNewPrivs": ["1"],
        "Umask": ["0077"],
        "Threads": ["1"],
    }
    for name, values in wanted.items():
        if status.get(name, "").split() != values:
            raise IdentityError(
                f"{name} is {status.get(name)!r}, not {' '.join(values)!r}"
            )
    groups = sorted(int(each) for each in status.get("Groups", "").split())
    if groups != sorted(user.groups):
        raise IdentityError(f"Groups are {groups}, not {sorted(user.groups)}")


def become(user: LocalUser, *, max_memory_bytes: int) -> None:
    """Become a user, irrevocably, with nothing left of what this process was.

    To be called in a process that was forked for it and has one thread.

    Args:
        user: Who.
        max_memory_bytes: The most private memory to have.

    Raises:
        OSError: The kernel refused a step.
        IdentityError: The process is not what it was to become.
    """
    os.setsid()
    switch_ids(user)
    seal_off(max_memory_bytes=max_memory_bytes)
    check(user, read_status())
    if _prctl(_PR_GET_DUMPABLE) != 0:
        raise IdentityError("the process can still be traced")
    if os.getcwd() != "/":
        raise IdentityError(f"the folder is still {os.getcwd()}")
    for regain in (_regain_uid, _regain_gid):
        try:
            regain()
        except PermissionError:
            continue
        raise IdentityError("the process could become root again")


def _regain_uid() -> None:
    os.setresuid(-1, 0, -1)


def _regain_gid() -> None:
    os.setresgid(-1, 0, -1)
