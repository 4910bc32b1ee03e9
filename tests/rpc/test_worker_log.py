"""What workers log: theirs to say, the service's to mark, count and bound."""

import io
import logging
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from signetrpc.rpc._packets import Packets, packet_pair
from signetrpc.rpc._worker_log import Allowance, log_record, send_log
from signetrpc.rpc._worker_messages import MAX_PACKET_BYTES, Log, read_from_worker

WHO = "worker 7 of alice"
MARK = "\n    | "


# In the service.


def logged(
    caplog: pytest.LogCaptureFixture, record: Log, allowance: Allowance | None = None
) -> list[str]:
    caplog.clear()
    with caplog.at_level(1, "signetrpc.worker"):
        log_record(WHO, record, allowance or Allowance(), 0.0)
    assert {each.name for each in caplog.records} <= {"signetrpc.worker"}
    return [each.getMessage() for each in caplog.records]


def test_a_record_is_marked_as_its_workers(caplog: pytest.LogCaptureFixture) -> None:
    record = Log("app.db", logging.WARNING, "slow")
    assert logged(caplog, record) == [f"{WHO}: app.db: slow"]
    assert caplog.records[0].levelno == logging.WARNING


def test_no_line_of_it_looks_like_another_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forged = "2026-01-01 00:00:00 ERROR signetrpc.rpc: all is well\r\x1b[2Kroot"
    (found,) = logged(caplog, Log("x\ny", 20, f"one\n{forged}\n\nlast"))
    first, *lines = found.split("\n")
    assert first == f"{WHO}: x"
    assert all(each.startswith("    | ") for each in lines)
    assert lines == [
        "    | y: one",
        "    | 2026-01-01 00:00:00 ERROR signetrpc.rpc: all is well\\r\\x1b[2Kroot",
        "    | ",
        "    | last",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tab\tkept", "tab\tkept"),
        ("bell\a", "bell\\x07"),
        ("nul\0", "nul\\x00"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b2J", "\\x9b2J"),
        ("line\u2028separator", "line\\u2028separator"),
        ("next\x85line", "next\\x85line"),
        ("\u202etxet", "\\u202etxet"),
        ("vertical\x0btab\x0cform", "vertical\\x0btab\\x0cform"),
        ("größe 例", "größe 例"),
    ],
)
def test_nothing_in_it_moves_a_terminal(
    caplog: pytest.LogCaptureFixture, text: str, shown: str
) -> None:
    assert logged(caplog, Log(text, 20, text)) == [f"{WHO}: {shown}: {shown}"]


