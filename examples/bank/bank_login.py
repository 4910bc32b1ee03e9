"""Where the bank is and who calls it, from the command line of a client."""

import argparse
import os
from dataclasses import dataclass
from getpass import getpass

from signetrpc.rpc import Password


@dataclass(frozen=True)
class Login:
    """What to pass to `connect`.

    Attributes:
        address: Where the bank is.
        credentials: None for the Kerberos tickets of the signed-in user.
    """

    address: str
    credentials: Password | None


def read_login(description: str) -> Login:
    """Read the command line; ask for the password, unless the environment has it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("address", nargs="?", default="127.0.0.1:7420")
    parser.add_argument("--user", metavar=r"DOMAIN\NAME", help="call with a password")
    given = parser.parse_args()
    if given.user is None:
        return Login(given.address, None)
    # Never on the command line, which every user of the machine can see.
    password = os.environ.get("BANK_PASSWORD") or getpass(f"Password of {given.user}: ")
    return Login(given.address, Password(given.user, password))
