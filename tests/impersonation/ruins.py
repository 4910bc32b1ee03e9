"""Ways in which a handler ends the process that it runs in, or makes it useless.

None of them returns.
"""

import ctypes
import os
import signal
import stat
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["RUINS"]


def _stay() -> str:
    threading.Event().wait()
    return ""


def _signal(number: signal.Signals) -> str:
    os.kill(os.getpid(), number)
    return _stay()


def _exit() -> str:
    os._exit(0)


def _abort() -> str:
    os.abort()


def _segfault() -> str:
    ctypes.string_at(0)
    return _stay()


def _become_another_program() -> str:
    os.execv("/bin/sleep", ["sleep", "1000"])


def _close_everything() -> str:
    os.closerange(3, 1024)
    return _stay()


def _close_sockets() -> str:
    """The control socket among them."""
    for descriptor in range(3, 1024):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.close(descriptor)
        except OSError:
            continue
    return _stay()


def _die_traced() -> str:
    """Leave a thread that its tracer has to wait for: the parent, who never asked."""
    traced = threading.Event()

    def trace() -> None:
        if ctypes.CDLL(None).ptrace(0, 0, None, None) == 0:  # PTRACE_TRACEME
            traced.set()
        _stay()

    threading.Thread(target=trace, daemon=True).start()
    traced.wait()
    return _signal(signal.SIGKILL)


def _kill_all() -> str:
    """Kill whatever may be killed, but for the process itself (kill(2))."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nobody else's was among them
    return _signal(signal.SIGKILL)


RUINS: Final[dict[str, Callable[[], str]]] = {
    "kill": lambda: _signal(signal.SIGKILL),
    "stop": lambda: _signal(signal.SIGSTOP),
    "exit": _exit,
    "abort": _abort,
    "segfault": _segfault,
    "exec": _become_another_program,
    "close": _close_everything,
    "close sockets": _close_sockets,
    "kill all": _kill_all,
    "die traced": _die_traced,
}
