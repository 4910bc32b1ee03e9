"""Decorated classes keep their types: checked by mypy and pyright, and run."""

from decimal import Decimal
from typing import assert_type

from signetrpc.rpc._decorators import method, service
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


async def check(accounts: Accounts) -> None:
    assert_type(await accounts.bare("42"), Decimal)


def test_types_are_kept() -> None:
    accounts = Accounts(3)
    assert_type(accounts, Accounts)
    assert assert_type(accounts.positional(1, b="x"), list[str]) == ["1", "x"]
    assert accounts.rate == 3


def test_wrong_uses_are_errors_of_type() -> None:
    # An unused ignore is an error itself, so each of these stands for a complaint.
    accounts = Accounts(3)
    wrong = accounts.positional("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert wrong == ["1", ""]
