"""What becomes of the libraries' exceptions."""

import struct

import pytest
from spnego.exceptions import BadMechanismError, InvalidTokenError, SpnegoError

from signetrpc.transport._negotiate_errors import Situation, convert
from signetrpc.transport.errors import AuthenticationFailed, FailureReason

_CLIENT = Situation(initiator=True, service="host/x", user="alice@R")
_SERVER = Situation(initiator=False)
_BASE = -1765328384


class _GssError(Exception):
    """As gssapi's, whose package may not be there."""

    def __init__(self, major: int, minor: int) -> None:
        super().__init__("text of the library")
        self.maj_code = major
        self.min_code = minor


class _Krb5Error(Exception):
    """As krb5's."""

    def __init__(self, code: int) -> None:
        super().__init__("text of the library")
        self.err_code = code


def _kerberos(offset: int) -> list[Exception]:
    """Return the forms in which one Kerberos error comes."""
    code = _BASE + offset
    gss = _GssError(13 << 16, code + (1 << 32))
    wrapped = SpnegoError(base_error=gss)
    hidden = ValueError("something else")
    hidden.__cause__ = gss
    return [
        gss,
        _GssError(13 << 16, code),
        _Krb5Error(code),
        wrapped,
        BadMechanismError(base_error=wrapped),
        hidden,
    ]


@pytest.mark.parametrize(
    ("offset", "reason", "text"),
    [
        (1, FailureReason.EXPIRED, "the account of 'alice@R' has expired"),
        (6, FailureReason.UNKNOWN_PRINCIPAL, "the KDC does not know 'alice@R'"),
        (
            7,
            FailureReason.UNKNOWN_SERVICE,
            "the KDC does not know the service principal 'host/x'",
        ),
        (18, FailureReason.BAD_CREDENTIALS, "the account of 'alice@R' is locked"),
        (23, FailureReason.EXPIRED, "the password of 'alice@R' has expired"),
        (24, FailureReason.BAD_CREDENTIALS, "wrong password or key for 'alice@R'"),
        (31, FailureReason.BAD_CREDENTIALS, "wrong password or key for 'alice@R'"),
        (
            32,
            FailureReason.EXPIRED,
            "the Kerberos ticket has expired: run kinit again",
        ),
        (37, FailureReason.CLOCK_SKEW, "the clocks of client and KDC differ too much"),
        (154, FailureReason.NO_KDC, "no KDC is known for the realm: see krb5.conf"),
        (156, FailureReason.NO_KDC, "no KDC could be reached"),
        (195, FailureReason.NO_CREDENTIALS, "no ticket cache: run kinit"),
        (
            13,
            FailureReason.REFUSED,
            "the KDC does not let this service act for 'alice@R' towards the service "
            "principal 'host/x'",
        ),
        (14, FailureReason.REFUSED, "Kerberos refused it, with error 14"),
    ],
)
def test_a_client_is_told_what_to_do(
    offset: int, reason: FailureReason, text: str
) -> None:
    for error in _kerberos(offset):
        failure = convert(error, _CLIENT, reading=False)
        assert (failure.reason, str(failure)) == (reason, text)


@pytest.mark.parametrize(
    ("offset", "reason", "text"),
    [
        (31, FailureReason.REFUSED, "the ticket does not open with the keytab's key"),
        (32, FailureReason.EXPIRED, "the client's ticket has expired"),
        (33, FailureReason.CLOCK_SKEW, "the client's ticket is not yet valid"),
        (34, FailureReason.REFUSED, "the client's request is a replay"),
        (
            35,
            FailureReason.UNKNOWN_SERVICE,
            "the ticket is for a service not served here",
        ),
        (
            37,
            FailureReason.CLOCK_SKEW,
            "the clocks of client and server differ too much",
        ),
        (
            44,
            FailureReason.REFUSED,
            "the keytab lacks that version of the key: renew it",
        ),
        (
            181,
            FailureReason.UNKNOWN_SERVICE,
            "the keytab has no key for that service",
        ),
    ],
)
def test_a_server_logs_what_was_wrong(
    offset: int, reason: FailureReason, text: str
) -> None:
    for error in _kerberos(offset):
        failure = convert(error, _SERVER, reading=True)
        assert (failure.reason, str(failure)) == (reason, text)


@pytest.mark.parametrize(
    ("major", "client", "server"),
    [
        (1, FailureReason.MECHANISM, FailureReason.MECHANISM),
        (2, FailureReason.UNKNOWN_SERVICE, FailureReason.MALFORMED),
        (4, FailureReason.NOT_PROVEN, FailureReason.NOT_PROVEN),
        (6, FailureReason.NOT_PROVEN, FailureReason.NOT_PROVEN),
        (7, FailureReason.NO_CREDENTIALS, FailureReason.NO_CREDENTIALS),
        (9, FailureReason.MALFORMED, FailureReason.MALFORMED),
        (11, FailureReason.EXPIRED, FailureReason.MALFORMED),
        (12, FailureReason.EXPIRED, FailureReason.EXPIRED),
    ],
)
def test_where_kerberos_says_nothing_gss_api_does(
    major: int, client: FailureReason, server: FailureReason
) -> None:
    error = _GssError(major << 16, 0)
    assert convert(error, _CLIENT, reading=True).reason is client
    assert convert(error, _SERVER, reading=True).reason is server


@pytest.mark.parametrize(
    "error",
    [
        AttributeError("x"),
        IndexError(),
        InvalidTokenError(base_error=struct.error("x"), context_msg="x"),
        KeyError("x"),
        RecursionError(),
        StopIteration(),
        TypeError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
        ValueError(),
        struct.error(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_anything_else_is_the_tokens_fault_if_there_was_one(error: Exception) -> None:
    failure = convert(error, _SERVER, reading=True)
    assert failure.reason is FailureReason.MALFORMED
    assert str(failure) == "the peer's token could not be understood"
    failure = convert(error, _CLIENT, reading=False)
    assert failure.reason is FailureReason.NO_CREDENTIALS
    kind = type(error).__name__
    assert str(failure) == f"the credentials cannot be used ({kind})"


def test_our_own_errors_stay_as_they_are() -> None:
    error = AuthenticationFailed("x", reason=FailureReason.MECHANISM)
    assert convert(error, _SERVER, reading=True) is error


def test_an_unsaid_user_is_the_client() -> None:
    failure = convert(_Krb5Error(_BASE + 6), Situation(initiator=True), reading=False)
    assert str(failure) == "the KDC does not know the client"


def test_a_loop_of_causes_ends() -> None:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    assert convert(first, _SERVER, reading=True).reason is FailureReason.MALFORMED
