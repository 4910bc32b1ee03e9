"""Whether a method runs as its caller: what each method declares for itself."""

from enum import Enum

__all__ = ["Impersonation"]


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
