"""Generated clients: what they look like, and that they speak with their services."""

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings

from signetrpc.idl._python import client_source
from signetrpc.rpc import (
    BlockingChannel,
    CallInfo,
    Channel,
    Protection,
    RpcError,
    UnaryMethod,
)
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._handlers import ServiceDefinition
from signetrpc.rpc._methods import Method
from signetrpc.rpc._schema import ServiceSchema
from signetrpc.rpc._types import TypeReader
from tests.idl.schemas import services
from tests.idl.services import bank, bank_client, tricky, tricky_client
from tests.idl.test_layout import formatted
from tests.support.scale import scaled

FOLDER = Path(__file__).parent / "services"
DEFINITIONS = {
    "bank": service_definition(bank.Accounts),
    "tricky": service_definition(tricky.Tricky),
}


class Loop:
    """A channel that carries bodies straight to a service and back."""

    def __init__(self, definition: ServiceDefinition, instance: object) -> None:
        self._definition = definition
        self._instance = instance
        self.options: dict[str, object] = {}

    def call(self, method: UnaryMethod[Any, Any], arguments: Any) -> tuple[Any, Any]:
        handler = self._definition.handlers[method.full_name]
        assert method.protection is handler.method.protection
        assert method.impersonate is handler.method.impersonate
        body = method.encode_arguments(arguments)
        return handler, handler.bind(self._instance)(
            handler.method.decode_arguments(body)
        )

    async def unary(
        self, method: UnaryMethod[Any, Any], arguments: Any, **options: object
    ) -> Any:
        self.options = options
        handler, result = self.call(method, arguments)
        if handler.style.value == "async":
            result = await result
        return method.decode_result(handler.method.encode_result(result))


class BlockingLoop(Loop):
    """The same for code without an event loop; async handlers must not wait."""

    def unary(  # pyright: ignore
        self, method: UnaryMethod[Any, Any], arguments: Any, **options: object
    ) -> Any:
        self.options = options
        handler, result = self.call(method, arguments)
        if handler.style.value == "async":
            with pytest.raises(StopIteration) as end:
                result.send(None)
            result = end.value.value
        return method.decode_result(handler.method.encode_result(result))


def bank_blocking() -> tuple[BlockingLoop, bank_client.BlockingAccountsClient]:
    loop = BlockingLoop(DEFINITIONS["bank"], bank.Accounts())
    return loop, bank_client.BlockingAccountsClient(cast("BlockingChannel", loop))


@pytest.mark.parametrize("name", DEFINITIONS)
def test_generated_modules_are_as_they_are_checked_in(name: str) -> None:
    source = client_source(DEFINITIONS[name].schema)
    assert (FOLDER / f"{name}_client.py").read_text() == source
    assert formatted(source) == source


def test_calls() -> None:
    loop, client = bank_blocking()
    assert client.balance("1234") == Decimal(4)
    assert loop.options == {
        "timeout": None,
        "metadata": None,
        "protection": None,
        "wait_for_ready": None,
        "call_info": None,
    }
    info = CallInfo()
    (entry,) = client.statement(
        "42",
        timeout=2.0,
        metadata={"a": "b"},
        protection=Protection.SEAL,
        wait_for_ready=True,
        call_info=info,
    )
    assert loop.options == {
        "timeout": 2.0,
        "metadata": {"a": "b"},
        "protection": Protection.SEAL,
        "wait_for_ready": True,
        "call_info": info,
    }
    assert entry == bank_client.Entry(
        when=datetime(2026, 1, 1, tzinfo=UTC), amount=Decimal("1.50"), memo="42"
    )
    assert client.age() == timedelta(days=1)
    assert client.book(entry, UUID(int=5), due=date(2026, 1, 2)) == UUID(int=5)


def test_wrong_values() -> None:
    _, client = bank_blocking()
    with pytest.raises(RpcError, match='argument "account": expected str, got int'):
        client.balance(cast("Any", 5))
    naive = bank_client.Entry(when=datetime(2026, 1, 1), amount=Decimal(1))
    with pytest.raises(RpcError, match='argument "entry.when": a timestamp without'):
        client.book(naive, UUID(int=5))


@pytest.mark.anyio
async def test_async_calls() -> None:
    loop = Loop(DEFINITIONS["bank"], bank.Accounts())
    client = bank_client.AccountsClient(cast("Channel", loop))
    assert await client.balance("1234", timeout=1.0) == Decimal(4)
    assert loop.options["timeout"] == 1.0
    assert await client.book(
        bank_client.Entry(
            when=datetime(2026, 1, 1, tzinfo=UTC),
            amount=Decimal(1),
            currency=bank_client.Currency.USD,
        ),
        UUID(int=5),
    ) == UUID(int=5)


