"""Classes, with their bases, read whole."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from signetrpc.rpc._decorators import method, service, service_definition
from signetrpc.rpc._extract import extract
from signetrpc.rpc._handlers import HandlerStyle
from signetrpc.rpc._impersonation import Impersonation
from signetrpc.rpc._schema import (
    MethodSchema,
    Parameter,
    Scalar,
    ScalarType,
    ServiceSchema,
)
from signetrpc.rpc.errors import SchemaError
from signetrpc.transport._protection import Protection

TEXT = ScalarType(scalar=Scalar.STRING)
INT = ScalarType(scalar=Scalar.INT)


class Base:
    @method(Protection.SIGN)
    async def balance(self, account: str) -> int:
        """Return the balance.

        In cents.
        """
        raise AssertionError("overridden")

    @method
    async def close(self, account: str) -> None: ...

    def helper(self, anything: object) -> None:
        """Not marked, so no part of the interface."""


@service("bank.Accounts")
class Accounts(Base):
    """Accounts of the bank."""

    async def balance(self, account: str) -> int:
        return len(account)

    @method(Protection.NONE)
    def ping(self) -> None: ...


def refusal(cls: type[object]) -> str:
    with pytest.raises(SchemaError) as caught:
        extract(cls, "s", Protection.SEAL, Impersonation.ALLOWED)
    return str(caught.value)


def test_schema() -> None:
    assert service_definition(Accounts).schema == ServiceSchema(
        name="bank.Accounts",
        doc="Accounts of the bank.",
        methods=(
            MethodSchema(
                name="balance",
                protection=Protection.SIGN,
                parameters=(Parameter(name="account", type=TEXT),),
                result=INT,
                doc="Return the balance.\n\nIn cents.",
            ),
            MethodSchema(
                name="close",
                protection=Protection.SEAL,
                parameters=(Parameter(name="account", type=TEXT),),
                result=ScalarType(scalar=Scalar.NONE),
            ),
            MethodSchema(
                name="ping",
                protection=Protection.NONE,
                parameters=(),
                result=ScalarType(scalar=Scalar.NONE),
            ),
        ),
    )


def test_overrides_run() -> None:
    handler = service_definition(Accounts).handlers["bank.Accounts/balance"]
    arguments = handler.method.decode_arguments(b"\x81\xa7account\xa3abc")
    coroutine: Any = handler.bind(Accounts())(arguments)
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    assert end.value.value == 3


def test_undecorated_subclasses_serve_under_the_same_name() -> None:
    class Real(Accounts):
        def ping(self) -> None: ...

        def close(self, account: str) -> None: ...  # type: ignore[override]  # pyright: ignore

    definition = service_definition(Real)
    assert definition is service_definition(Real)
    assert definition.name == "bank.Accounts"
    handlers = definition.handlers
    assert handlers["bank.Accounts/close"].style is HandlerStyle.THREAD
    original = service_definition(Accounts)
    assert original.handlers["bank.Accounts/close"].style is HandlerStyle.ASYNC
    assert definition.schema.methods == original.schema.methods


def test_marking_again_replaces() -> None:
    @service("bank.Accounts", protection=Protection.SIGN)
    class Other(Base):
        @method
        async def balance(self, account: str, year: int) -> int:  # type: ignore[override]  # pyright: ignore
            return year

    balance, close = service_definition(Other).schema.methods
    assert [each.name for each in balance.parameters] == ["account", "year"]
    assert balance.protection is close.protection is Protection.SIGN


def test_handlers_cannot_be_changed() -> None:
    handlers: Any = service_definition(Accounts).handlers
    with pytest.raises(TypeError, match="does not support item assignment"):
        handlers["x"] = None


def hiding(function: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
    @functools.wraps(function)
    def wrapper(*args: object) -> Awaitable[int]:
        return function(*args)

    return wrapper


class Empty:
    def method(self) -> None: ...


class Static:
    @staticmethod
    @method
    def work(a: int) -> None: ...


class ClassMethod:
    @classmethod
    @method
    def work(cls, a: int) -> None: ...


class Property:
    @property
    @method
    def work(self) -> int:
        return 5


class Hidden:
    @method
    def _work(self) -> None: ...


class Alias:
    @method
    def work(self) -> None: ...

    play = work


class NoMethod(Base):
    balance = None  # type: ignore[assignment]  # pyright: ignore


class OtherParameters(Base):
    async def balance(self, number: str) -> int:  # pyright: ignore
        return 5


class NotGenerator:
    @method
    async def work(self) -> AsyncIterator[int]:
        raise AssertionError("never called")


class Generator:
    @method
    def work(self) -> list[int]:  # type: ignore[misc]
        yield 5  # pyright: ignore


class InlineAsync:
    @method(inline=True)
    async def work(self) -> None: ...


class InlineOverridden(Accounts):
    @method(inline=True)
    def fast(self) -> None: ...


class InlineAsyncOverride(InlineOverridden):
    async def fast(self) -> None: ...  # type: ignore[override]  # pyright: ignore


class HiddenAsync:
    @method
    @hiding
    async def work(self) -> int:
        return 5


@pytest.mark.parametrize(
    ("cls", "says"),
    [
        (Empty, "s: Empty has no methods (hint: mark with @method)"),
        (Static, "s.work: a staticmethod cannot be a method of a service"),
        (ClassMethod, "s.work: a classmethod cannot be a method of a service"),
        (Property, "s.work: a property cannot be a method of a service"),
        (Hidden, "s._work: the name cannot travel"),
        (Alias, "s.play: another name for work"),
        (NoMethod, "s.balance: overridden by a NoneType"),
        (OtherParameters, "s.balance: the override has other parameters"),
        (NotGenerator, "s.work: an async def that yields nothing is no stream"),
        (Generator, "s.work: a generator is a stream"),
        (InlineAsync, "s.work: inline is for a plain def"),
        (InlineAsyncOverride, "s.fast: inline is for a plain def"),
        (HiddenAsync, "s.work: a decorator hides that this is an async def"),
    ],
)
def test_refusals(cls: type[object], says: str) -> None:
    assert says in refusal(cls).replace("collections.abc.", "")
