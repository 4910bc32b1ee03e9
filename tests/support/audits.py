"""Those who listen to an audit, and records for it."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from signetrpc.rpc import AuditRecord, StatusCode
from signetrpc.transport import Mechanism, Protection

RECORD = AuditRecord(
    time=1_800_000_000.0,
    session_id="0123456789abcdef" * 2,
    principal="alice@EXAMPLE.COM",
    mechanism=Mechanism.KERBEROS,
    protection=Protection.SEAL,
    channel_bound=False,
    impersonated_as=None,
    delegated=False,
    method="bank.Accounts/balance",
    status=StatusCode.OK,
    seconds=0.25,
)
PATIENCE = 30.0
"""Seconds after which a test gives up."""


def numbered(number: int) -> AuditRecord:
    """Return a record that can be told from others."""
    return replace(RECORD, seconds=float(number))


class Gate:
    """A callback that takes nothing until it is opened."""

    def __init__(self) -> None:
        self.taken: list[AuditRecord] = []
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, record: AuditRecord) -> None:
        self.entered.set()
        assert self.open.wait(PATIENCE)
        self.taken.append(record)


class Collector(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self.records = records

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def collected() -> Generator[list[logging.LogRecord]]:
    """Give what the audit logs meanwhile."""
    records: list[logging.LogRecord] = []
    logger, collector = logging.getLogger("signetrpc.audit"), Collector(records)
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(collector)
    try:
        yield records
    finally:
        logger.removeHandler(collector)
        logger.setLevel(before)


def threads() -> list[threading.Thread]:
    """Return the threads of audits."""
    return [each for each in threading.enumerate() if each.name == "signetrpc-audit"]