@pytest.mark.anyio
async def test_names_that_are_in_the_way() -> None:
    loop = Loop(DEFINITIONS["tricky"], tricky.Tricky())
    client = tricky_client.TrickyClient(cast("Channel", loop))
    assert await client.list(["a"]) == ["a"]
    assert await client.float() == float("inf")
    assert await client.msgspec() == (
        tricky_client.Protection.SOME,
        tricky_client.Channel.RIGHT,
    )
    for value in (tricky_client.Decimal(), tricky_client.UUID(), None):
        assert await client.uuid(value) == value
    mapped = tricky_client.Mapped(from_="x")
    assert await client.UUID(mapped) == mapped
    assert msgspec.to_builtins(mapped)["from"] == "x"
    loose = tricky_client.Loose(bytes=b"x")
    assert await client.loose(loose) == loose
    needed = tricky_client.Impersonation.REQUIRED
    assert await client.as_whom(needed) is needed
    when = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert await client.optional_after(needed=b"x") == when
    nested = tricky_client.Nested(children=[tricky_client.Nested()])
    name = "a_method_with_a_name_that_is_longer_than_others"
    assert await getattr(client, name)({}, nested, {1: {2: True}}) == {
        1: {"a": [nested]}
    }


def test_documentation_is_carried_over() -> None:
    assert bank_client.AccountsClient.balance.__doc__ == (
        "Return what is on an account.\n\n"
        "        The account need not be the caller's own.\n\n"
        "        Protection: SIGN.\n        "
    )
    assert tricky_client.Protection.__doc__ == tricky.Protection.__doc__


def test_callers_read_what_a_method_needs_of_them() -> None:
    for client in (bank_client.AccountsClient, bank_client.BlockingAccountsClient):
        assert client.statement.__doc__ == (
            "Call bank.Accounts/statement.\n\n"
            "        Protection: SEAL.\n"
            "        Runs as the caller: connect with at least "
            "impersonation=IMPERSONATE.\n        "
        )
        for other in (client.balance, client.age):
            assert "Runs as" not in (other.__doc__ or "")


@contextmanager
def imported(source: str) -> Generator[ModuleType]:
    """Import a module from its source, as long as the context lasts."""
    module = ModuleType("generated_client")
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, "generated_client.py", "exec"), module.__dict__)
        yield module
    finally:
        del sys.modules[module.__name__]


@given(services())
@settings(max_examples=scaled(2000), deadline=None)
def test_any_schema_survives_its_client(schema: ServiceSchema) -> None:
    source = client_source(schema)
    assert client_source(schema) == source
    assert formatted(source) == source
    with imported(source) as module:
        values: list[Any] = list(vars(module).values())
        methods: list[Any] = [each for each in values if isinstance(each, Method)]
        assert len(methods) == len(schema.methods)
        for method, expected in zip(methods, schema.methods, strict=True):
            assert method.full_name == f"{schema.name}/{expected.name}"
            assert method.kind is expected.kind
            assert method.protection is expected.protection
            assert method.impersonate is expected.impersonate
            reader = TypeReader()
            fields = msgspec.structs.fields(method.arguments)
            assert [
                (field.encode_name, reader.read(field.type, "")) for field in fields
            ] == [(each.name, each.type) for each in expected.parameters]
            assert reader.read(method.result, "") == expected.result
            if expected.stream is not None:
                assert reader.read(method.item, "") == expected.stream.type
            known = {each.name: each for each in schema.types}
            for definition in reader.definitions:
                assert definition == known[definition.name]


def test_two_services_in_one_module() -> None:
    both = [each.schema for each in DEFINITIONS.values()]
    source = client_source(*both)
    assert formatted(source) == source
    assert '"""Clients of bank.Accounts and a.b.Tricky."""' in source
    with imported(source) as module:
        assert module.AccountsClient.__doc__ == bank_client.AccountsClient.__doc__
        assert module.BlockingTrickyClient


def test_generated_modules_need_only_what_is_public() -> None:
    for name in DEFINITIONS:
        module = importlib.import_module(f"tests.idl.services.{name}_client")
        assert set(module.__all__) <= set(vars(module))
        public = importlib.import_module("signetrpc.rpc").__all__
        for line in (FOLDER / f"{name}_client.py").read_text().splitlines():
            if line.startswith("from signetrpc.rpc import ") and "(" not in line:
                names = line.removeprefix("from signetrpc.rpc import ").split(", ")
                assert {each.split(" as ")[0] for each in names} <= set(public)
