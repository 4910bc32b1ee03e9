"""The parts of the machine that some tests need, and how to do without them.

A test that needs a part calls `require` (or uses a fixture that does).  Where the part
is missing the test is skipped with a message that names it.  With
`SIGNETRPC_NO_SKIPS=1`, which `scripts/test` sets, a skipped test fails the run.
"""

import enum
import importlib.util
import os
import shutil
from pathlib import Path

from tests.support import namespace

# Daemons and administration tools are outside a plain user's PATH on Debian.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class Part(enum.Enum):
    """Something a test needs that Python's package index does not have.

    The value is what the message of a skipped test calls it.
    """

    KDC = "a Kerberos KDC (Debian: krb5-kdc krb5-admin-server krb5-user)"
    LDAP_KDC = "a KDC's LDAP database (Debian: krb5-kdc-ldap slapd ldap-utils)"
    GSSAPI = "the Python packages gssapi and krb5 (pip install 'signetrpc[kerberos]')"
    FAKETIME = "libfaketime (Debian: faketime)"
    GSS_NTLMSSP = "NTLM for GSS-API (Debian: gss-ntlmssp)"
    SAMBA = (
        "Samba as a domain controller (Debian: samba samba-ad-provision "
        "samba-dsdb-modules samba-vfs-modules winbind libnss-winbind ldb-tools "
        "smbclient "
        "krb5-user)"
    )
    ROOT = "root, to become other users"
    NAMESPACES = "network and mount namespaces (root, and a kernel that grants them)"


def which(command: str) -> str | None:
    """Return the full path of a command, looking into the sbin folders too."""
    return shutil.which(command, path=_PATH)


def faketime_library() -> Path | None:
    """Return the library that shifts a process's clock when it is preloaded.

    The library and not the command `faketime`: the command stays as a parent of what
    it runs, and ending it leaves its child behind.
    """
    folders = sorted(Path("/usr/lib").glob("*/faketime"))
    libraries = [folder / "libfaketime.so.1" for folder in folders]
    return next((library for library in libraries if library.exists()), None)


def ldap_schema() -> Path:
    """Return where Debian has what an LDAP server has to know of a KDC's database."""
    return Path("/usr/share/doc/krb5-kdc-ldap/kerberos.schema.gz")


def is_missing(part: Part) -> bool:
    """Return whether this machine lacks `part`."""
    match part:
        case Part.KDC:
            commands = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "kvno")
            return not all(map(which, commands))
        case Part.LDAP_KDC:
            # Debian's packages for containers can come without documents.
            needed = ("slapd", "kdb5_ldap_util", "ldapadd", "ldapmodify")
            there = all(map(which, needed)) and ldap_schema().exists()
            return is_missing(Part.KDC) or not there
        case Part.GSSAPI:
            return not all(map(importlib.util.find_spec, ("gssapi", "krb5")))
        case Part.FAKETIME:
            return faketime_library() is None
        case Part.GSS_NTLMSSP:
            return not any(Path("/usr/lib").glob("*/gssntlmssp/gssntlmssp.so"))
        case Part.SAMBA:
            tools = (
                "samba",
                "samba-tool",
                "winbindd",
                "wbinfo",
                "ldbadd",
                "smbclient",
                "kinit",
            )
            names = any(Path("/usr/lib").glob("*/libnss_winbind.so.2"))
            return not (names and all(map(which, tools)))
        case Part.ROOT:
            return os.geteuid() != 0
        case Part.NAMESPACES:
            return namespace.is_refused()


def require(*parts: Part) -> None:
    """Skip the running test where one of `parts` is missing."""
    # Servers under test use this module too, and would take twice as long to start.
    import pytest

    missing = [part.value for part in parts if is_missing(part)]
    if missing:
        pytest.skip("needs " + " and ".join(missing))
