r"""Calls the bank from code without an event loop.

python call_bank_blocking.py [HOST:PORT] --user 'CORP\alice'
"""

import sys
from decimal import Decimal

from signetrpc.rpc import RpcError, connect_blocking
from signetrpc.transport import TransportError

from bank_client import BlockingAccountsClient
from bank_login import Login, read_login


def main(login: Login) -> None:
    """Deposit, then print the account."""
    with connect_blocking(login.address, credentials=login.credentials) as channel:
        accounts = BlockingAccountsClient(channel)
        receipt = accounts.deposit("7", Decimal("0.99"), "from a thread")
        statement = accounts.statement("7", receipt.entry.day.year)
        for entry in statement.entries:
            print(entry.day, entry.amount, entry.memo)
        print(f"{statement.caller.protection}, for {statement.caller.principal}")


if __name__ == "__main__":
    try:
        main(read_login("Calls the bank from code without an event loop."))
    except (RpcError, TransportError) as error:
        sys.exit(f"call_bank_blocking: {error}")
