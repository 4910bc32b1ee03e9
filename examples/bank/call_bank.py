r"""Calls the bank from async code.

python call_bank.py [HOST:PORT] --user 'CORP\alice'    with a password
python call_bank.py bank.example.com:7420              with your Kerberos tickets
"""

import sys
from decimal import Decimal

import anyio
from signetrpc.rpc import Protection, RpcError, connect
from signetrpc.transport import TransportError

from bank_client import AccountsClient, Caller
from bank_login import Login, read_login


async def main(login: Login) -> None:
    """Make some calls on one connection and print what comes back."""
    async with connect(login.address, credentials=login.credentials) as channel:
        accounts = AccountsClient(channel)

        receipt = await accounts.deposit("42", Decimal("12.50"), "pocket money")
        show("deposit", f"{receipt.entry.amount}", receipt.caller)

        balance = await accounts.balance("42")
        show("balance", f"{balance.amount}", balance.caller)

        # A caller can raise the level of a call.  Nobody can lower it.
        balance = await accounts.balance("42", protection=Protection.SEAL)
        show("balance", f"{balance.amount}", balance.caller)

        year = receipt.entry.day.year
        statement = await accounts.statement("42", year, timeout=2.0)
        show("statement", f"{len(statement.entries)} entry", statement.caller)

        try:
            await accounts.balance("1000")
        except RpcError as error:
            print(f"{'balance':<10} {error}")


def show(call: str, answer: str, caller: Caller) -> None:
    """Print an answer, with how the server saw the call."""
    seen = f"{caller.protection}, {caller.principal} by {caller.mechanism}"
    print(f"{call:<10} {answer:<8} {seen}")


if __name__ == "__main__":
    try:
        anyio.run(main, read_login("Calls the bank from async code."))
    except (RpcError, TransportError) as error:
        sys.exit(f"call_bank: {error}")
