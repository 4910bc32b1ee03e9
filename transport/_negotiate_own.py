"""A service's own tickets, with which it acts for its callers (S4U2Proxy)."""

import logging
import threading
import time
import weakref
from collections.abc import Callable
from os import PathLike, fspath
from typing import Final

import gssapi
import gssapi.raw
import krb5

from ._credentials import Keytab
from ._negotiate_errors import Situation, convert
from ._negotiate_tickets import (
    KERBEROS,
    MemoryCache,
    cache_name,
    log_in,
    principal_name,
)

__all__ = ["OwnTickets"]

_log: Final = logging.getLogger("signetrpc.transport")

_RETRY_SECONDS: Final = 30.0
"""So long a KDC that failed is left alone: handshakes would all wait for it."""


class _Credential(gssapi.Credentials):
    """GSS-API's, made one whose end can be watched."""


class OwnTickets:
    """Logs a service in with its keytab, anew when half the tickets' life is over.

    Thread-safe.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        principal: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Only remember; nothing is read or contacted yet.

        Args:
            path: The keytab.
            principal: Whose key to log in with and to accept with, realm included.
            clock: The time of day.
        """
        self._clock = clock
        self._path = fspath(path)
        self._principal = principal
        self._lock = threading.Lock()
        self._credential: gssapi.Credentials | None = None
        self._renew_at = 0.0
        self._ends_at = 0.0

    def credential(self) -> gssapi.Credentials | None:
        """Return a credential to accept and to log in with, or None without a KDC.

        May wait for the KDC.  A failure is logged; callers can still forward tickets.
        """
        now = self._clock()
        if now < self._renew_at:
            return self._usable(now)
        # While one thread renews it, the others go on with what there is.
        if self._lock.acquire(blocking=self._usable(now) is None):
            try:
                if self._clock() >= self._renew_at:
                    self._renew()
            finally:
                self._lock.release()
        return self._usable(self._clock())

    def _usable(self, now: float) -> gssapi.Credentials | None:
        return self._credential if now < self._ends_at else None

    def _renew(self) -> None:
        keytab = Keytab(self._path, self._principal)
        try:
            # Under the very name that callers' tickets are for.
            cache = log_in(keytab, forwardable=True, renamed=False)
            credential = self._acquire(cache)
        except (gssapi.raw.GSSError, krb5.Krb5Error) as error:
            self._renew_at = self._clock() + _RETRY_SECONDS
            situation = Situation(initiator=True, user=self._principal)
            failure = convert(error, situation, reading=False)
            _log.warning(
                "%s cannot log in, so it acts for no caller: %s",
                self._principal,
                failure,
            )
            return
        now, (ticket,) = self._clock(), cache[1]
        self._credential, self._ends_at = credential, float(ticket.times.endtime)
        self._renew_at = now + (self._ends_at - now) / 2

    def _acquire(self, cache: MemoryCache) -> gssapi.Credentials:
        # libkrb5 keeps the cache until it is told; it goes with the credential.  What a
        # handshake under way still holds of both stays until that ends.
        name = cache_name(cache[1])
        try:
            credential = _Credential(
                name=principal_name(self._principal),
                usage="both",
                mechs=[KERBEROS],
                store={"keytab": f"FILE:{self._path}", "ccache": name},
            )
        except BaseException:
            krb5.cc_destroy(*cache)
            raise
        weakref.finalize(credential, krb5.cc_destroy, *cache)
        return credential
