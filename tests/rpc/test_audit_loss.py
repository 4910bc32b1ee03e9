"""An audit that is not taken in time, or not at all: counted, and in no call's way."""

import logging
import threading
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from signetrpc.rpc import AuditRecord
from signetrpc.rpc._audit import Audit
from tests.support.audits import PATIENCE, Gate, collected, numbered, threads


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    with collected() as records:
        yield records


# Loss.


def test_what_does_not_fit_is_lost_counted_and_told_once(
    gate: Gate, log: list[logging.LogRecord]
) -> None:
    audit = Audit(gate, capacity=3)
    audit.record(numbered(0))
    assert gate.entered.wait(PATIENCE)  # taken out of the queue, and held
    for number in range(1, 9):
        audit.record(numbered(number))
    assert audit.lost == 5
    gate.open.set()
    assert audit.close(PATIENCE)
    assert [record.seconds for record in gate.taken] == [0, 1, 2, 3]
    assert audit.lost == 5
    (told,) = [each for each in log if "audit" not in each.__dict__]
    assert told.getMessage() == "5 audit records lost"
    assert told.levelno == logging.WARNING
    audit.record(numbered(9))
    assert audit.close(PATIENCE)
    assert [record.seconds for record in gate.taken] == [0, 1, 2, 3, 9]
    assert [each for each in log if "audit" not in each.__dict__] == [told]


def test_loss_is_told_though_records_never_stop_coming(
    log: list[logging.LogRecord],
) -> None:
    """Each record that is written brings two more, of which one is lost."""
    audit: Audit
    last = threading.Event()

    def refill(record: AuditRecord) -> None:
        if record.seconds == 20:
            last.set()
        else:
            audit.record(numbered(int(record.seconds) + 1))
            audit.record(numbered(-1))

    audit = Audit(refill, capacity=1)
    audit.record(numbered(0))
    assert last.wait(PATIENCE)
    assert audit.close(PATIENCE)
    assert audit.lost == 20
    told = [each.getMessage() for each in log if "audit" not in each.__dict__]
    assert told == ["1 audit records lost"] * 20


def test_threads_that_record_at_once_lose_exactly_what_is_not_written(
    gate: Gate,
) -> None:
    audit = Audit(gate, capacity=100)

    def record() -> None:
        for number in range(500):
            audit.record(numbered(number))

    senders = [threading.Thread(target=record) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(PATIENCE)
    gate.open.set()
    assert audit.close(PATIENCE)
    assert len(gate.taken) + audit.lost == 2000
    assert len(gate.taken) in (100, 101)  # the thread may hold one


def test_closing_waits_no_longer_than_it_is_told(
    gate: Gate, log: list[logging.LogRecord]
) -> None:
    audit = Audit(gate)
    audit.record(numbered(0))
    assert gate.entered.wait(PATIENCE)
    (thread,) = threads()
    audit.record(numbered(1))
    audit.record(numbered(2))
    assert not audit.close(0.0)
    assert audit.lost == 2
    assert log[-1].getMessage() == "2 audit records lost"
    # A callback that comes back after all ends its thread; others are not held up.
    audit.record(numbered(3))
    gate.open.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert audit.close(PATIENCE)
    assert sorted(record.seconds for record in gate.taken) == [0, 3]
    assert audit.lost == 2


def test_without_a_thread_records_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    taken: list[AuditRecord] = []
    audit = Audit(taken.append)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        audit.record(numbered(0))
    assert audit.lost == 1
    audit.record(numbered(1))
    assert audit.close(PATIENCE)
    assert taken == [numbered(1)]


# Errors of those who listen.


@pytest.mark.parametrize("error", [ValueError("?"), SystemExit(1), KeyboardInterrupt()])
def test_what_a_callback_raises_is_logged(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[AuditRecord] = []

    def callback(record: AuditRecord) -> None:
        taken.append(record)
        if len(taken) == 1:
            raise error

    audit = Audit(callback)
    audit.record(numbered(0))
    audit.record(numbered(1))
    assert audit.close(PATIENCE)
    assert [record.seconds for record in taken] == [0, 1]
    (logged,) = [each for each in caplog.records if each.name == "signetrpc.rpc"]
    assert logged.getMessage() == "a record of the audit was not taken"
    assert logged.exc_info is not None and logged.exc_info[1] is error


class Refusing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise ValueError("the log is broken")


@pytest.fixture
def broken_log() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("signetrpc.audit", "signetrpc.rpc")]
    refusing = Refusing()
    for logger in loggers:
        logger.addFilter(refusing)
    yield
    for logger in loggers:
        logger.removeFilter(refusing)


def test_a_log_that_is_broken_harms_nothing_else(
    broken_log: None, log: list[logging.LogRecord], gate: Gate
) -> None:
    audit = Audit(gate, capacity=1)
    audit.record(numbered(0))
    assert gate.entered.wait(PATIENCE)
    audit.record(numbered(1))
    audit.record(numbered(2))
    gate.open.set()
    assert audit.close(PATIENCE)
    assert [record.seconds for record in gate.taken] == [0, 1]
    assert audit.lost == 1
    assert log == []


# Closing inside an event loop.


@pytest.mark.anyio
async def test_others_run_while_it_closes(gate: Gate) -> None:
    audit = Audit(gate)
    audit.record(numbered(0))
    ended: list[bool] = []

    async def close() -> None:
        ended.append(await audit.aclose(PATIENCE))

    async with anyio.create_task_group() as group:
        group.start_soon(close)
        await anyio.to_thread.run_sync(gate.entered.wait)
        assert ended == []
        gate.open.set()
    assert ended == [True]
    assert len(gate.taken) == 1


@pytest.mark.anyio
async def test_a_cancelled_server_still_writes_what_waits() -> None:
    taken: list[AuditRecord] = []
    audit = Audit(taken.append)
    for number in range(100):
        audit.record(numbered(number))
    with anyio.CancelScope() as scope:
        scope.cancel()
        assert await audit.aclose(PATIENCE)
    assert len(taken) == 100
