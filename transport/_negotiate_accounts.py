"""The NTLM accounts of a server: the account files, read and kept.

pyspnego reads the file named by NTLM_USER_FILE at every logon, leaves out lines it
cannot split and takes the first account for an empty name.  Here the files are named
explicitly, every line counts, and a name nobody has gets an account that no password
opens: an unknown user takes the same way through the verification, to the same error,
as a wrong password.
"""

import binascii
import logging
import os
import secrets
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spnego._ntlm_raw.md4 import md4

from ._credentials import AccountFile
from .errors import AuthenticationFailed, FailureReason

__all__ = ["Account", "Accounts", "nt_hash"]

_log: Final = logging.getLogger("signetrpc.transport")


@dataclass(frozen=True, slots=True)
class Account:
    """One account.

    Attributes:
        domain: As the file writes it; may be empty.
        user: As the file writes it.
        nt_hash: MD4 of the password in UTF-16; as good as the password for NTLM.
        known: False for the stand-in of a name that no file has.
    """

    domain: str
    user: str
    nt_hash: bytes = field(repr=False)
    known: bool = True


def nt_hash(password: str) -> bytes:
    """Return NTOWFv1 of a password (MS-NLMP section 3.3.1).

    Not pyspnego's `ntowfv1`, which takes a password of two hexadecimal numbers for
    a hash.
    """
    return md4(password.encode("utf-16-le", "surrogatepass"))


_EMPTY_PASSWORD: Final = nt_hash("")

_Key = tuple[str, str]
_Stamp = tuple[int, int, int]


def _key(domain: str, user: str) -> _Key:
    return domain.upper(), user.upper()


class Accounts:
    """The accounts of one or more files, current with them.  Thread-safe.

    Raises:
        AuthenticationFailed: A file cannot be read or has an error; the text names
            the file and the line, never what stands there.
    """

    def __init__(self, files: Sequence[AccountFile]) -> None:
        self._paths = [Path(file.path) for file in files]
        self._lock = threading.Lock()
        self._nobody = secrets.token_bytes(16)
        self._stamps: list[_Stamp] = []
        self._accounts: dict[_Key, Account] = {}
        self._refresh()

    def find(self, domain: str, user: str) -> Account:
        """Return the account of that name, or one that no password opens.

        Raises:
            AuthenticationFailed: The files were changed and now have an error.
        """
        self._refresh()
        nobody = Account(domain, user, self._nobody, known=False)
        return self._accounts.get(_key(domain, user), nobody)

    def _refresh(self) -> None:
        with self._lock:
            stamps = [_stamp(path) for path in self._paths]
            if stamps == self._stamps:
                return
            self._stamps = []  # until all is read, so that an error stays one
            accounts: dict[_Key, Account] = {}
            for path in self._paths:
                for number, account in _read(path):
                    key = _key(account.domain, account.user)
                    if key in accounts:
                        raise _invalid(path, number, "the account is already there")
                    accounts[key] = account
            self._accounts, self._stamps = accounts, stamps


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> Iterator[tuple[int, Account]]:
    """Yield the accounts of a file with their line numbers."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError as error:
        raise _unreadable(path, error) from error
    # With "replace", because UnicodeDecodeError would carry the whole content.
    text = content.decode("utf-8-sig", "replace")
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("account file %s: others than its owner can use it", path)
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if "\ufffd" in line:
            raise _invalid(path, number, "it is not UTF-8 text")
        if line.strip() and not line.startswith("#"):
            account = _parse(line, path, number)
            if account is not None:
                yield number, account


def _parse(line: str, path: Path, number: int) -> Account | None:
    match line.split(":"):
        case [domain, user, password]:
            secret = nt_hash(password)
        case [name, _, _, hexadecimal, flags, _]:  # smbpasswd(5)
            head, backslash, tail = name.partition("\\")
            domain, user = (head, tail) if backslash else ("", name)
            if "D" in flags:  # disabled
                return None
            try:
                secret = binascii.unhexlify(hexadecimal)
            except ValueError:
                raise _invalid(path, number, "the NT hash is not one") from None
        case parts:
            raise _invalid(
                path,
                number,
                f"{len(parts)} fields; an account is DOMAIN:user:password, and the "
                "password has no colon",
            )
    if not user:
        raise _invalid(path, number, "the user name is empty")
    if len(secret) != 16:
        raise _invalid(path, number, "the NT hash is not one")
    if secret == _EMPTY_PASSWORD:
        raise _invalid(path, number, "the password is empty")
    return Account(domain, user, secret)


def _unreadable(path: Path, error: OSError) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"account file {str(path)!r} cannot be read: {error.strerror}",
        reason=FailureReason.NO_CREDENTIALS,
    )


def _invalid(path: Path, number: int, what: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"account file {str(path)!r}, line {number}: {what}",
        reason=FailureReason.NO_CREDENTIALS,
    )
