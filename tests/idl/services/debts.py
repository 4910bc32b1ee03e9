"""A service whose methods declare errors, some with names in the way."""

import datetime
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from signetrpc.rpc import (
    DeclaredError,
    RpcError,
    StatusCode,
    declared_error,
    method,
    service,
)


@dataclass
class StatusCode_2:  # noqa: N801
    """A type with a name near one that a client imports."""

    code: int


@declared_error("debts.InsufficientFunds")
class InsufficientFunds(DeclaredError):
    """There is not enough in the account.

    Fill it, or take less.
    """

    account: str
    missing: Decimal
    since: datetime.date | None = None


@declared_error("debts.NoAccount", status=StatusCode.NOT_FOUND)
class NoAccount(DeclaredError):
    message: str


@declared_error("debts.Closed", status=StatusCode.UNAVAILABLE)
class Closed(DeclaredError):
    """The bank is closed."""


@declared_error("others.an_error_with_a_name_that_is_longer_than_most_others.Bare")
class Bare(DeclaredError):
    pass


@declared_error("debts.Detailed")
class Detailed(DeclaredError):
    float: float
    status_code: StatusCode_2
    by_name: dict[str, tuple[int, list[StatusCode_2] | None]]
    note: str | msgspec.UnsetType = msgspec.UNSET
    codes: tuple[int, ...] = (404, 403)


@service("debts.Debts")
class Debts:
    """Raises what it declares, by each kind of call."""

    @method(errors=[InsufficientFunds, NoAccount])
    async def pay(self, account: str, amount: Decimal) -> Decimal:
        """Pay a debt."""
        raise self._problem(account, amount)

    @method(errors=[InsufficientFunds])
    def pay_now(self, account: str) -> None:
        raise self._problem(account, Decimal(1))

    @method(errors=[Closed, NoAccount, Bare, InsufficientFunds, Detailed])
    async def collect(self, amounts: AsyncIterator[Decimal]) -> Decimal:
        async for amount in amounts:
            raise self._problem("42", amount)
        raise Closed

    @method(errors=[NoAccount, InsufficientFunds])
    def watch(self, account: str) -> Iterator[Decimal]:
        yield Decimal(1)
        raise self._problem(account, Decimal(2))

    @method(errors=[Detailed, InsufficientFunds])
    async def talk(self, words: AsyncIterator[str]) -> AsyncIterator[str]:
        async for word in words:
            yield word
        raise self._problem("42", Decimal(3))

    def _problem(self, account: str, amount: Decimal) -> RpcError:
        if not account:
            return NoAccount(message="an account without a number")
        return InsufficientFunds(account=account, missing=amount)
