"""A record of each call: whole, in order, in one line, and in no call's way."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from signetrpc.rpc import AuditRecord, CallContext, StatusCode
from signetrpc.rpc._audit import Audit
from signetrpc.transport import (
    ANONYMOUS,
    DelegatedCredential,
    DelegationKind,
    Identity,
    LocalUser,
    Mechanism,
    Protection,
)
from tests.support.audits import PATIENCE, RECORD, Gate, collected, numbered, threads

ALICE = Identity(
    mechanism=Mechanism.KERBEROS,
    name="alice",
    realm="EXAMPLE.COM",
    session_id="0123456789abcdef" * 2,
)


def call(
    caller: Identity = ALICE, method: str = "bank.Accounts/balance"
) -> CallContext:
    return CallContext(
        method=method,
        caller=caller,
        protection=Protection.SEAL,
        metadata=(("password", "hunter2"),),
        deadline=None,
        time=lambda: 10.25,
        started=10.0,
    )


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    with collected() as records:
        yield records


# What is in a record.


def recorded(
    context: CallContext,
    status: StatusCode = StatusCode.OK,
    reason: str = "",
    user: str | None = None,
) -> AuditRecord:
    taken: list[AuditRecord] = []
    audit = Audit(taken.append, clock=lambda: 1_800_000_000.0)
    audit.call_ended(context, status, reason, impersonated_as=user)
    assert audit.close(PATIENCE)
    (record,) = taken
    return record


def test_a_record_tells_of_the_call() -> None:
    assert recorded(call()) == RECORD


def test_a_record_tells_whom_the_handler_ran_as() -> None:
    user = LocalUser(name="alice", uid=1000, gid=1000, groups=(1000,))
    as_alice = replace(ALICE, impersonated_as=user)
    assert recorded(call(as_alice)).impersonated_as == "alice"
    assert recorded(call(), user="alice").impersonated_as == "alice"
    assert recorded(call(as_alice), user="al").impersonated_as == "al"


def test_a_record_tells_how_the_call_came_and_why_it_was_refused() -> None:
    credential = DelegatedCredential(
        principal="alice@EXAMPLE.COM",
        kind=DelegationKind.FORWARDED,
        expires_at=0.0,
        token=b"hunter2",
    )
    caller = replace(ALICE, channel_bound=True, delegated=credential)
    record = recorded(call(caller), StatusCode.PERMISSION_DENIED, "line 3")
    assert record == replace(
        RECORD,
        channel_bound=True,
        delegated=True,
        status=StatusCode.PERMISSION_DENIED,
        reason="line 3",
    )
    assert "hunter2" not in repr(record) + str(record)


def test_a_call_without_protection_has_no_caller() -> None:
    record = recorded(call(ANONYMOUS))
    assert (record.principal, record.mechanism) == ("anonymous", Mechanism.ANONYMOUS)
    assert record.session_id == ""


def test_thousands_that_wait_take_bounded_room() -> None:
    record = recorded(call(replace(ALICE, name="a" * 60_000)), reason="r" * 60_000)
    assert (len(record.principal), len(record.reason)) == (1024, 1024)


# The log.


def test_the_log_has_the_line_and_the_record(log: list[logging.LogRecord]) -> None:
    audit = Audit()
    audit.record(RECORD)
    assert audit.close(PATIENCE)
    (record,) = log
    assert record.name == "signetrpc.audit"
    assert record.getMessage() == str(RECORD)
    assert record.__dict__["audit"] is RECORD


@pytest.mark.parametrize("status", StatusCode)
def test_refusals_are_warnings(
    status: StatusCode, log: list[logging.LogRecord]
) -> None:
    audit = Audit()
    audit.call_ended(call(), status)
    assert audit.close(PATIENCE)
    refused = status in (StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED)
    (record,) = log
    assert record.levelno == (logging.WARNING if refused else logging.INFO)


def test_nothing_is_made_that_nobody_wants(caplog: pytest.LogCaptureFixture) -> None:
    audit = Audit()
    with caplog.at_level(logging.WARNING, logger="signetrpc.audit"):
        audit.call_ended(call(), StatusCode.OK)
        assert not threads()
        audit.call_ended(call(), StatusCode.PERMISSION_DENIED, "line 3")
        assert audit.close(PATIENCE)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING


def test_a_callback_gets_all_whatever_the_log_takes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken: list[AuditRecord] = []
    audit = Audit(taken.append)
    with caplog.at_level(logging.CRITICAL, logger="signetrpc.audit"):
        audit.call_ended(call(), StatusCode.OK)
        assert audit.close(PATIENCE)
    assert len(taken) == 1
    assert caplog.records == []


# The thread.


def test_the_order_is_kept(log: list[logging.LogRecord]) -> None:
    taken: list[AuditRecord] = []
    audit = Audit(taken.append)
    for number in range(2000):
        audit.record(numbered(number))
    assert audit.close(PATIENCE)
    assert [record.seconds for record in taken] == list(range(2000))
    assert [record.__dict__["audit"] for record in log] == taken
    assert audit.lost == 0


def test_the_thread_is_there_from_the_first_record_until_closed(gate: Gate) -> None:
    audit = Audit(gate)
    assert not threads()
    audit.record(numbered(0))
    audit.record(numbered(1))
    (thread,) = threads()
    assert thread.daemon
    gate.open.set()
    assert audit.close(PATIENCE)
    assert not threads()
    assert audit.close(PATIENCE)
    audit.record(numbered(2))  # after the end it starts anew
    assert audit.close(PATIENCE)
    assert [record.seconds for record in gate.taken] == [0, 1, 2]
    assert not threads()


def test_a_capacity_below_one_is_none() -> None:
    with pytest.raises(ValueError, match="^a capacity of 0, and 1 is the least$"):
        Audit(capacity=0)
