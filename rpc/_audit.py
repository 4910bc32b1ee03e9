"""The audit: one record of each call that has ended, whatever ended it.

Records are written by a thread of the audit's own, so that a slow disk or callback
holds no call up.  What it cannot write in time is lost, and how much is counted.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Final

import anyio
import anyio.to_thread

from ._audit_record import MAX_CHARACTERS, AuditRecord
from ._context import CallContext
from ._status import StatusCode

__all__ = ["Audit", "AuditRecord"]

_log: Final = logging.getLogger("signetrpc.rpc")
_audit_log: Final = logging.getLogger("signetrpc.audit")

_REFUSALS: Final = (StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED)

_Queue = SimpleQueue[AuditRecord | None]
"""What a thread has to write; after None it ends."""


@dataclass(frozen=True, slots=True)
class _Writer:
    thread: Thread
    queue: _Queue


class Audit:
    """Tells a logger and a callback of each call that has ended.

    The logger is `signetrpc.audit`: INFO, or WARNING for a call that was refused, with
    the record as attribute `audit` of the log record.
    """

    def __init__(
        self,
        callback: Callable[[AuditRecord], None] | None = None,
        *,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; the thread starts with the first record.

        Args:
            callback: Gets each record, in the audit's thread and in order.  It may
                block; what it raises is logged.
            capacity: Records that may wait; further ones are lost.
            clock: Seconds since the epoch.

        Raises:
            ValueError: The capacity is below 1.
        """
        if capacity < 1:
            raise ValueError(f"a capacity of {capacity}, and 1 is the least")
        self._callback: Final = callback
        self._capacity: Final = capacity
        self._clock: Final = clock
        self._lock: Final = Lock()  # over what follows; nothing waits while it has it
        self._writer: _Writer | None = None
        self._lost = 0
        self._told = 0

    @property
    def lost(self) -> int:
        """How many records were not written, since the beginning."""
        return self._lost

    def call_ended(
        self,
        context: CallContext,
        status: StatusCode,
        reason: str = "",
        /,
        *,
        impersonated_as: str | None = None,
    ) -> None:
        """Record how a call ended.  Neither blocks nor raises.

        Args:
            context: The call.
            status: How it ended.
            reason: Why it was refused.
            impersonated_as: The local user its handler ran as, if the context's caller
                does not say.
        """
        if self._callback is None and not _audit_log.isEnabledFor(_level(status)):
            return
        caller = context.caller
        if impersonated_as is None and caller.impersonated_as is not None:
            impersonated_as = caller.impersonated_as.name
        self.record(
            AuditRecord(
                time=self._clock(),
                session_id=caller.session_id,
                principal=caller.principal[:MAX_CHARACTERS],
                mechanism=caller.mechanism,
                protection=context.protection,
                channel_bound=caller.channel_bound,
                impersonated_as=impersonated_as,
                delegated=caller.delegated is not None,
                method=context.method,
                status=status,
                seconds=context.age(),
                reason=reason[:MAX_CHARACTERS],
            )
        )

    def record(self, record: AuditRecord) -> None:
        """Have a record written.  Neither blocks nor raises."""
        with self._lock:
            writer = self._writer or self._start()
            if writer is None or writer.queue.qsize() >= self._capacity:
                self._lost += 1
            else:
                writer.queue.put(record)

    def close(self, timeout: float = 5.0) -> bool:
        """Write what waits, and end the thread.  A later record starts another.

        Args:
            timeout: Seconds after which what still waits is lost.

        Returns:
            True if everything was written that waited.
        """
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is None:
            return True
        writer.queue.put(None)
        writer.thread.join(timeout)
        written = not writer.thread.is_alive()
        if not written:
            with suppress(Empty):
                while writer.queue.get_nowait() is not None:
                    with self._lock:
                        self._lost += 1
            writer.queue.put(None)  # for when its callback comes back after all
        self._tell()
        return written

    async def aclose(self, timeout: float = 5.0) -> bool:
        """Do as `close`, and let others run meanwhile.  Not cut short by cancelling."""
        written = False
        with anyio.CancelScope(shield=True):
            written = await anyio.to_thread.run_sync(
                self.close, timeout, limiter=anyio.CapacityLimiter(1)
            )
        return written

    def _start(self) -> _Writer | None:
        """Start a thread, with the lock held; None if the system has no more."""
        queue: _Queue = SimpleQueue()
        thread = Thread(
            target=self._run, args=(queue,), name="signetrpc-audit", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            return None
        self._writer = _Writer(thread, queue)
        return self._writer

    def _run(self, queue: _Queue) -> None:
        since = 0
        while (record := queue.get()) is not None:
            self._write(record)
            since += 1
            # Not after each record, or the notes would be what there is no time for.
            if queue.empty() or since >= self._capacity:
                since = 0
                self._tell()

    def _write(self, record: AuditRecord) -> None:
        for write in (_write_log, self._callback):
            try:
                if write is not None:
                    write(record)
            except BaseException:  # nobody above could do anything about it
                with suppress(Exception):
                    _log.exception("a record of the audit was not taken")

    def _tell(self) -> None:
        with self._lock:
            count, self._told = self._lost - self._told, self._lost
        if count:
            with suppress(Exception):
                _audit_log.warning("%d audit records lost", count)


def _write_log(record: AuditRecord) -> None:
    _audit_log.log(_level(record.status), "%s", record, extra={"audit": record})


def _level(status: StatusCode) -> int:
    return logging.WARNING if status in _REFUSALS else logging.INFO
