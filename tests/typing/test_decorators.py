"""Decorated classes keep their types: checked by mypy and pyright, and run."""

from decimal import Decimal
from typing import assert_type

import pytest

from signetrpc.rpc._decorators import method, service
from signetrpc.rpc._impersonation import Impersonation
from signetrpc.rpc.errors import SchemaError
from signetrpc.transport._protection import Protection


@service("typing.Accounts", protection=Protection.SIGN)
class Accounts:
    def __init__(self, rate: int) -> None:
        self.rate = rate

    @method
    async def bare(self, account: str) -> Decimal:
        return Decimal(self.rate)

    @method(Protection.SIGN)
    def positional(self, a: int, *, b: str = "") -> list[str]:
        return [str(a), b]

    @method(protection=Protection.SEAL, inline=True)
    def named(self) -> None: ...

    @method(impersonate=Impersonation.REQUIRED)
    async def as_caller(self, path: str) -> bytes:
        return path.encode()

    @method(Protection.SIGN, impersonate=Impersonation.NOT_ALLOWED, inline=True)
    def as_server(self) -> int:
        return self.rate


@service("typing.Files", impersonate=Impersonation.REQUIRED)
class Files:
    @method
    def read(self, path: str) -> bytes:
        return path.encode()


async def check(accounts: Accounts) -> None:
    assert_type(await accounts.bare("42"), Decimal)
    assert_type(await accounts.as_caller("/"), bytes)


def test_types_are_kept() -> None:
    accounts = Accounts(3)
    assert_type(accounts, Accounts)
    assert assert_type(accounts.positional(1, b="x"), list[str]) == ["1", "x"]
    assert accounts.rate == assert_type(accounts.as_server(), int) == 3
    assert assert_type(assert_type(Files(), Files).read("x"), bytes) == b"x"


def test_wrong_uses_are_errors_of_type() -> None:
    # An unused ignore is an error itself, so each of these stands for a complaint.
    accounts = Accounts(3)
    wrong = accounts.positional("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert wrong == ["1", ""]
    with pytest.raises(SchemaError):
        method(impersonate=True)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
