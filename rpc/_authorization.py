"""Who may call what: the hook between a call's arrival and its running."""

import logging
from dataclasses import dataclass
from inspect import iscoroutine
from typing import Final, Protocol, runtime_checkable

from signetrpc.transport import Identity, LocalUser, Protection

__all__ = [
    "AuthorizationRequest",
    "Authorizer",
    "ExplainingAuthorizer",
    "anyone",
    "authenticated",
    "decide",
]

_log: Final = logging.getLogger("signetrpc.rpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """What a decision is made on.

    Attributes:
        caller: Who calls; anonymous where nothing protected the call.
        service: The service's full name, `bank.Accounts`.
        method: The method's own name, `balance`.
        protection: The level of the call.
        local_user: Whom the caller is on this machine; None if nobody asked.
    """

    caller: Identity
    service: str
    method: str
    protection: Protection
    local_user: LocalUser | None = None


class Authorizer(Protocol):
    """Decides which calls may run."""

    def __call__(self, request: AuthorizationRequest, /) -> bool:
        """Return whether the call may run.

        Runs where the call arrives, so it must not block.  An exception means no, and
        so does anything but True.
        """
        ...


@runtime_checkable
class ExplainingAuthorizer(Authorizer, Protocol):
    """An authorizer that can tell why not, for the log and the audit."""

    def refusal(self, request: AuthorizationRequest, /) -> str:
        """Return why a call may not run that was just refused.

        The caller does not get to see it.
        """
        ...


def authenticated(request: AuthorizationRequest) -> bool:
    """Let everybody in whom something proved; the default.

    A call at level NONE has no caller; it comes only to methods that are declared so,
    where both ends' policies allow it.
    """
    return not request.caller.anonymous or request.protection is Protection.NONE


def anyone(request: AuthorizationRequest) -> bool:
    """Let everybody in, also whom nothing proved: TLS without client certificates."""
    del request
    return True


def decide(authorize: Authorizer, request: AuthorizationRequest) -> str | None:
    """Return why a call may not run, for the log and the audit; None if it may."""
    try:
        answer: object = authorize(request)
        if answer is True:
            return None
        if answer is False:
            reason = _explained(authorize, request)
            _log.info(
                "%r may not call %s/%s: %s",
                request.caller.principal,
                request.service,
                request.method,
                reason,
            )
            return reason
        # Anything else may be true without meaning it: an `async def`, never awaited.
        if iscoroutine(answer):
            answer.close()
        raise TypeError(f"an authorizer returns a bool, not {type(answer).__name__}")
    except Exception as error:
        _log.exception("authorising %s/%s", request.service, request.method)
        return f"authorisation failed: {type(error).__name__}"


def _explained(authorize: Authorizer, request: AuthorizationRequest) -> str:
    if isinstance(authorize, ExplainingAuthorizer):
        return authorize.refusal(request)
    return "not authorised"
