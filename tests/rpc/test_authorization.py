"""Who may call what, before rules come into it."""

import logging
from dataclasses import FrozenInstanceError

import pytest

from signetrpc.rpc import AuthorizationRequest, anyone, authenticated
from signetrpc.rpc._authorization import ExplainingAuthorizer, decide
from signetrpc.transport import ANONYMOUS, Identity, Mechanism, Protection

ALICE = Identity(mechanism=Mechanism.KERBEROS, name="alice", realm="EXAMPLE.COM")


def request(
    caller: Identity = ALICE, protection: Protection = Protection.SEAL
) -> AuthorizationRequest:
    return AuthorizationRequest(
        caller=caller,
        service="bank.Accounts",
        method="balance",
        protection=protection,
    )


def test_by_default_whoever_is_authenticated_may_call() -> None:
    assert authenticated(request())
    assert not authenticated(request(ANONYMOUS))
    assert not authenticated(request(ANONYMOUS, Protection.SIGN))


def test_a_method_open_to_anybody_is_open_to_anybody() -> None:
    assert authenticated(request(ANONYMOUS, Protection.NONE))


def test_anyone_may_be_let_in() -> None:
    assert anyone(request(ANONYMOUS))
    assert anyone(request())


def test_a_request_cannot_be_changed_on_the_way() -> None:
    with pytest.raises(FrozenInstanceError):
        request().method = "transfer"  # type: ignore[misc]  # pyright: ignore


def test_what_is_allowed_has_no_reason_against_it() -> None:
    assert decide(authenticated, request()) is None
    assert decide(authenticated, request(ANONYMOUS)) == "not authorised"


def test_an_exception_means_no_and_is_logged_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(request: AuthorizationRequest) -> bool:
        raise KeyError(f"hunter2 of {request.method}")

    assert decide(broken, request()) == "authorisation failed: KeyError"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "authorising bank.Accounts/balance"
    assert record.exc_info is not None and record.exc_info[0] is KeyError


@pytest.mark.parametrize("answer", [None, 0, 1, "no", [True]])
def test_only_true_means_yes(answer: object, caplog: pytest.LogCaptureFixture) -> None:
    def odd(request: AuthorizationRequest) -> bool:
        return answer  # type: ignore[return-value]  # pyright: ignore

    assert decide(odd, request()) == "authorisation failed: TypeError"
    assert f"returns a bool, not {type(answer).__name__}" in caplog.text


def test_a_coroutine_is_not_a_yes(caplog: pytest.LogCaptureFixture) -> None:
    async def forgetful(request: AuthorizationRequest) -> bool:
        return True

    reason = decide(forgetful, request())  # type: ignore[arg-type]  # pyright: ignore
    assert reason == "authorisation failed: TypeError"
    assert "returns a bool, not coroutine" in caplog.text


class Explaining:
    def __call__(self, request: AuthorizationRequest, /) -> bool:
        return False

    def refusal(self, request: AuthorizationRequest, /) -> str:
        return f"line 3 denies {request.method}"


def test_an_authorizer_can_say_why(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(Explaining(), ExplainingAuthorizer)
    assert not isinstance(authenticated, ExplainingAuthorizer)
    mallory = Identity(mechanism=Mechanism.TLS, name="CN=a\nb", realm="CN=CA")
    with caplog.at_level(logging.INFO, logger="signetrpc.rpc"):
        assert decide(Explaining(), request(mallory)) == "line 3 denies balance"
    (record,) = caplog.records
    assert record.getMessage() == (
        r"'CN=a\nb' may not call bank.Accounts/balance: line 3 denies balance"
    )


def test_one_who_cannot_say_why_still_says_no(caplog: pytest.LogCaptureFixture) -> None:
    class Stuttering(Explaining):
        def refusal(self, request: AuthorizationRequest, /) -> str:
            raise ValueError("?")

    assert decide(Stuttering(), request()) == "authorisation failed: ValueError"
    assert "authorising bank.Accounts/balance" in caplog.text
