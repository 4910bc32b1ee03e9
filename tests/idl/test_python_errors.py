"""Generated classes of declared errors: their text, and that they are what arrives."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

import pytest

from signetrpc.idl._python import client_source
from signetrpc.rpc import DeclaredError, RpcError, SchemaError, StatusCode
from signetrpc.rpc._declared_errors import declared
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._schema import (
    ErrorDefinition,
    FieldDefinition,
    Scalar,
    ScalarType,
    ServiceSchema,
    StructDefinition,
)
from signetrpc.rpc._types import TypeReader
from signetrpc.rpc.testing import channel_for
from tests.idl.services import debts, debts_client
from tests.idl.test_layout import formatted

SCHEMA = service_definition(debts.Debts).schema
GOLDEN = Path(__file__).parent / "services" / "debts_client.py"
TEXT = ScalarType(scalar=Scalar.STRING)


def test_the_generated_module_is_as_it_is_checked_in() -> None:
    source = client_source(SCHEMA)
    assert GOLDEN.read_text() == source
    assert formatted(source) == source


def test_the_schema_keeps_the_order_and_has_each_once() -> None:
    by_name = {each.name: each.errors for each in SCHEMA.methods}
    assert by_name["pay"] == ("debts.InsufficientFunds", "debts.NoAccount")
    assert by_name["watch"] == ("debts.NoAccount", "debts.InsufficientFunds")
    assert [each.short_name for each in SCHEMA.errors] == [
        "InsufficientFunds",
        "NoAccount",
        "Closed",
        "Bare",
        "Detailed",
    ]
    # What only an error mentions is among the service's types all the same.
    assert [each.name for each in SCHEMA.types] == ["StatusCode_2"]


@pytest.mark.parametrize(
    "name", ["InsufficientFunds", "NoAccount", "Closed", "Bare", "Detailed"]
)
def test_a_generated_class_says_the_same_as_the_written_one(name: str) -> None:
    definitions: list[ErrorDefinition] = []
    for module in (debts, debts_client):
        made = declared(getattr(module, name))
        assert made is not None
        definitions.append(made.definition(TypeReader()))
    assert definitions[0] == definitions[1]


def test_a_generated_class_can_be_raised_and_shown() -> None:
    error = debts_client.InsufficientFunds(account="42", missing=Decimal(1))
    assert str(error) == "FAILED_PRECONDITION: There is not enough in the account"
    assert str(debts_client.Closed()) == "UNAVAILABLE: The bank is closed"
    detailed = debts_client.Detailed(
        float=1.5, status_code=debts_client.StatusCode_2(code=1), by_name={}
    )
    assert_type(detailed.codes, tuple[int, ...])
    assert detailed.codes == (404, 403)
    assert_type(error.missing, Decimal)


@pytest.mark.anyio
@pytest.mark.parametrize("account", ["42", ""])
async def test_calls_of_one_reply_raise_what_the_handler_raised(account: str) -> None:
    async with channel_for(debts.Debts) as channel:
        client = debts_client.DebtsClient(channel)
        with pytest.raises(DeclaredError) as caught:
            await client.pay(account, Decimal("2.50"))
    error = caught.value
    if account:
        assert isinstance(error, debts_client.InsufficientFunds)
        assert (error.account, error.missing) == ("42", Decimal("2.50"))
    else:
        assert isinstance(error, debts_client.NoAccount)
        assert error.status is StatusCode.NOT_FOUND
        assert error.message == "an account without a number"


@pytest.mark.anyio
async def test_what_a_method_does_not_declare_is_a_plain_error() -> None:
    async with channel_for(debts.Debts) as channel:
        client = debts_client.DebtsClient(channel)
        with pytest.raises(debts_client.InsufficientFunds):
            await client.pay_now("42")
        with pytest.raises(RpcError) as caught:
            await client.pay_now("")
    assert type(caught.value) is RpcError
    assert caught.value.status is StatusCode.NOT_FOUND
    assert caught.value.details == ()


@pytest.mark.anyio
async def test_streams_raise_what_the_handler_raised() -> None:
    async with channel_for(debts.Debts) as channel:
        client = debts_client.DebtsClient(channel)
        with pytest.raises(debts_client.Closed):
            await client.collect([])
        with pytest.raises(debts_client.InsufficientFunds) as collected:
            await client.collect([Decimal(7)])
        assert collected.value.missing == 7
        seen: list[Any] = []
        with pytest.raises(debts_client.InsufficientFunds) as watched:
            async for amount in client.watch("42"):
                seen.append(amount)
        assert seen == [Decimal(1)]
        assert watched.value.missing == Decimal(2)
        with pytest.raises(debts_client.InsufficientFunds) as talked:
            async for word in client.talk(["a"]):
                seen.append(word)
        assert seen == [Decimal(1), "a"]
        assert talked.value.missing == Decimal(3)


def with_errors(*errors: ErrorDefinition, name: str = "debts.Debts") -> ServiceSchema:
    return replace(SCHEMA, name=name, errors=errors)


def error(name: str, *fields: str) -> ErrorDefinition:
    return ErrorDefinition(
        name=name,
        fields=tuple(FieldDefinition(name=each, type=TEXT) for each in fields),
    )


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (with_errors(error("a.DebtsClient")), "error a.DebtsClient has the name of"),
        (
            with_errors(error("a.StatusCode_2")),
            "a.StatusCode_2 has the name of another",
        ),
        (with_errors(error("a.B", "status")), "a.B: a field cannot be called status"),
        (with_errors(error("a.B", "args")), "a.B: a field cannot be called args"),
        (with_errors(error("a.B", "from")), "a.B: a field cannot be called from"),
        (
            with_errors(error("a.B"), error("c.B")),
            "another service has another error B",
        ),
    ],
)
def test_names_that_python_cannot_have_are_refused(
    schema: ServiceSchema, says: str
) -> None:
    with pytest.raises(SchemaError, match=says):
        client_source(schema)


def test_services_share_an_error_and_not_a_name() -> None:
    shared = error("a.Shared", "account")
    plain = replace(SCHEMA, types=(StructDefinition(name="StatusCode_2", fields=()),))
    one = replace(plain, methods=(), errors=(shared,))
    two = replace(one, name="debts.Others")
    source = client_source(one, two)
    assert source.count("class Shared(") == 1
    other = replace(two, errors=(error("a.Shared", "number"),))
    with pytest.raises(SchemaError, match=r"debts.Others: another service has another"):
        client_source(one, other)


def test_two_errors_of_one_short_name_are_refused_with_the_service() -> None:
    from signetrpc.rpc import declared_error, method, service

    @declared_error("others.Closed")
    class Closed(DeclaredError):
        pass

    with pytest.raises(SchemaError, match="a name in common with another error"):

        @service("debts.Twice")
        class Twice:
            @method(errors=[Closed, debts.Closed])
            async def both(self) -> None:
                raise Closed
