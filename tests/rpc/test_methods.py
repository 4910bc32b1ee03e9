"""A method made by hand, as stubs make it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from signetrpc.rpc._impersonation import Impersonation
from signetrpc.rpc._methods import (
    BidirectionalMethod,
    ClientStreamMethod,
    Method,
    ServerStreamMethod,
    UnaryMethod,
)
from signetrpc.rpc._schema import CallKind
from signetrpc.rpc._status import StatusCode
from signetrpc.rpc.errors import RpcError, SchemaError
from signetrpc.transport._protection import Protection


class BalanceArguments(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    at: datetime | None = None


BALANCE = UnaryMethod[BalanceArguments, Decimal | None](
    service="bank.Accounts",
    name="balance",
    protection=Protection.SIGN,
    arguments=BalanceArguments,
    result=Decimal | None,
)


def test_names() -> None:
    assert BALANCE.full_name == "bank.Accounts/balance"
    assert BALANCE.wire_name == b"\xb5bank.Accounts/balance"
    assert (BALANCE.service, BALANCE.name) == ("bank.Accounts", "balance")
    assert repr(BALANCE) == "<UnaryMethod bank.Accounts/balance SIGN>"


def test_arguments_travel_as_a_map() -> None:
    arguments = BalanceArguments("42")
    body = BALANCE.encode_arguments(arguments)
    assert body == b"\x82\xa7account\xa242\xa2at\xc0"
    assert BALANCE.decode_arguments(body) == arguments
    assert BALANCE.decode_arguments(b"\x81\xa7account\xa242") == arguments


def test_results_travel_bare() -> None:
    body = BALANCE.encode_result(Decimal("1.50"))
    assert body == b"\xa41.50"
    assert BALANCE.decode_result(body) == Decimal("1.50")
    assert BALANCE.decode_result(b"\xc0") is None


def test_misspelt_arguments_are_refused() -> None:
    with pytest.raises(RpcError) as caught:
        BALANCE.decode_arguments(b"\x81\xa7acount_\xa242")
    assert caught.value.status is StatusCode.INVALID_ARGUMENT
    assert caught.value.message == 'unknown argument "acount_"'


def test_naive_timestamps_are_refused_where_there_can_be_any() -> None:
    with pytest.raises(RpcError, match='argument "at": a timestamp without'):
        BALANCE.encode_arguments(BalanceArguments("42", datetime(2026, 1, 2)))
    assert BALANCE.encode_arguments(
        BalanceArguments("42", datetime(2026, 1, 2, tzinfo=UTC))
    )


def test_unknown_fields_of_replies_are_ignored() -> None:
    class Entry(msgspec.Struct):
        x: int

    method = UnaryMethod[BalanceArguments, Entry](
        service="bank.Accounts",
        name="entry",
        protection=Protection.SEAL,
        arguments=BalanceArguments,
        result=Entry,
    )
    assert method.decode_result(b"\x82\xa1x\x01\xa3new\x02") == Entry(1)


def made(protection: Protection, impersonate: Impersonation) -> Impersonation:
    return UnaryMethod[BalanceArguments, int](
        service="bank.Accounts",
        name="it",
        protection=protection,
        arguments=BalanceArguments,
        result=int,
        impersonate=impersonate,
    ).impersonate


def test_whom_it_runs_as() -> None:
    assert BALANCE.impersonate is Impersonation.ALLOWED
    for protection in Protection:
        for impersonate in (Impersonation.NOT_ALLOWED, Impersonation.ALLOWED):
            assert made(protection, impersonate) is impersonate
    for protection in (Protection.SIGN, Protection.SEAL):
        assert made(protection, Impersonation.REQUIRED) is Impersonation.REQUIRED
    with pytest.raises(SchemaError, match="bank.Accounts.it: nobody knows the caller"):
        made(Protection.NONE, Impersonation.REQUIRED)


def test_types_that_cannot_travel_are_refused() -> None:
    with pytest.raises(SchemaError, match="bank.Accounts.it: result: type object"):
        UnaryMethod[BalanceArguments, Any](
            service="bank.Accounts",
            name="it",
            protection=Protection.SEAL,
            arguments=BalanceArguments,
            result=object,
        )


# Kinds.

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
_GIVEN: dict[str, Any] = {
    "service": "bank.Accounts",
    "protection": Protection.SIGN,
    "arguments": BalanceArguments,
}
WATCH = ServerStreamMethod[BalanceArguments, Decimal](
    name="watch", result=Decimal, **_GIVEN
)
IMPORT = ClientStreamMethod[BalanceArguments, datetime, int](
    name="import_all", item=datetime, result=int, **_GIVEN
)
CHAT = BidirectionalMethod[BalanceArguments, str, datetime](
    name="chat", item=str, result=datetime, **_GIVEN
)


@pytest.mark.parametrize(
    ("method", "kind", "takes", "gives"),
    [
        (BALANCE, CallKind.UNARY, False, False),
        (IMPORT, CallKind.CLIENT_STREAM, True, False),
        (WATCH, CallKind.SERVER_STREAM, False, True),
        (CHAT, CallKind.BIDIRECTIONAL, True, True),
    ],
)
def test_kinds(
    method: Method[Any, Any], kind: CallKind, takes: bool, gives: bool
) -> None:
    assert method.kind is kind
    assert (method.kind.takes_items, method.kind.gives_items) == (takes, gives)
    assert f"<{type(method).__name__} bank.Accounts/" in repr(method)
    # Arguments are the same for all of them.
    body = method.encode_arguments(BalanceArguments("42"))
    assert method.decode_arguments(body) == BalanceArguments("42")


def test_each_item_of_a_result_travels_bare() -> None:
    assert WATCH.encode_result(Decimal("1.50")) == b"\xa41.50"
    assert WATCH.decode_result(b"\xa41.50") == Decimal("1.50")
    with pytest.raises(RpcError) as caught:
        WATCH.decode_result(b"\xc3")
    assert caught.value.status is StatusCode.INTERNAL
    assert caught.value.message == "item of the result: expected decimal, got bool"


def test_each_item_of_the_callers_does_too() -> None:
    body = IMPORT.encode_item(WHEN)
    assert IMPORT.decode_item(body) == WHEN
    assert CHAT.encode_item("a") == b"\xa1a"
    with pytest.raises(RpcError) as caught:
        CHAT.decode_item(b"\x01")
    assert caught.value.status is StatusCode.INVALID_ARGUMENT
    assert "item" in caught.value.message


def test_naive_timestamps_are_refused_in_items() -> None:
    naive = datetime(2026, 1, 2)
    with pytest.raises(RpcError, match="a timestamp without"):
        IMPORT.encode_item(naive)
    with pytest.raises(RpcError, match="a timestamp without"):
        CHAT.encode_result(naive)


def test_items_that_cannot_travel_are_refused() -> None:
    with pytest.raises(SchemaError, match="bank.Accounts.it: item: type object"):
        ClientStreamMethod[BalanceArguments, Any, int](
            name="it", item=object, result=int, **_GIVEN
        )
