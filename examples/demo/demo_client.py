"""The demo's client: calls the bank, shows how each call went, tries what must fail.

Started by run.py, as a process of its own, with the address of the bank.  It ends with
exit code 1 and a message where something is not as it must be.
"""

import argparse
import os
import secrets
import sys
from decimal import Decimal

import anyio
import msgspec
from signetrpc.rpc import (
    Channel,
    Password,
    Protection,
    RpcError,
    StatusCode,
    UnaryMethod,
    connect,
)
from signetrpc.transport import HandshakeError, TransportError

from bank_client import AccountsClient, Caller, Statement

ACCOUNT = "42"
CALLS = "{:<19} {:<6} {:<10} {:<16} {}"
REFUSALS = "{:<24} {}"


class Unexpected(Exception):
    """Something is not as the demo says it is."""


class StatementArguments(msgspec.Struct):
    """What `statement` takes, written by hand."""

    account: str
    year: int


# The generated client sends `statement` sealed and cannot be told to do less.
# This one claims that SIGN is enough.
WEAK_STATEMENT = UnaryMethod[StatementArguments, Statement](
    service="bank.Accounts",
    name="statement",
    protection=Protection.SIGN,
    arguments=StatementArguments,
    result=Statement,
)


async def main(address: str, user: str | None, service: str | None) -> None:
    """Make the calls, try what must be refused, and call again."""
    credentials = Password(user, os.environ["DEMO_PASSWORD"]) if user else None
    async with connect(
        address, credentials=credentials, service_principal=service
    ) as channel:
        show_server(channel)
        year = await make_calls(AccountsClient(channel))
        print()
        print(REFUSALS.format("REFUSED", "BECAUSE"))
        if user:
            await try_wrong_password(address, user)
        else:
            await try_wrong_service(address)
        await try_too_weak_call(channel, year)
    print()
    print("The server serves on: a new connection, the same calls.")
    async with connect(
        address, credentials=credentials, service_principal=service
    ) as channel:
        await make_calls(AccountsClient(channel))


def show_server(channel: Channel) -> None:
    """Print who the server is, as far as it proved it."""
    peer = channel.peer
    if peer.mutual:
        proof = f"the server proved to be {peer.principal} (mutual)"
    else:
        proof = f"the server did not prove itself: {peer.mechanism.upper()} cannot"
    print(f"client   process {os.getpid()}, {proof}")


async def make_calls(accounts: AccountsClient) -> int:
    """Call methods of both levels and print how; return the year of the deposit."""
    print()
    print(CALLS.format("CALL", "LEVEL", "MECHANISM", "CALLER", "ANSWER"))
    receipt = await accounts.deposit(ACCOUNT, Decimal("12.50"), "pocket money")
    day = receipt.entry.day
    show("deposit", Protection.SEAL, receipt.caller, f"booked {receipt.entry.amount}")
    balance = await accounts.balance(ACCOUNT)
    show("balance", Protection.SIGN, balance.caller, f"{balance.amount}")
    statement = await accounts.statement(ACCOUNT, day.year)
    total = sum(entry.amount for entry in statement.entries)
    answer = f"{len(statement.entries)} x 12.50 in {day.year}"
    show("statement", Protection.SEAL, statement.caller, answer)
    expect(total == balance.amount, f"statement of {total}, balance {balance.amount}")
    balance = await accounts.balance(ACCOUNT, protection=Protection.SEAL)
    show("balance, raised", Protection.SEAL, balance.caller, f"{balance.amount}")
    return day.year


def show(call: str, level: Protection, caller: Caller, answer: str) -> None:
    """Print a call as the server saw it, which must be at the level expected."""
    print(
        CALLS.format(
            call, caller.protection, caller.mechanism, caller.principal, answer
        )
    )
    expect(caller.protection == level.name, f"{call} travelled at {caller.protection}")
    expect(caller.mutual == (caller.mechanism == "kerberos"), f"{caller.mutual=}")


async def try_wrong_password(address: str, user: str) -> None:
    """Log in with a password that is not the user's."""
    wrong = Password(user, secrets.token_urlsafe(16))
    try:
        async with connect(address, credentials=wrong):
            raise Unexpected("a wrong password was accepted")
    except HandshakeError as error:
        print(REFUSALS.format("wrong password", error))


async def try_wrong_service(address: str) -> None:
    """Ask for another service than the one that is there, as if led astray."""
    try:
        async with connect(address, service_principal="host/other"):
            raise Unexpected("a server that is not host/other was accepted as such")
    except HandshakeError as error:
        print(REFUSALS.format("wrong service principal", error))


async def try_too_weak_call(channel: Channel, year: int) -> None:
    """Send the arguments of a sealed method merely signed."""
    arguments = StatementArguments(ACCOUNT, year)
    try:
        await channel.unary(WEAK_STATEMENT, arguments)
    except RpcError as error:
        print(REFUSALS.format("statement, only signed", error.status.name))
        print(REFUSALS.format("", error.message))
        expect(error.status is StatusCode.PERMISSION_DENIED, f"{error.status=}")
    else:
        raise Unexpected("a sealed method answered a call that was merely signed")


def expect(condition: bool, otherwise: str) -> None:
    """Raise `Unexpected` unless `condition` holds."""
    if not condition:
        raise Unexpected(otherwise)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--user", help="NTLM, with the password in DEMO_PASSWORD")
    parser.add_argument("--service-principal", help="Kerberos, with this environment's")
    given = parser.parse_args()
    try:
        anyio.run(main, given.address, given.user, given.service_principal)
    except KeyboardInterrupt:
        sys.exit(130)
    except (RpcError, TransportError, Unexpected) as error:
        sys.exit(f"{type(error).__name__}: {error}")
