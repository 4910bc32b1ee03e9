"""Details of errors: what travels, what is left out, and what is kept as it came."""

import copy
import logging
import pickle
from datetime import timedelta

import msgspec
import pytest

from signetrpc.rpc import RpcError, StatusCode
from signetrpc.rpc._details import (
    MAX_DETAILS,
    MAX_DETAILS_BYTES,
    cut,
    encoded_detail,
    read_details,
    written_details,
)
from signetrpc.rpc.details import (
    BadRequest,
    Detail,
    ErrorInfo,
    FieldViolation,
    Help,
    HelpLink,
    LocalizedMessage,
    PreconditionFailure,
    PreconditionViolation,
    QuotaFailure,
    QuotaViolation,
    RequestInfo,
    ResourceInfo,
    RetryInfo,
    UnknownDetail,
)

EACH: list[Detail] = [
    BadRequest(field_violations=[FieldViolation(field="a[0]", description="no")]),
    ErrorInfo(reason="CLOSED", domain="bank", metadata={"account": "42"}),
    Help(links=[HelpLink(description="the manual", url="https://bank/help")]),
    LocalizedMessage(locale="fr-CH", message="fermé"),
    PreconditionFailure(violations=[PreconditionViolation(type="TOS", subject="42")]),
    QuotaFailure(violations=[QuotaViolation(subject="42", description="3 a day")]),
    RequestInfo(request_id="7f", serving_data="rack 3"),
    ResourceInfo(resource_type="account", resource_name="42", owner="alice"),
    RetryInfo(retry_delay=timedelta(seconds=2.5)),
    UnknownDetail("acme.Thing", b"\xa1x"),
]


@pytest.mark.parametrize("detail", EACH, ids=lambda each: type(each).__name__)
def test_each_travels_and_is_the_same(detail: Detail) -> None:
    name, body = encoded_detail(detail)
    assert read_details([(name, body)]) == (detail,)
    if not isinstance(detail, UnknownDetail):
        assert name == f"signet.{type(detail).__name__}"


def test_the_bytes_are_those_of_the_document() -> None:
    detail = RetryInfo(retry_delay=timedelta(seconds=2))
    assert encoded_detail(detail) == (
        "signet.RetryInfo",
        bytes.fromhex("81 ab") + b"retry_delay" + bytes.fromhex("a4") + b"PT2S",
    )


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("signet.Nobody", b"\xc0"),
        ("signet.RetryInfo", b"\xc1"),
        ("signet.RetryInfo", b""),
        ("signet.RetryInfo", msgspec.msgpack.encode({"retry_delay": "soon"})),
        ("signet.RetryInfo", b"\x91" * 5000),
        ("signet.ErrorInfo", b"\x81\xa6reason\xa1\xff"),
        ("signet.ErrorInfo", msgspec.msgpack.encode({})),
    ],
)
def test_what_is_not_known_or_wrong_is_kept_as_it_came(name: str, body: bytes) -> None:
    retry = RetryInfo(retry_delay=timedelta(seconds=1))
    kept = read_details([(name, body), encoded_detail(retry)])
    assert kept == (UnknownDetail(name, body), retry)


def test_fields_of_later_versions_do_no_harm() -> None:
    body = msgspec.msgpack.encode({"reason": "R", "new": 1})
    assert read_details([("signet.ErrorInfo", body)]) == (ErrorInfo(reason="R"),)


def test_what_is_no_detail_is_left_out_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = ErrorInfo(reason=b"hunter2")  # type: ignore[arg-type]  # pyright: ignore
    good = ErrorInfo(reason="R")
    unpackable = ErrorInfo(reason=object())  # type: ignore[arg-type]  # pyright: ignore
    given: list[object] = [wrong, "text", unpackable, good]
    assert written_details(given) == [encoded_detail(good)]
    assert "hunter2" not in caplog.text
    assert [each.levelno for each in caplog.records] == [logging.ERROR] * 3
    assert "a ErrorInfo cannot travel: TypeError" in caplog.text


def test_details_over_the_limits_are_left_out_with_a_note(
    caplog: pytest.LogCaptureFixture,
) -> None:
    small = ("a", b"\xc0")
    assert cut([small] * (MAX_DETAILS + 2)) == [small] * MAX_DETAILS
    assert len(caplog.records) == 2
    fits = ("big", bytes(MAX_DETAILS_BYTES - 3 - 2))
    over = ("big", bytes(MAX_DETAILS_BYTES - 2))
    assert cut([over, fits, small, small]) == [fits, small]
    assert "limit is 16 of 16384 bytes together" in caplog.text
    assert cut([("n" * 201, b"\xc0")]) == []


def test_an_error_has_them_and_so_have_its_copies() -> None:
    error = RpcError(StatusCode.ABORTED, "no", details=EACH)
    assert error.details == tuple(EACH)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert twin.details == error.details
    assert RpcError(StatusCode.ABORTED).details == ()
    assert "alice" not in f"{error!r} {error}"


def test_an_unknown_one_does_not_show_what_it_holds() -> None:
    detail = UnknownDetail("x.\x1b[2J", b"hunter2")
    assert repr(detail) == "UnknownDetail('x.\\x1b[2J', 7 bytes)"
