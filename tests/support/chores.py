"""A service whose handlers tell, and do, what a worker should never mind."""

import ctypes
import gc
import json
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from typing import Any

import anyio

from signetrpc.rpc import Impersonation, Protection, current_call, method, service

__all__ = ["Chores", "Fussy"]

_PR_GET_DUMPABLE = 3


def _descriptors() -> dict[str, str]:
    """Return what kind of file each open descriptor is."""
    found: dict[str, str] = {}
    for number in range(256):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        if stat.S_ISSOCK(mode):
            with socket.socket(fileno=os.dup(number)) as sock:
                found[str(number)] = sock.type.name
        else:
            kinds = {stat.S_IFCHR: "device", stat.S_IFREG: "file", stat.S_IFIFO: "pipe"}
            found[str(number)] = kinds.get(stat.S_IFMT(mode), "other")
    return found


def _signals() -> list[int]:
    """Return the signals that are not handled as always."""
    default = (signal.SIG_DFL, None)
    odd = {each: signal.getsignal(each) for each in signal.valid_signals()}
    return [int(each) for each, how in odd.items() if how not in default]


def _facts() -> dict[str, Any]:
    caller = current_call().caller
    user = caller.impersonated_as
    return {
        "uids": os.getresuid(),
        "gids": os.getresgid(),
        "groups": os.getgroups(),
        "pid": os.getpid(),
        "parent": os.getppid(),
        "environment": dict(os.environ),
        "descriptors": _descriptors(),
        "signals": _signals(),
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "stdout": str(type(sys.stdout).__name__),
        "gc": gc.isenabled(),
        "cwd": os.getcwd(),
        "threads": threading.active_count(),
        "dumpable": ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0),
        "caller": caller.principal,
        "user": None if user is None else user.name,
        "delegated": caller.delegated is not None,
        "main": sorted(vars(sys.modules["__main__"])),
    }


def _orphan() -> str:
    """Leave a process behind that has a session of its own, and return its number."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid:
            os.write(write, str(pid).encode())
            os._exit(0)
        while True:
            signal.pause()
    return os.read(read, 100).decode()


def _die(how: str) -> None:
    match how:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "crashed":
            ctypes.string_at(0)
        case "ended":
            os._exit(3)
        case _:
            raise ValueError(how)


@service("test.Chores")
class Chores:
    """What tests ask of a worker."""

    def __init__(self) -> None:
        self.count = 0

    @method(Protection.SIGN)
    async def facts(self) -> str:
        return json.dumps(_facts())

    @method(Protection.SIGN)
    def in_thread(self) -> str:
        return json.dumps(_facts())

    @method(Protection.SIGN)
    async def again(self) -> int:
        self.count += 1
        return self.count

    @method(Protection.SIGN)
    async def orphan(self) -> str:
        return _orphan()

    @method(Protection.SIGN)
    async def make_folder(self) -> str:
        """Put something where the caller's tickets would be."""
        folder = os.path.dirname(os.environ["KRB5CCNAME"].removeprefix("FILE:"))
        os.mkdir(folder)
        with open(f"{folder}/file", "w") as file:
            file.write("x")
        return folder

    @method(Protection.SIGN)
    async def die(self, how: str) -> None:
        _die(how)

    @method(Protection.SIGN)
    async def wait(self) -> None:
        logging.getLogger("chores").warning("waiting")
        await anyio.sleep_forever()

    @method(Protection.SIGN)
    def hang(self) -> None:
        logging.getLogger("chores").warning("hanging")
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        threading.Event().wait()

    @method(Protection.SIGN)
    async def say(self, text: str) -> None:
        print(text)
        logging.getLogger("chores").info("%s", text)

    @method(Protection.SIGN)
    async def forge(self, packet: bytes) -> None:
        """Send a packet over each socket that takes one."""
        for number, kind in _descriptors().items():
            if kind == socket.SOCK_SEQPACKET.name:
                with socket.socket(fileno=os.dup(int(number))) as sock:
                    sock.send(packet)

    @method(Protection.SIGN)
    async def allocate(self, size: int) -> int:
        return len(bytearray(size))

    @method(Protection.SIGN)
    async def child(self) -> str:
        """Run a program, and return its user's number."""
        done = subprocess.run(["/usr/bin/id", "-u"], capture_output=True, text=True)
        return done.stdout.strip()

    @method(Protection.SIGN, impersonate=Impersonation.NOT_ALLOWED)
    async def own(self) -> int:
        return os.getuid()


@service("test.Fussy")
class Fussy:
    """Cannot be made by everybody."""

    def __init__(self) -> None:
        if os.getuid() == 61002:
            raise PermissionError(f"not for {os.getuid()}")

    @method(Protection.SIGN)
    async def work(self) -> None:
        return None
