"""Acting as a caller on Windows: one thread at a time, by SSPI.

Type-checked for Windows, and tested with stand-ins for its libraries; it was never run
on Windows.  There is no server on Windows yet that could use it: what is missing is in
docs/impersonation-windows.md.

Windows gives a thread a second token, its caller's, and checks that one when the thread
opens something.  It is taken on trust nowhere here:

- Windows lowers the token to Identification, without an error, if the server lacks the
  privilege to impersonate.  Such a token opens nothing, so the level is read back.
- One level of impersonation ends every other of the thread, so there is none inside
  another: its end would leave the outer one running as the server.
- A thread that cannot become the server again must not go on, nor may the process.
- Not the main thread: there Ctrl-C can strike between a block and its end, and handlers
  of signals would run as the caller.

Source: Microsoft's pages on ImpersonateSecurityContext, RevertToSelf ("shut down the
process if RevertToSelf fails"), OpenThreadToken and SECURITY_IMPERSONATION_LEVEL.
"""

import ctypes
import inspect
import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from ctypes import wintypes
from typing import ClassVar, Final, NoReturn, TypeVar, TypeVarTuple

import anyio.lowlevel

from ._identity import ImpersonationLevel

__all__ = ["NotImpersonated", "SecHandle", "Windows", "impersonated", "run_as"]

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

_SEC_E_OK: Final = 0
_TOKEN_QUERY: Final = 0x0008
_TOKEN_IMPERSONATION_LEVEL: Final = 9
_ERROR_NO_TOKEN: Final = 1008
_ERROR_CANT_OPEN_ANONYMOUS: Final = 1347
_ONLY_SYSTEM32: Final = 0x0800
_ANONYMOUS: Final = 0
# SECURITY_IMPERSONATION_LEVEL counts from SecurityAnonymous, which we don't have.
_LEVELS: Final = {each + 1: each for each in ImpersonationLevel}


class SecHandle(ctypes.Structure):
    """The handle of an acceptor's security context, as AcceptSecurityContext fills it.

    Who made the context keeps it until nobody acts for its caller any more.
    """

    _fields_: ClassVar = [("lower", ctypes.c_size_t), ("upper", ctypes.c_size_t)]


class NotImpersonated(PermissionError):
    """The thread does not act as the caller: nothing was run, and it is the server.

    Attributes:
        status: What Windows answered, if that is why: a SECURITY_STATUS.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def _abort() -> NoReturn:
    with suppress(OSError):
        os.write(2, b"signetrpc: a thread cannot stop acting as its caller\n")
    # Not sys.exit: that unwinds, and whatever it runs would run as the caller.
    os.abort()


class Windows:
    """The few functions of Windows that this takes, for the thread that calls."""

    def __init__(
        self,
        *,
        secur32: ctypes.CDLL,
        advapi32: ctypes.CDLL,
        kernel32: ctypes.CDLL,
        last_error: Callable[[], int],
        abort: Callable[[], NoReturn] = _abort,
    ) -> None:
        """Use libraries that are loaded; see `load`.

        Args:
            secur32: Has ImpersonateSecurityContext and RevertSecurityContext.
            advapi32: Has OpenThreadToken and GetTokenInformation.
            kernel32: Has GetCurrentThread and CloseHandle.
            last_error: Returns the error number of the last call.
            abort: Ends the process without running anything more of it.
        """
        handle, flag, number = wintypes.HANDLE, wintypes.BOOL, wintypes.DWORD
        # SECURITY_STATUS is a LONG, which is 32 bits on Windows alone.
        self._impersonate = secur32.ImpersonateSecurityContext
        self._impersonate.argtypes = [ctypes.POINTER(SecHandle)]
        self._impersonate.restype = ctypes.c_int32
        self._revert = secur32.RevertSecurityContext
        self._revert.argtypes = [ctypes.POINTER(SecHandle)]
        self._revert.restype = ctypes.c_int32
        self._open = advapi32.OpenThreadToken
        self._open.argtypes = [handle, number, flag, ctypes.POINTER(handle)]
        self._open.restype = flag
        self._query = advapi32.GetTokenInformation
        self._query.argtypes = [
            handle,
            ctypes.c_int32,
            ctypes.c_void_p,
            number,
            ctypes.POINTER(number),
        ]
        self._query.restype = flag
        self._thread = kernel32.GetCurrentThread
        self._thread.argtypes = []
        self._thread.restype = handle
        self._close = kernel32.CloseHandle
        self._close.argtypes = [handle]
        self._close.restype = flag
        self._last_error = last_error
        self.abort = abort

    @classmethod
    def load(cls) -> "Windows":
        """Load the libraries, from System32 and nowhere else.

        Raises:
            OSError: This is not Windows.
        """
        if sys.platform != "win32":
            raise OSError(f"threads impersonate on Windows, and this is {sys.platform}")

        def library(name: str) -> ctypes.CDLL:
            return ctypes.WinDLL(name, use_last_error=True, winmode=_ONLY_SYSTEM32)

        return cls(
            secur32=library("secur32"),
            advapi32=library("advapi32"),
            kernel32=library("kernel32"),
            last_error=ctypes.get_last_error,
        )

    def impersonate(self, context: SecHandle) -> int:
        """Give the thread its caller's token; return a status, 0 for success."""
        return int(self._impersonate(ctypes.byref(context)))

    def revert(self, context: SecHandle) -> int:
        """Take the thread's token away; return a status, 0 for success."""
        return int(self._revert(ctypes.byref(context)))

    def token_level(self) -> int | None:
        """Return the SECURITY_IMPERSONATION_LEVEL of the thread's token.

        Returns:
            0 to 3, from anonymous to delegation; None if the thread is the server.

        Raises:
            OSError: Windows does not say.
        """
        token = wintypes.HANDLE()
        # As self: a token for identification opens nothing, itself included.
        if not self._open(self._thread(), _TOKEN_QUERY, True, ctypes.byref(token)):
            match self._last_error():
                case error if error == _ERROR_NO_TOKEN:
                    return None
                case error if error == _ERROR_CANT_OPEN_ANONYMOUS:
                    return _ANONYMOUS
                case error:
                    raise OSError(f"OpenThreadToken failed, error {error}")
        level, size = ctypes.c_int32(), wintypes.DWORD()
        try:
            if not self._query(
                token,
                _TOKEN_IMPERSONATION_LEVEL,
                ctypes.byref(level),
                ctypes.sizeof(level),
                ctypes.byref(size),
            ):
                error = self._last_error()
                raise OSError(f"GetTokenInformation failed, error {error}")
        finally:
            self._close(token)
        return level.value


