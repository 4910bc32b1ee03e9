"""A thread with an event loop in it, on which a blocking channel lives.

The thread is a daemon, and ends by itself when the interpreter does: a channel that
nobody closed keeps no program from ending.

A process that was forked has none of its parent's threads, so that nothing it asked of
the loop would ever be answered; and the connection is its parent's, whose next message
would not be what the server expects if the child had sent one.  So everything here
looks first whether it is still in the process that it began in.  No lock is taken
before: a thread that is gone may hold it.
"""

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Generic, ParamSpec, TypeVar
from weakref import WeakSet

from ._context import CURRENT
from ._status import StatusCode
from .errors import RpcError

__all__ = ["LoopThread", "channel_closed"]

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")

_EXIT_SECONDS: Final = 2.0
"""So long the interpreter's end waits for channels to say goodbye."""

_open: "WeakSet[LoopThread[Any]]" = WeakSet()


def channel_closed() -> RpcError:
    """Return what calls of a closed channel fail with."""
    return RpcError(StatusCode.CANCELLED, "the channel is closed")


class LoopThread(Generic[C]):
    """An event loop in a thread, for as long as an async context is entered on it."""

    def __init__(self, entering: Callable[[], AbstractAsyncContextManager[C]]) -> None:
        """Prepare; `start` begins.

        Args:
            entering: Makes the context.  Runs on the loop.
        """
        self._entering = entering
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        # A finalizer may close the channel while this very thread is in the gate.
        self._gate = threading.RLock()
        self._shut = False
        self._entered: Future[C] = Future()
        self._failure: Exception | None = None
        self._task: asyncio.Task[Any] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run, name="signet blocking channel", daemon=True
        )

    def start(self) -> C:
        """Start the thread, enter the context and return what it gives.

        Raises:
            Exception: What entering it raised.  The thread has ended then.
        """
        _open.add(self)
        self._thread.start()
        try:
            return self._entered.result()
        except BaseException:
            self.close()
            raise

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._main())
        except Exception as error:
            self._failure = error

    async def _main(self) -> None:
        self._task = asyncio.current_task()
        try:
            if self._leaving.is_set():
                raise channel_closed()
            async with self._entering() as entered:
                self._entered.set_result(entered)
                await self._leaving.wait()
        except BaseException as error:
            if self._entered.done():
                raise
            self._entered.set_exception(error)
        finally:
            with self._gate:  # before the loop is closed, which nobody may find so
                self._shut = True

    def close(self, *, exiting: bool = False) -> None:
        """Leave the context and wait for the thread's end.

        In a forked process it does nothing: thread and connection are the parent's.

        Args:
            exiting: Because the interpreter ends, which does not wait for ever, and in
                which a loop cannot have what it needs new threads for.

        Raises:
            Exception: What leaving the context raised, unless the interpreter ends.
        """
        if self.forked:
            return
        _open.discard(self)
        with self._gate:
            first, self._shut = not self._shut, True
            if first:
                # From the gate's shutting on, nobody else can ask the loop anything.
                self._loop.call_soon_threadsafe(self._leave)
        if threading.current_thread() is not self._thread:
            self._thread.join(_EXIT_SECONDS if exiting else None)
            if self._failure is not None and not exiting:
                raise self._failure

    def _leave(self) -> None:
        self._leaving.set()
        if self._task is not None and not self._entered.done():
            self._task.cancel()

    @property
    def forked(self) -> bool:
        """True in a process that was forked after this was made."""
        return os.getpid() != self._process

    def check(self) -> None:
        """Refuse to go on in a forked process.

        Raises:
            RuntimeError: This is one.
        """
        if self.forked:
            raise RuntimeError(
                f"this channel belongs to process {self._process}, from which process "
                f"{os.getpid()} was forked: connect again here"
            )

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Run a callback on the loop, in the caller's context.

        Raises:
            RpcError: CANCELLED; the channel is closed.
            RuntimeError: This is a forked process.
        """
        self.check()
        with self._gate:
            if self._shut:
                raise channel_closed()
            self._loop.call_soon_threadsafe(callback)

    def call_soon_if_open(self, callback: Callable[[], object]) -> None:
        """Run a callback on the loop, if there still is one.

        Takes no lock, so that finalizers can call it wherever they happen to run.
        """
        if not self.forked:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(callback)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task; call this on the loop.

        The task is kept until it ends, which in a forked process is never.  There a
        task that nobody keeps would be closed as garbage, and its cleaning up would
        work on the parent's connection.
        """
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def run(
        self,
        function: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a coroutine on the loop, in the caller's context, and wait for it.

        An interrupt (KeyboardInterrupt) cancels it, and so does the end of the call
        that a handler's thread serves.

        Raises:
            RpcError: CANCELLED; the channel is closed.
            RuntimeError: This is a forked process.
            Exception: What the coroutine raised.
        """
        self.check()
        with self._gate:
            if self._shut:
                raise channel_closed()
            future = asyncio.run_coroutine_threadsafe(
                function(*args, **kwargs), self._loop
            )
        serving = CURRENT.get(None)
        done = None if serving is None else serving.on_cancelled(future.cancel)
        try:
            return future.result()
        except CancelledError as error:  # with the loop, or the call
            if serving is not None and serving.cancelled:
                text = "the call that this is part of has ended"
                raise RpcError(StatusCode.CANCELLED, text) from error
            raise channel_closed() from error
        finally:
            if done is not None:
                done()
            future.cancel()  # does nothing to a call that has ended


def _close_all() -> None:
    for each in list(_open):
        each.close(exiting=True)


atexit.register(_close_all)
