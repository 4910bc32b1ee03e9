"""The caller's credential, inside a call and in a worker."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

import signetrpc.rpc._delegated as module
from signetrpc.rpc import (
    DelegatedCredential,
    Protection,
    RpcError,
    StatusCode,
    TicketCache,
    delegated_credential,
)
from signetrpc.rpc._context import CURRENT, CallContext
from signetrpc.rpc._delegated import default_credentials
from signetrpc.transport import DelegationKind, Identity, ImpersonationLevel, Mechanism

ALICE = Identity(mechanism=Mechanism.KERBEROS, name="alice", realm="EXAMPLE.COM")
CREDENTIAL = DelegatedCredential(
    principal="alice@EXAMPLE.COM",
    kind=DelegationKind.FORWARDED,
    expires_at=2e9,
    token=b"ticket",
)


@pytest.fixture
def serving(request: pytest.FixtureRequest) -> Iterator[None]:
    """Inside a call of whom the test names."""
    context = CallContext(
        method="test.Any/thing",
        caller=request.param,
        protection=Protection.SIGN,
        metadata=(),
        deadline=None,
        time=lambda: 0.0,
    )
    token = CURRENT.set(context)
    yield
    CURRENT.reset(token)


@pytest.fixture
def in_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "in_worker", True)


@pytest.mark.parametrize(
    "serving", [replace(ALICE, delegated=CREDENTIAL)], indirect=True
)
def test_it_is_what_the_caller_delegated(serving: None) -> None:
    assert delegated_credential() is CREDENTIAL


@pytest.mark.parametrize(
    ("serving", "says"),
    [
        (ALICE, "connect with impersonation=ImpersonationLevel.DELEGATE"),
        (
            replace(ALICE, impersonation=ImpersonationLevel.DELEGATE),
            "kinit -f",
        ),
        (Identity(mechanism=Mechanism.NTLM, name="bob"), "an NTLM logon"),
    ],
    indirect=["serving"],
)
def test_without_one_the_error_says_how_to_get_it(serving: None, says: str) -> None:
    with pytest.raises(RpcError, match=says) as caught:
        delegated_credential()
    assert caught.value.status is StatusCode.FAILED_PRECONDITION


def test_outside_a_call_there_is_none() -> None:
    with pytest.raises(LookupError, match="not inside a call"):
        delegated_credential()


@pytest.mark.parametrize(
    "serving", [replace(ALICE, delegated=CREDENTIAL)], indirect=True
)
def test_a_service_connects_as_itself(serving: None) -> None:
    assert not module.in_worker
    assert default_credentials() == TicketCache()


@pytest.mark.parametrize(
    "serving", [replace(ALICE, delegated=CREDENTIAL)], indirect=True
)
def test_a_worker_connects_as_its_caller(serving: None, in_worker: None) -> None:
    assert default_credentials() is CREDENTIAL


@pytest.mark.parametrize("serving", [ALICE], indirect=True)
def test_a_worker_has_no_other_credential(serving: None, in_worker: None) -> None:
    with pytest.raises(RpcError) as caught:
        default_credentials()
    assert caught.value.status is StatusCode.FAILED_PRECONDITION


def test_a_worker_outside_calls_has_none_at_all(in_worker: None) -> None:
    with pytest.raises(LookupError):
        default_credentials()
