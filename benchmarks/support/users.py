"""The callers, and which users of the machine they are where they are impersonated."""

from typing import Final

from signetrpc.rpc import Mechanism, UserTable

__all__ = ["DOMAIN", "NAMES", "NEWCOMERS", "mapping"]

DOMAIN: Final = "BENCH"
NEWCOMERS: Final = tuple(f"u{number:02}" for number in range(20))
NAMES: Final = ("alice", *NEWCOMERS)
"""All of them: `alice` makes the calls, the others make their first."""


def mapping(realm: str) -> UserTable:
    """Return who each of `NAMES` is here, by Kerberos in a realm and by NTLM."""
    realms = {Mechanism.KERBEROS: realm, Mechanism.NTLM: DOMAIN}
    return UserTable(
        {
            (mechanism, domain, name): name
            for mechanism, domain in realms.items()
            for name in NAMES
        }
    )
