"""A service whose handlers look at the tickets of the process they run in."""

import os
import subprocess
from dataclasses import dataclass

from signetrpc.rpc import (
    Protection,
    SecurityPolicy,
    connect,
    current_caller,
    method,
    service,
)
from tests.e2e.hops import onward

__all__ = ["Holding", "Purse"]


@dataclass(frozen=True, slots=True)
class Holding:
    """What a handler's process has.

    Attributes:
        uid: Whom it runs as.
        tickets: What MIT's `klist` shows of its default cache; empty if there is none.
        mode: The permission bits of the cache's file, and whose it is; or nothing.
    """

    uid: int
    tickets: list[str]
    mode: str


@service("impersonation.Purse", protection=Protection.SEAL)
class Purse:
    """Runs as its caller."""

    @method
    def holding(self) -> Holding:
        path = os.environ["KRB5CCNAME"].removeprefix("FILE:")
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return Holding(os.getuid(), [], "")
        listing = subprocess.run(["klist"], capture_output=True, text=True, check=True)
        # Each ticket's line begins with its times.
        lines = [
            line.split() for line in listing.stdout.splitlines() if line[:1].isdigit()
        ]
        tickets = [words[-1] for words in lines]
        return Holding(
            os.getuid(), tickets, f"{status.st_mode & 0o777:o} {status.st_uid}"
        )

    @method
    async def seen_beyond(self, address: str, service_principal: str) -> str:
        """Call on without naming credentials, and return who the next server saw."""
        assert current_caller().impersonated_as is not None
        async with connect(
            address,
            service_principal=service_principal,
            policy=SecurityPolicy.kerberos_only(),
        ) as channel:
            (seen,) = await onward(channel, [])
        return seen.principal

    @method
    def kvno(self, service_principal: str) -> bool:
        """Have a program of MIT's ask for a ticket, and return whether it got one."""
        done = subprocess.run(["kvno", service_principal], capture_output=True)
        return done.returncode == 0
