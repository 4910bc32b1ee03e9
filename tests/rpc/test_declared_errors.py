"""Declared errors: what can be one, how it travels, and that it comes as itself."""

import copy
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

import msgspec
import pytest

from signetrpc.rpc import (
    DeclaredError,
    RpcError,
    SchemaError,
    StatusCode,
    declared_error,
)
from signetrpc.rpc._declared_errors import (
    NO_ERRORS,
    declared,
    error_classes,
    named_error,
    typed_error,
)
from signetrpc.rpc._schema import (
    Default,
    ErrorDefinition,
    FieldDefinition,
    Scalar,
    ScalarType,
)
from signetrpc.rpc._types import TypeReader
from signetrpc.rpc.details import ErrorInfo, UnknownDetail


@declared_error("bank.InsufficientFunds")
class InsufficientFunds(DeclaredError):
    """There is not enough
    in the account.

    It can be filled.
    """

    LIMIT: ClassVar[int] = 3
    account: str
    missing: Decimal
    currency: str = "EUR"


@declared_error("bank.NoAccount", status=StatusCode.NOT_FOUND)
class NoAccount(DeclaredError):
    message: str


@declared_error("bank.Frozen", status=StatusCode.PERMISSION_DENIED)
class Frozen(InsufficientFunds):
    """The account is frozen."""

    since: datetime


class Undeclared(InsufficientFunds):
    """Derived and not declared."""


MADE = InsufficientFunds(account="42", missing=Decimal(5))
ERRORS = error_classes([InsufficientFunds, NoAccount], "bank.Accounts.pay")


def sent(error: RpcError) -> RpcError:
    """Return what a client gets of an error that its method declares."""
    made = named_error(error, ERRORS)
    assert made is not None
    plain = RpcError(error.status, error.message, trailers={"a": "b"})
    plain.details = (
        UnknownDetail(made.name, made.encode(error)),
        ErrorInfo(reason="R"),
    )
    return typed_error(plain, ERRORS)


def test_it_is_an_error_with_fields() -> None:
    assert (MADE.account, MADE.missing, MADE.currency) == ("42", Decimal(5), "EUR")
    assert MADE.status is StatusCode.FAILED_PRECONDITION
    assert str(MADE) == "FAILED_PRECONDITION: There is not enough in the account"
    assert repr(MADE) == (
        "InsufficientFunds(FAILED_PRECONDITION, 'There is not enough in the account')"
    )
    with pytest.raises(RpcError):
        raise MADE


def test_a_field_can_be_the_message() -> None:
    error = NoAccount(message="no account 42")
    assert str(error) == "NOT_FOUND: no account 42"


def test_it_takes_its_fields_by_name_and_no_others() -> None:
    with pytest.raises(TypeError, match="account"):
        InsufficientFunds(missing=Decimal(1))  # type: ignore[call-arg]  # pyright: ignore
    with pytest.raises(TypeError, match="acount"):
        InsufficientFunds(acount="42", account="4", missing=Decimal(1))  # type: ignore[call-arg]  # pyright: ignore


@pytest.mark.parametrize("error", [MADE, NoAccount(message="none")])
def test_it_comes_as_what_was_raised(error: RpcError) -> None:
    got = sent(error)
    assert type(got) is type(error)
    assert (got.status, got.message) == (error.status, error.message)
    assert got.trailers == (("a", "b"),)
    assert got.details == (ErrorInfo(reason="R"),)


def test_its_fields_come_with_their_types() -> None:
    got = sent(MADE)
    assert isinstance(got, InsufficientFunds)
    assert (got.account, got.missing, got.currency) == ("42", Decimal(5), "EUR")
    for twin in (copy.copy(got), pickle.loads(pickle.dumps(got))):
        assert twin.missing == Decimal(5)


def test_the_bytes_are_those_of_the_document() -> None:
    made = declared(NoAccount)
    assert made is not None
    assert made.encode(NoAccount(message="x")) == b"\x81\xa7message\xa1x"


def test_the_most_specific_that_the_method_declares_is_what_travels() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    frozen = Frozen(account="42", missing=Decimal(1), since=now)
    assert type(sent(frozen)) is InsufficientFunds
    both = error_classes([InsufficientFunds, Frozen], "x")
    assert named_error(frozen, both) is declared(Frozen)
    assert type(sent(Undeclared(account="1", missing=Decimal(2)))) is InsufficientFunds
    assert named_error(MADE, NO_ERRORS) is None
    assert named_error(RpcError(StatusCode.ABORTED), ERRORS) is None
    assert declared(Undeclared) is None


