"""Serves the bank.

python bank_server.py --ntlm-accounts accounts.txt
python bank_server.py --keytab service.keytab
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress

import anyio
from signetrpc.rpc import AccountFile, Keytab, Server, ServerCredentials
from signetrpc.transport import TransportError

from bank import Accounts


async def serve(address: str, accept: Sequence[ServerCredentials]) -> None:
    """Serve until interrupted; print where, once it can be called."""
    server = Server([Accounts], accept=accept)
    async with anyio.create_task_group() as group:
        listening = await group.start(server.serve, address)
        print("serving", *server.service_names, "at", listening, flush=True)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Serves the bank.")
    parser.add_argument("--listen", default="127.0.0.1:7420", metavar="HOST:PORT")
    parser.add_argument("--ntlm-accounts", metavar="FILE", help="accept NTLM")
    parser.add_argument("--keytab", metavar="FILE", help="accept Kerberos")
    given = parser.parse_args()
    accept: list[ServerCredentials] = []
    if given.ntlm_accounts:
        accept.append(AccountFile(given.ntlm_accounts))
    if given.keytab:
        accept.append(Keytab(given.keytab))
    if not accept:
        parser.error("give --ntlm-accounts, --keytab or both")
    # Who was refused and why is in the log; a client is told little.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        with suppress(KeyboardInterrupt):
            anyio.run(serve, given.listen, accept)
    except* (TransportError, OSError) as group:
        sys.exit(f"bank_server: {group.exceptions[0]}")


if __name__ == "__main__":
    main()
