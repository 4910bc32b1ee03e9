"""Stand-ins for the libraries of Windows that let a thread act as a caller.

They are C functions that ctypes makes, so the arguments cross as they would on Windows.
Each thread has a token or none, as there.
"""

import ctypes
import resource
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import CFUNCTYPE, POINTER, c_int32, c_void_p, wintypes
from types import SimpleNamespace
from typing import Any, NoReturn, TypeVar, cast

from signetrpc.transport._impersonate_windows import SecHandle, Windows, run_as

R = TypeVar("R")

CONTEXT = SecHandle(0x1122334455667788, 0xFFEEDDCCBBAA9988)
ANONYMOUS, IDENTIFICATION, IMPERSONATION, DELEGATION = range(4)
INVALID_HANDLE = -0x7FF6FCFF  # 0x80090301
TOKEN, THREAD = 0xFFFF8888, -2 & (1 << 64) - 1
NO_TOKEN, CANT_OPEN_ANONYMOUS, ACCESS_DENIED = 1008, 1347, 5


class Aborted(BaseException):
    """Instead of the end of the process."""


class Machine:
    """What Windows would do; says in `calls` what it was asked."""

    def __init__(self, level: int = IMPERSONATION) -> None:
        self.calls: list[str] = []
        self.statuses = {"impersonate": 0, "revert": 0}
        self.errors: dict[str, int] = {}
        self.level = level
        self.reverts = True
        self._tokens: dict[int, int] = {}
        self._error = 0
        handle, flag, number = wintypes.HANDLE, wintypes.BOOL, wintypes.DWORD
        pointer = POINTER(SecHandle)

        def c(*types: Any) -> Callable[[Callable[..., int]], Any]:
            return CFUNCTYPE(*types)

        @c(c_int32, pointer)
        def impersonate(context: Any) -> int:
            assert _same(context)
            self.calls.append("impersonate")
            if self.statuses["impersonate"] == 0 and self.level >= ANONYMOUS:
                self._tokens[threading.get_ident()] = self.level
            return self.statuses["impersonate"]

        @c(c_int32, pointer)
        def revert(context: Any) -> int:
            assert _same(context)
            self.calls.append("revert")
            if self.statuses["revert"] == 0 and self.reverts:
                del self._tokens[threading.get_ident()]
            return self.statuses["revert"]

        @c(flag, handle, number, flag, POINTER(handle))
        def open_token(thread: int, access: int, as_self: int, token: Any) -> int:
            assert (thread, access, as_self) == (THREAD, 8, True)
            self.calls.append("open")
            level = self._tokens.get(threading.get_ident())
            missing = NO_TOKEN if level is None else CANT_OPEN_ANONYMOUS
            self._error = self.errors.get("open", 0 if level else missing)
            if not self._error:
                token[0] = TOKEN
            return not self._error

        @c(flag, handle, c_int32, c_void_p, number, POINTER(number))
        def query(token: int, kind: int, at: int, size: int, used: Any) -> int:
            assert (token, kind, size) == (TOKEN, 9, 4)
            self.calls.append("query")
            self._error = self.errors.get("query", 0)
            c_int32.from_address(at).value = self._tokens[threading.get_ident()]
            used[0] = 4
            return not self._error

        @c(flag, handle)
        def close(token: int) -> int:
            assert token == TOKEN
            self.calls.append("close")
            return True

        @c(handle)
        def current_thread() -> int:
            return THREAD

        self.secur32 = SimpleNamespace(
            ImpersonateSecurityContext=impersonate, RevertSecurityContext=revert
        )
        self.advapi32 = SimpleNamespace(
            OpenThreadToken=open_token, GetTokenInformation=query
        )
        self.kernel32 = SimpleNamespace(
            GetCurrentThread=current_thread, CloseHandle=close
        )
        self.windows = Windows(
            secur32=cast("ctypes.CDLL", self.secur32),
            advapi32=cast("ctypes.CDLL", self.advapi32),
            kernel32=cast("ctypes.CDLL", self.kernel32),
            last_error=self.last_error,
            abort=self.abort,
        )

    def last_error(self) -> int:
        return self._error

    def abort(self) -> NoReturn:
        self.calls.append("abort")
        raise Aborted

    @property
    def acts_as_caller(self) -> bool:
        return threading.get_ident() in self._tokens

    def run(self, function: Callable[[], R], **options: Any) -> R:
        """Run a function as the caller, in a thread of its own."""
        return in_thread(
            lambda: run_as(CONTEXT, function, windows=self.windows, **options)
        )


def _same(context: Any) -> bool:
    found = context.contents
    return (found.lower, found.upper) == (CONTEXT.lower, CONTEXT.upper)


def in_thread(function: Callable[[], R]) -> R:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def die() -> None:
    """Fail to revert, with the real end of the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    machine = Machine()
    machine.statuses["revert"] = INVALID_HANDLE
    windows = Windows(
        secur32=cast("ctypes.CDLL", machine.secur32),
        advapi32=cast("ctypes.CDLL", machine.advapi32),
        kernel32=cast("ctypes.CDLL", machine.kernel32),
        last_error=machine.last_error,
    )
    try:
        in_thread(lambda: run_as(CONTEXT, list[int], windows=windows))
    finally:
        print("went on", flush=True)
