"""An everyday service: what a newcomer would write."""

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from signetrpc.rpc import Impersonation, Protection, method, service


class Currency(enum.Enum):
    """What is counted."""

    EUR = "eur"
    USD = "usd"


@dataclass
class Entry:
    """One line of a statement."""

    when: datetime
    amount: Decimal
    currency: Currency = Currency.EUR
    memo: str | None = None
    tags: list[str] = field(default_factory=list[str])


@service("bank.Accounts")
class Accounts:
    """The accounts of a bank."""

    @method(Protection.SIGN)
    async def balance(self, account: str) -> Decimal:
        """Return what is on an account.

        The account need not be the caller's own.
        """
        return Decimal(len(account))

    @method(impersonate=Impersonation.REQUIRED)
    async def statement(self, account: str, year: int = 2026) -> list[Entry]:
        return [
            Entry(datetime(year, 1, 1, tzinfo=UTC), Decimal("1.50"), memo=account),
        ]

    @method(Protection.SEAL)
    def book(self, entry: Entry, *, transfer: UUID, due: date | None = None) -> UUID:
        """Book an entry."""
        assert entry.amount
        return transfer

    @method(
        protection=Protection.SIGN,
        impersonate=Impersonation.NOT_ALLOWED,
        inline=True,
    )
    def age(self) -> timedelta:
        return timedelta(days=1)
