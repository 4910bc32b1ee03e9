"""The bank: a service whose methods say how their messages travel.

The decorated class is the interface: `signet idl generate` makes `bank_client.py` of
it, `bank_server.py` (or `signet serve`) serves it.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from signetrpc.rpc import (
    Mechanism,
    Protection,
    RpcError,
    StatusCode,
    current_call,
    current_caller,
    method,
    service,
)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who made a call and how it came, as the server saw it."""

    principal: str
    mechanism: str
    mutual: bool
    protection: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a statement."""

    day: date
    amount: Decimal
    memo: str


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What was booked."""

    entry: Entry
    caller: Caller


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What is on an account."""

    amount: Decimal
    caller: Caller


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What happened on an account in a year."""

    entries: list[Entry]
    caller: Caller


# Not the name alone: two realms can each have an alice.
_Owner = tuple[Mechanism, str, str]


@dataclass
class _Account:
    owner: _Owner
    entries: list[Entry] = field(default_factory=list[Entry])


@service("bank.Accounts")
class Accounts:
    """Accounts, each of which belongs to whoever made the first deposit."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    @method(Protection.SIGN)
    async def balance(self, account: str) -> Balance:
        """Return what is on one of the caller's accounts.

        Signed: who listens may read it, and nobody can change it.
        """
        entries = self._own(account).entries
        amount = sum((entry.amount for entry in entries), Decimal(0))
        return Balance(amount=amount, caller=_caller())

    @method(Protection.SEAL)
    async def statement(self, account: str, year: int) -> Statement:
        """Return the entries of a year on one of the caller's accounts.

        Sealed: nobody but the two ends can read it.
        """
        entries = self._own(account).entries
        return Statement(
            entries=[entry for entry in entries if entry.day.year == year],
            caller=_caller(),
        )

    @method
    async def deposit(self, account: str, amount: Decimal, memo: str = "") -> Receipt:
        """Put money into an account, which the first deposit opens.

        Declares no level, and so is sealed.
        """
        if not amount.is_finite() or amount <= 0:
            raise RpcError(StatusCode.INVALID_ARGUMENT, "the amount is not positive")
        self._accounts.setdefault(account, _Account(owner=_owner()))
        entry = Entry(day=datetime.now(UTC).date(), amount=amount, memo=memo)
        self._own(account).entries.append(entry)
        return Receipt(entry=entry, caller=_caller())

    def _own(self, account: str) -> _Account:
        found = self._accounts.get(account)
        if found is None:
            raise RpcError(StatusCode.NOT_FOUND, f"there is no account {account!r}")
        if found.owner != _owner():
            raise RpcError(
                StatusCode.PERMISSION_DENIED,
                f"account {account!r} is not {current_caller().principal}'s",
            )
        return found


def _owner() -> _Owner:
    caller = current_caller()
    return caller.mechanism, caller.realm, caller.name


def _caller() -> Caller:
    call = current_call()
    return Caller(
        principal=call.caller.principal,
        mechanism=call.caller.mechanism.value,
        mutual=call.caller.mutual,
        protection=call.protection.name,
    )