def test_a_timestamp_needs_a_zone() -> None:
    made = declared(Frozen)
    assert made is not None
    naive = Frozen(account="4", missing=Decimal(1), since=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(RpcError, match="without a time zone"):
        made.encode(naive)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"account": 42, "missing": "1"}),
        msgspec.msgpack.encode({"account": "42"}),
        b"\x91" * 2000,
    ],
)
def test_what_is_not_of_its_form_leaves_the_plain_error(body: bytes) -> None:
    raw = UnknownDetail("bank.InsufficientFunds", body)
    plain = RpcError(StatusCode.FAILED_PRECONDITION, "no", details=[raw])
    assert typed_error(plain, ERRORS) is plain
    assert plain.details == (raw,)


def test_what_the_method_does_not_declare_stays_plain() -> None:
    raw = UnknownDetail("bank.Other", b"\x80")
    plain = RpcError(StatusCode.FAILED_PRECONDITION, "no", details=[raw])
    assert typed_error(plain, ERRORS) is plain


def test_a_method_names_each_once_and_only_declared_ones() -> None:
    with pytest.raises(SchemaError, match=r"x: ValueError is no declared error"):
        error_classes([ValueError], "x")  # type: ignore[list-item]  # pyright: ignore
    with pytest.raises(SchemaError, match="Undeclared is no declared error"):
        error_classes([Undeclared], "x")
    with pytest.raises(SchemaError, match="two errors are named bank.NoAccount"):
        error_classes([NoAccount, NoAccount], "x")


def test_the_schema_has_name_status_fields_and_words() -> None:
    made = declared(InsufficientFunds)
    assert made is not None
    assert made.definition(TypeReader()) == ErrorDefinition(
        name="bank.InsufficientFunds",
        status=StatusCode.FAILED_PRECONDITION,
        fields=(
            FieldDefinition(name="account", type=ScalarType(scalar=Scalar.STRING)),
            FieldDefinition(name="missing", type=ScalarType(scalar=Scalar.DECIMAL)),
            FieldDefinition(
                name="currency",
                type=ScalarType(scalar=Scalar.STRING),
                default=Default(value="EUR"),
            ),
        ),
        doc="There is not enough\nin the account.\n\nIt can be filled.",
    )


@pytest.mark.parametrize(
    "name", ["", "1x", "a..b", "a-b", "signet.BadRequest", "x" * 201]
)
def test_names_that_are_not_to_be_had(name: str) -> None:
    with pytest.raises(SchemaError, match="error name"):
        declared_error(name)


def test_ok_is_no_error() -> None:
    with pytest.raises(SchemaError, match="OK is not an error"):
        declared_error("bank.Fine", status=StatusCode.OK)


def _no_error() -> None:
    @declared_error("bank.Bad")  # pyright: ignore
    class Bad(ValueError):  # type: ignore[type-var]
        account: str


def _own_constructor() -> None:
    @declared_error("bank.Bad")
    class Bad(DeclaredError):
        def __init__(self) -> None:
            """Take nothing."""


def _taken_field() -> None:
    @declared_error("bank.Bad")
    class Bad(DeclaredError):
        details: str  # type: ignore[assignment]  # pyright: ignore


def _unknown_type() -> None:
    @declared_error("bank.Bad")
    class Bad(DeclaredError):
        account: "Nowhere"  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore


def _no_type_that_travels() -> None:
    @declared_error("bank.Bad")
    class Bad(DeclaredError):
        account: object


def _mutable_default() -> None:
    @declared_error("bank.Bad")
    class Bad(DeclaredError):
        accounts: list[str] = ["42"]  # noqa: RUF012


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_no_error, "Bad is no DeclaredError"),
        (_own_constructor, "constructor of its own"),
        (_taken_field, "an error has 'details' already"),
        (_unknown_type, "cannot resolve type 'Nowhere'"),
        (_no_type_that_travels, "type object cannot travel"),
        (_mutable_default, "mutable collection"),
    ],
)
def test_what_cannot_be_an_error_is_refused_while_it_is_defined(
    make: object, says: str
) -> None:
    with pytest.raises(SchemaError, match=says) as caught:
        make()  # type: ignore[operator]  # pyright: ignore
    assert str(caught.value).startswith("error bank.Bad")