def test_no_text_is_a_format(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(caplog, Log("%s%d", 20, "%(x)s %n")) == [f"{WHO}: %s%d: %(x)s %n"]


def test_lost_records_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(caplog, Log("x", 20, "y", lost=3)) == [
        f"{WHO}: 3 records lost",
        f"{WHO}: x: y",
    ]
    assert caplog.records[0].levelno == logging.WARNING


def test_an_allowance_is_a_burst_and_then_a_rate() -> None:
    allowance = Allowance()
    assert [allowance.take(100.0) for _ in range(201)] == [True] * 200 + [False]
    assert allowance.refused == 1
    # 50 a second.
    assert [allowance.take(100.5) for _ in range(26)] == [True] * 25 + [False]
    assert allowance.refused == 2
    assert [allowance.take(101.5) for _ in range(51)] == [True] * 50 + [False]
    # However long it was quiet, no more than the burst.
    assert [allowance.take(9999.0) for _ in range(201)].count(True) == 200


def test_long_records_count_several_times(caplog: pytest.LogCaptureFixture) -> None:
    allowance = Allowance()
    longest = Log("x", 20, "\0" * 32 * 1024)  # takes 33 of 200
    with caplog.at_level(1, "signetrpc.worker"):
        for _ in range(10):
            log_record(WHO, longest, allowance, 0.0)
        assert len(caplog.records) == 6
        assert allowance.refused == 4
        log_record(WHO, longest, allowance, 0.1)
        assert len(caplog.records) == 6
        log_record(WHO, longest, allowance, 1.0)
    assert [each.getMessage()[:50] for each in caplog.records[6:]] == [
        f"{WHO}: 5 records lost",
        f"{WHO}: x: " + (r"\x00" * 9)[: 50 - len(f"{WHO}: x: ")],
    ]


def test_what_a_refused_record_told_of_is_not_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    allowance = Allowance()
    assert allowance.take(0.0, 200)
    log_record(WHO, Log("x", 20, "y", lost=7), allowance, 0.0)
    assert logged(caplog, Log("x", 20, "z"), allowance) == []
    assert allowance.refused == 9


def test_what_was_refused_is_told_with_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    allowance = Allowance()
    record = Log("x", 20, "y", lost=2)
    with caplog.at_level(1, "signetrpc.worker"):
        for _ in range(203):
            log_record(WHO, Log("x", 20, "y"), allowance, 0.0)
        assert len(caplog.records) == 200
        caplog.clear()
        log_record(WHO, record, allowance, 1.0)
    assert [each.getMessage() for each in caplog.records] == [
        f"{WHO}: 5 records lost",
        f"{WHO}: x: y",
    ]
    assert allowance.refused == 0


# In the worker.


@contextmanager
def sending() -> Generator[Packets]:
    """Give the service's end, while what this process logs and prints goes there."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level, logging.raiseExceptions
    streams = sys.stdout, sys.stderr
    near, far = packet_pair()
    end = Packets(far)
    send_log(near, logging.INFO)
    try:
        yield end
    finally:
        root.handlers[:], root.level, logging.raiseExceptions = kept
        root.manager._clear_cache()  # type: ignore[attr-defined]  # pyright: ignore
        sys.stdout, sys.stderr = streams
        near.close()
        end.close()


@pytest.fixture
def far() -> Iterator[Packets]:
    with sending() as far:
        yield far


def received(far: Packets) -> list[Log]:
    found: list[Log] = []
    while True:
        try:
            data, _ = far.receive_now()
        except BlockingIOError:
            return found
        record = read_from_worker(data)
        assert isinstance(record, Log)
        found.append(record)


def test_what_is_logged_is_sent(far: Packets) -> None:
    logging.getLogger("app").warning("%d of %s", 5, "ten")
    logging.getLogger("app").debug("not so much")
    assert received(far) == [Log("app", logging.WARNING, "5 of ten")]


def test_an_exception_goes_with_its_traceback(far: Packets) -> None:
    try:
        raise KeyError("missing")
    except KeyError:
        logging.getLogger("app").exception("failed")
    (record,) = received(far)
    assert record.text.startswith("failed\nTraceback (most recent call last):\n")
    assert record.text.endswith("\nKeyError: 'missing'")


def test_a_record_that_cannot_be_formatted(far: Packets) -> None:
    logging.getLogger("app").warning("%d things", "x")
    (record,) = received(far)
    assert record.text.startswith("'%d things' cannot be formatted: %d format")


def test_odd_records_are_made_to_fit(far: Packets) -> None:
    logging.getLogger("n" * 300).log(5000, "x\ud800")
    assert received(far) == [Log("n" * 256, 100, "x?")]


def test_a_long_text_is_cut_in_the_middle(far: Packets) -> None:
    logging.getLogger("app").warning("%s", "a" * 9000 + "b" * 9000)
    (record,) = received(far)
    assert record.text == "a" * 8192 + "\n...\n" + "b" * 8192
    logging.getLogger("app").warning("%s", "例" * 16 * 1024)
    (record,) = received(far)
    assert record.text == "例" * 16 * 1024
    assert len(record.text.encode()) < MAX_PACKET_BYTES


def test_what_does_not_fit_is_counted_and_told(far: Packets) -> None:
    log = logging.getLogger("app")
    for _ in range(1000):
        log.warning("%s", "x" * 16 * 1024)
    found = received(far)
    assert {each.lost for each in found} == {0}
    log.warning("again")
    assert received(far) == [Log("app", logging.WARNING, "again", 1000 - len(found))]
    log.warning("and again")
    assert received(far) == [Log("app", logging.WARNING, "and again", 0)]


def test_what_is_printed_is_logged_line_by_line() -> None:
    with sending() as far:
        print("one", 2)
        print("three\nfour", end="")
        assert isinstance(sys.stdout, io.TextIOBase) and sys.stdout.writable()
        assert [(each.logger, each.text) for each in received(far)] == [
            ("stdout", "one 2"),
            ("stdout", "three"),
        ]
        print("th")
        print("oops", file=sys.stderr)
        assert [(each.logger, each.text) for each in received(far)] == [
            ("stdout", "fourth"),
            ("stderr", "oops"),
        ]


def test_a_line_without_end_is_sent_when_it_is_long() -> None:
    with sending() as far:
        size = sys.stdout.write("x" * (16 * 1024))
        assert (size, received(far)) == (16 * 1024, [])
        sys.stdout.write("y")
        (record,) = received(far)
        assert len(record.text) == 16 * 1024 + len("\n...\n")
        print("z")
        assert [each.text for each in received(far)] == ["z"]


def test_the_service_can_be_gone() -> None:
    with sending() as far:
        far.close()
        logging.getLogger("app").warning("to nobody")
        print("to nobody")
