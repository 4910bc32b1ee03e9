"""Signals that drain a server: the first lets calls finish, the next ends it all."""

import signal
import threading
from collections.abc import Awaitable, Callable, Collection
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Final, Self, TypeAlias

import anyio

from signetrpc.transport._loops import Loop

__all__ = ["DrainSignals"]

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None

_taken: Final[set[int]] = set()


class DrainSignals:
    """The signals that drain a server while it serves.  A context manager, used once.

    A process has one handler for each signal, so no two of these have one in common.
    """

    def __init__(self, numbers: Collection[signal.Signals], grace: float) -> None:
        """Take them in; nothing is changed before `arm`.

        Args:
            numbers: Which; none for no effect at all.
            grace: Seconds for calls under way.

        Raises:
            ValueError: This is not the main thread, where alone there are signals; one
                cannot be handled or drains another server already; or the grace is
                below 0.
        """
        self._numbers = {signal.Signals(each) for each in numbers}
        self._grace = grace
        self._armed = ExitStack()
        self._before: dict[signal.Signals, _Handler] = {}
        if not grace >= 0:
            raise ValueError(f"a grace of {grace} seconds is below 0")
        if not self._numbers:
            return
        if threading.current_thread() is not threading.main_thread():
            raise ValueError(
                "drain_on needs the main thread: there are no signals in others"
            )
        for each in sorted(self._numbers):
            if each.name in ("SIGKILL", "SIGSTOP"):
                raise ValueError(f"{each.name} cannot be handled, by drain_on neither")
            if each in _taken:
                raise ValueError(f"{each.name} drains another server already")

    def __enter__(self) -> Self:
        _taken.update(self._numbers)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back as they were."""
        self._armed.close()
        for number, handler in self._before.items():
            # None stands for one that is not Python's, and cannot be given back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _taken.difference_update(self._numbers)

    def arm(self, loop: Loop, drain: Callable[[float], Awaitable[None]]) -> None:
        """Let the first signal drain, from now on.

        Args:
            loop: Runs what waits for it.
            drain: Gets the grace.
        """
        if not self._numbers:
            return
        self._before = {each: signal.getsignal(each) for each in self._numbers}
        receiver = anyio.open_signal_receiver(*self._numbers)
        signals = self._armed.enter_context(receiver)

        async def wait() -> None:
            await anext(signals)
            self._armed.close()
            # Draining takes as long as calls do, within the grace, and as handlers in
            # threads, which nobody can cancel: the next signal ends the process as
            # signals do.
            for each in self._numbers:
                signal.signal(each, signal.SIG_DFL)
            await drain(self._grace)

        loop.spawn(wait())
