"""Turns what the security libraries raise into `AuthenticationFailed`.

The libraries raise what happens to them: GSS-API errors with a major and a minor code,
Krb5Error, and on bad input ValueError, KeyError, AttributeError, struct.error and
more.  Here each gets a reason and a text that says what to do about it; the original
stays chained.

Codes: RFC 4120 section 7.5.9 and MIT krb5's krb5_err.et; RFC 2744 section 3.9.1.
"""

from dataclasses import dataclass
from typing import Final

from .errors import AuthenticationFailed, FailureReason

__all__ = ["KERBEROS_MISSING", "Situation", "convert"]

KERBEROS_MISSING: Final = (
    "Kerberos needs the packages gssapi and krb5: pip install 'signetrpc[kerberos]'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What this end was about when something failed; words for the message.

    Attributes:
        initiator: True on the client's side.
        service: The service principal that the client asks for.
        user: Whom the client wants to be, as far as it was said.
    """

    initiator: bool
    service: str = ""
    user: str = ""


_BASE: Final = -1765328384
_Row = tuple[FailureReason, str]

# By protocol error number (RFC 4120 section 7.5.9) or offset in MIT's table.
_INITIATOR: Final[dict[int, _Row]] = {
    1: (FailureReason.EXPIRED, "the account of {user} has expired"),
    2: (FailureReason.EXPIRED, "the account of {service} has expired"),
    6: (FailureReason.UNKNOWN_PRINCIPAL, "the KDC does not know {user}"),
    7: (FailureReason.UNKNOWN_SERVICE, "the KDC does not know {service}"),
    12: (FailureReason.BAD_CREDENTIALS, "the KDC's policy refuses {user}"),
    # S4U2Proxy; it is the one option asked for that the KDC can refuse.
    13: (
        FailureReason.REFUSED,
        "the KDC does not let this service act for {user} towards {service}",
    ),
    18: (FailureReason.BAD_CREDENTIALS, "the account of {user} is locked"),
    23: (FailureReason.EXPIRED, "the password of {user} has expired"),
    24: (FailureReason.BAD_CREDENTIALS, "wrong password or key for {user}"),
    31: (FailureReason.BAD_CREDENTIALS, "wrong password or key for {user}"),
    32: (FailureReason.EXPIRED, "the Kerberos ticket has expired: run kinit again"),
    33: (FailureReason.CLOCK_SKEW, "the ticket is not yet valid: check the clock"),
    37: (FailureReason.CLOCK_SKEW, "the clocks of client and KDC differ too much"),
    154: (FailureReason.NO_KDC, "no KDC is known for the realm: see krb5.conf"),
    156: (FailureReason.NO_KDC, "no KDC could be reached"),
    220: (FailureReason.NO_KDC, "the KDC's address could not be resolved"),
    141: (
        FailureReason.NO_CREDENTIALS,
        "the ticket cache has no such tickets: run kinit",
    ),
    195: (FailureReason.NO_CREDENTIALS, "no ticket cache: run kinit"),
    181: (FailureReason.NO_CREDENTIALS, "the keytab has no key for {user}"),
    224: (FailureReason.NO_CREDENTIALS, "krb5.conf names no default realm"),
    135: (FailureReason.NO_CREDENTIALS, "krb5.conf cannot be read"),
    136: (FailureReason.NO_CREDENTIALS, "krb5.conf has an error"),
}

_ACCEPTOR: Final[dict[int, _Row]] = {
    31: (FailureReason.REFUSED, "the ticket does not open with the keytab's key"),
    32: (FailureReason.EXPIRED, "the client's ticket has expired"),
    33: (FailureReason.CLOCK_SKEW, "the client's ticket is not yet valid"),
    34: (FailureReason.REFUSED, "the client's request is a replay"),
    35: (FailureReason.UNKNOWN_SERVICE, "the ticket is for a service not served here"),
    36: (FailureReason.REFUSED, "ticket and authenticator do not match"),
    37: (FailureReason.CLOCK_SKEW, "the clocks of client and server differ too much"),
    41: (FailureReason.REFUSED, "the client's request was changed on its way"),
    44: (FailureReason.REFUSED, "the keytab lacks that version of the key: renew it"),
    45: (FailureReason.UNKNOWN_SERVICE, "the keytab has no key for that service"),
    144: (FailureReason.UNKNOWN_SERVICE, "the ticket is for another service"),
    181: (FailureReason.UNKNOWN_SERVICE, "the keytab has no key for that service"),
}

# RFC 2744 section 3.9.1: the routine errors, in bits 16 to 23 of the major status.
_MAJOR: Final[dict[int, _Row]] = {
    1: (FailureReason.MECHANISM, "the mechanism is not available"),
    4: (FailureReason.NOT_PROVEN, "the channel bindings do not match"),
    6: (FailureReason.NOT_PROVEN, "an integrity check of the handshake failed"),
    9: (FailureReason.MALFORMED, "the peer's token could not be understood"),
    12: (FailureReason.EXPIRED, "the security context has expired"),
}
_MAJOR_INITIATOR: Final[dict[int, _Row]] = {
    2: (FailureReason.UNKNOWN_SERVICE, "{service} is not a principal's name"),
    7: (FailureReason.NO_CREDENTIALS, "there are no Kerberos tickets: run kinit"),
    11: (FailureReason.EXPIRED, "the Kerberos ticket has expired: run kinit again"),
}
_MAJOR_ACCEPTOR: Final[dict[int, _Row]] = {
    7: (FailureReason.NO_CREDENTIALS, "the keytab cannot be used for that token"),
}


def convert(
    error: Exception, situation: Situation, *, reading: bool
) -> AuthenticationFailed:
    """Return the error to raise in place of `error`, which the caller chains.

    Args:
        error: What a library raised; an `AuthenticationFailed` is returned as it is.
        situation: Words for the message.
        reading: A token of the peer's was being read: what nobody knows is its fault.
    """
    if isinstance(error, AuthenticationFailed):
        return error
    row = _known(error, situation)
    if row is None and reading:
        row = (FailureReason.MALFORMED, "the peer's token could not be understood")
    if row is None:
        row = (FailureReason.NO_CREDENTIALS, "the credentials cannot be used ({kind})")
    reason, text = row
    words = {
        "user": repr(situation.user) if situation.user else "the client",
        "service": f"the service principal {situation.service!r}",
        "kind": type(error).__name__,
    }
    return AuthenticationFailed(text.format_map(words), reason=reason)


def _known(error: Exception, situation: Situation) -> _Row | None:
    initiator = situation.initiator
    minors = _INITIATOR if initiator else _ACCEPTOR
    majors = _MAJOR | (_MAJOR_INITIATOR if initiator else _MAJOR_ACCEPTOR)
    major, minor = _codes(error)
    offset = None if minor is None else minor - _BASE
    row = None if offset is None else minors.get(offset)
    if row is None and major is not None:
        row = majors.get(major >> 16 & 0xFF)
    if row is None and offset is not None and 0 < offset < 128:
        # What RFC 4120 numbers and nobody is likely to see.
        row = (FailureReason.REFUSED, f"Kerberos refused it, with error {offset}")
    return row


def _codes(error: BaseException | None) -> tuple[int | None, int | None]:
    """Return GSS-API's major and Kerberos' minor code, wherever they hang.

    pyspnego's errors carry the library's in `base_error`; gssapi's have both codes;
    krb5's only its own.  gssapi gives the minor code unsigned.
    """
    for _ in range(4):  # nobody nests deeper, and a loop here would hang
        if error is None:
            break
        major, minor = _code(error, "maj_code"), _code(error, "min_code")
        if major is not None:
            return major, None if minor is None else _signed(minor)
        minor = _code(error, "err_code")
        if minor is not None:
            return None, _signed(minor)
        base = getattr(error, "base_error", None)
        error = base if isinstance(base, BaseException) else error.__cause__
    return None, None


def _code(error: BaseException, name: str) -> int | None:
    value = getattr(error, name, None)
    return value if isinstance(value, int) else None


def _signed(code: int) -> int:
    return code - (1 << 32) if code >= 1 << 31 else code
