"""The caller's credential, for calls onward in its name."""

from typing import Final

from signetrpc.transport import (
    ClientCredentials,
    DelegatedCredential,
    TicketCache,
)
from signetrpc.transport._delegation_words import why_not_delegated

from ._context import current_call
from ._status import StatusCode
from .errors import RpcError

__all__ = ["default_credentials", "delegated_credential", "in_worker", "mark_worker"]

in_worker = False
"""True in an identity worker, which has no credential but its caller's."""


def mark_worker() -> None:
    """Note that this process is an identity worker."""
    global in_worker
    in_worker = True


_SIGNED_IN: Final = TicketCache()


def delegated_credential() -> DelegatedCredential:
    """Return the credential that the caller delegated to this service.

    For `connect(..., credentials=delegated_credential())`, which then calls onward as
    the caller.  In an identity worker that is also what `connect` does without
    `credentials`, and what programs such as `smbclient` find by `KRB5CCNAME`.

    Raises:
        LookupError: This code serves no call.
        RpcError: FAILED_PRECONDITION: none was delegated; the message says how to get
            one.
    """
    caller = current_call().caller
    if caller.delegated is None:
        raise RpcError(StatusCode.FAILED_PRECONDITION, why_not_delegated(caller))
    return caller.delegated


def default_credentials() -> ClientCredentials:
    """Return what `connect` uses where it is given nothing.

    The signed-in user's tickets; in an identity worker the caller's, and only those.

    Raises:
        RpcError: FAILED_PRECONDITION: in a worker whose caller delegated none.
    """
    return delegated_credential() if in_worker else _SIGNED_IN
