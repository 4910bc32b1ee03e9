"""Asks the portal, as the signed-in user, and lets it call others as that user.

python call_portal.py HOST:PORT [LEVEL]
"""

import sys

import anyio
from signetrpc.rpc import ImpersonationLevel, RpcError, SecurityPolicy, connect

from portal_client import PortalClient


async def main(address: str, level: ImpersonationLevel) -> None:
    """Call once and print the answer."""
    async with connect(
        address,
        policy=SecurityPolicy.kerberos_only(),
        service_principal="portal/localhost",
        impersonation=level,
    ) as channel:
        print(await PortalClient(channel).salary_slip())


if __name__ == "__main__":
    level = sys.argv[2] if len(sys.argv) > 2 else "DELEGATE"
    try:
        anyio.run(main, sys.argv[1], ImpersonationLevel[level])
    except RpcError as error:
        sys.exit(str(error))
