"""What winbindd is asked beside the logon itself: is it there, and whose is a SID.

gss-ntlmssp asks winbindd through Samba's libwbclient; this asks the same library, so
where one finds the daemon, so does the other.  Each question has a context of its own:
the library's own, shared one is not for threads.

Source: wbclient.h of Samba 4.17 (the library's interface is versioned and stable).
"""

import ctypes
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from .errors import AuthenticationFailed, FailureReason

__all__ = ["WinbindClient"]

_LIBRARY: Final = "libwbclient.so.0"
_SID_BYTES: Final = 68  # struct wbcDomainSid: 8 bytes and 15 sub-authorities
_ACCOUNTS: Final = (1, 9)  # enum wbcSidType: a user, a computer


class WinbindClient:
    """Asks winbindd.  Thread-safe.  Each question waits for the daemon's answer.

    Raises:
        AuthenticationFailed: The library is not installed.
    """

    def __init__(self, library: str = _LIBRARY) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise _unusable(f"{library} cannot be loaded") from error
        self._library.wbcCtxCreate.restype = ctypes.c_void_p

    def check(self) -> None:
        """Raise unless winbindd answers.

        Raises:
            AuthenticationFailed: It does not.
        """
        with self._context() as context:
            if self._library.wbcCtxPing(context) != 0:
                raise _unusable("winbindd does not answer: is it running?")

    def account(self, sid: str) -> tuple[str, str]:
        r"""Return the NetBIOS domain and the name of an account, in small letters.

        Whatever was typed: `CORP\alice` may log on as `corp.example.com\ALICE`.  Small
        letters, because winbindd answers with them or with the directory's own,
        depending on what its cache was last asked.

        Raises:
            AuthenticationFailed: Nothing is known by that SID, or it is no account.
        """
        binary = ctypes.create_string_buffer(_SID_BYTES)
        domain, name = ctypes.c_void_p(), ctypes.c_void_p()
        kind = ctypes.c_int()
        if self._library.wbcStringToSid(sid.encode(), binary) != 0:
            raise _unknown(sid)
        with self._context() as context:
            failed = self._library.wbcCtxLookupSid(
                context,
                binary,
                ctypes.byref(domain),
                ctypes.byref(name),
                ctypes.byref(kind),
            )
        if failed:
            raise _unknown(sid)
        account = self._taken(domain), self._taken(name)
        if kind.value not in _ACCOUNTS or not all(account):
            raise _unknown(sid)
        return account[0], account[1].lower()

    @contextmanager
    def _context(self) -> Generator[ctypes.c_void_p]:
        context = ctypes.c_void_p(self._library.wbcCtxCreate())
        try:
            yield context
        finally:
            self._library.wbcCtxFree(context)

    def _taken(self, text: ctypes.c_void_p) -> str:
        """Return a text that the library allocated, and free it."""
        try:
            value = ctypes.cast(text, ctypes.c_char_p).value
            return (value or b"").decode()
        finally:
            self._library.wbcFreeMemory(text)


def _unusable(why: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"NTLM cannot be verified by winbind: {why}",
        reason=FailureReason.NO_CREDENTIALS,
    )


def _unknown(sid: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"winbind names no account with the SID {sid}",
        reason=FailureReason.NOT_PROVEN,
    )