@contextmanager
def impersonated(
    context: SecHandle,
    *,
    at_least: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
    windows: Windows | None = None,
) -> Generator[ImpersonationLevel]:
    """Let the calling thread act as a context's client, for the length of a block.

    For worker threads, which run nothing else meanwhile, and not around a `yield`.
    Threads and processes that the block starts act as the server.

    Args:
        context: An acceptor's, complete.
        at_least: What the token has to allow: IMPERSONATE, or DELEGATE to call onward.
        windows: The libraries; None loads them.

    Returns:
        The level of the thread's token, as the block's value.

    Raises:
        NotImpersonated: The thread could not become the client, or its token allows
            less than `at_least`, or it acts for somebody already.
        RuntimeError: This is the main thread or a task, whose thread runs other things
            that would act as the client.
        ValueError: `at_least` is IDENTIFY, which does not let anybody act.
        OSError: This is not Windows, or Windows does not say what the thread is.
    """
    if at_least is ImpersonationLevel.IDENTIFY:
        raise ValueError("nobody acts as a client at level IDENTIFY")
    if windows is None:
        windows = Windows.load()
    _refuse_shared_threads()
    if windows.token_level() is not None:
        raise NotImpersonated("the thread acts for somebody already")
    thread = threading.get_ident()
    try:
        status = windows.impersonate(context)
        if status != _SEC_E_OK:
            text = f"ImpersonateSecurityContext answered 0x{status & 0xFFFFFFFF:08X}"
            raise NotImpersonated(text, status=status)
        number = windows.token_level()
        level = None if number is None else _LEVELS.get(number)
        if level is None or level < at_least:
            found = "no caller's token" if level is None else f"level {level.name}"
            raise NotImpersonated(
                f"the thread has {found}, and {at_least.name} is needed; "
                "does the service have SeImpersonatePrivilege?"
            )
        yield level
    finally:
        if not _is_the_server_again(windows, context, thread):
            windows.abort()


def run_as(
    context: SecHandle,
    function: Callable[[*Ts], R],
    *args: *Ts,
    at_least: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
    windows: Windows | None = None,
) -> R:
    """Call a plain function in this thread, as a context's client.

    Run it in a worker thread: `anyio.to_thread.run_sync(run_as, context, ...)`.

    Args:
        context: An acceptor's, complete.
        function: A `def`; what it returns must be done with.
        *args: What it is called with.
        at_least: What the token has to allow; see `impersonated`.
        windows: The libraries; None loads them.

    Raises:
        TypeError: The function returned something that is yet to run, such as a
            coroutine: that would run as the server.
        NotImpersonated: And the others of `impersonated`.
    """
    with impersonated(context, at_least=at_least, windows=windows):
        result = function(*args)
    _refuse_to_run_later(result)
    return result


def _refuse_to_run_later(result: object) -> None:
    if inspect.iscoroutine(result):
        # Or Python warns that nobody awaited it.
        result.close()
    elif not (
        inspect.isawaitable(result)
        or inspect.isgenerator(result)
        or inspect.isasyncgen(result)
    ):
        return
    raise TypeError(f"a {type(result).__name__} would run later, as the server")


def _refuse_shared_threads() -> None:
    where = "the main thread"
    if threading.current_thread() is not threading.main_thread():
        try:
            anyio.lowlevel.current_token()
        except RuntimeError:
            return
        where = "the thread of an event loop"
    raise RuntimeError(f"{where} runs other things, which would act as the client")


def _is_the_server_again(windows: Windows, context: SecHandle, thread: int) -> bool:
    """Take the client's token off the thread that has it, and look whether it is gone.

    A block that was left in another thread than it was entered in leaves the token
    where nobody can reach it.
    """
    try:
        if threading.get_ident() != thread:
            return False
        if windows.token_level() is not None and windows.revert(context) != _SEC_E_OK:
            return False
        return windows.token_level() is None
    except BaseException:
        # Whatever it was, an interrupt too: nobody knows now whom the thread acts for.
        return False
