"""Whether a method runs as its caller: what each method declares for itself."""

from enum import Enum
from typing import TYPE_CHECKING, Any

from signetrpc.transport import Protection

from .errors import SchemaError

if TYPE_CHECKING:
    from ._methods import Method

__all__ = ["Impersonation", "runs_as_caller"]


class Impersonation(Enum):
    """Whose rights a method runs with.

    A server that has an impersonator (`Server(impersonate=...)`) runs methods as the
    callers' users of the operating system; without one every method runs as the server.
    The values are the words in interface text.

    Source: WCF's ImpersonationOption, which has the same three.
    """

    NOT_ALLOWED = "not_allowed"
    """Always as the server, whoever calls: for what callers share.

    The caller is known to it all the same: see `current_caller()`.
    """
    ALLOWED = "allowed"
    """As the caller where the server has an impersonator, else as the server.

    With an impersonator it never runs as the server: a caller that allows no more than
    IDENTIFY, is nobody or is no user of the machine gets PERMISSION_DENIED. Without
    one, `current_caller().impersonated_as` is None.
    """
    REQUIRED = "required"
    """As the caller, or not at all.

    With an impersonator it is as ALLOWED. A server without one does not take the
    service. The method needs a protection of at least SIGN: a call without protection
    has no caller to run as.
    """


def runs_as_caller(
    method: "Method[Any, Any]", *, impersonates: bool, asks: bool
) -> bool:
    """Return whether a server runs a method as its caller.

    Args:
        method: The method.
        impersonates: Whether the server runs any so.
        asks: Whether it asks who the caller is before it lets a call in.

    Raises:
        SchemaError: The method does not go with the server.
    """
    wanted = method.impersonate
    if wanted is Impersonation.REQUIRED and not impersonates:
        raise SchemaError(
            f"{method.full_name} has to run as its caller, and this server "
            "impersonates nobody",
            "give Server(impersonate=LinuxImpersonation(...))",
        )
    relayed = impersonates and wanted is not Impersonation.NOT_ALLOWED
    if method.protection is Protection.NONE and (relayed or asks):
        what = "run as its caller" if relayed else "be authorised"
        raise SchemaError(
            f"{method.full_name} has protection NONE, so nobody knows who calls: "
            f"it cannot {what}",
            "declare a protection" + (" or impersonate=NOT_ALLOWED" if relayed else ""),
        )
    return relayed
