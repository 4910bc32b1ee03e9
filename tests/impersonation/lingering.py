"""A service whose handlers go on and on, and leave processes that do."""

import os
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

from signetrpc.rpc import Impersonation, Protection, method, service

__all__ = ["Lingering"]


def _deaf(sign: str) -> None:
    """Block for ever, and every signal too; `sign` is a file that tells of it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    Path(sign).write_text(str(os.getpid()))
    threading.Event().wait()


@service(
    "impersonation.Lingering",
    protection=Protection.SIGN,
    impersonate=Impersonation.REQUIRED,
)
class Lingering:
    """Ends only with its process."""

    @method
    async def process(self) -> int:
        """Return the process's id."""
        return os.getpid()

    @method
    async def waiting(self, sign: str) -> None:
        Path(sign).write_text(str(os.getpid()))
        await anyio.sleep_forever()

    @method
    async def giving(self, sign: str) -> AsyncIterator[int]:
        """Give the process's id, and no more."""
        yield os.getpid()
        Path(sign).write_text(str(os.getpid()))
        await anyio.sleep_forever()

    @method(inline=True)
    def deaf(self, sign: str) -> None:
        _deaf(sign)

    @method
    async def giving_deaf(self, sign: str) -> AsyncIterator[int]:
        """Give the process's id, and no more."""
        yield os.getpid()
        _deaf(sign)

    @method
    def leave(self, sign: str) -> None:
        """Leave a process behind that has a session of its own, and runs on."""
        if os.fork() == 0:
            os.setsid()
            _deaf(sign)
