"""Security contexts over pyspnego: Negotiate, Kerberos and NTLM, both ends.

`InitiatorContext` is a client's handshake, `AcceptorFactory` makes a server's.  A
mechanism's context is made in the first step, which runs where blocking is allowed.
What a complete context is worth is not decided here but in `_acceptance`, on its
`facts()`.
"""

import os
from collections.abc import Sequence
from functools import partial
from os import fspath
from typing import TYPE_CHECKING, Final, assert_never

from ._credentials import (
    AccountFile,
    ClientCredentials,
    Keytab,
    Password,
    ServerCredentials,
    TicketCache,
    Winbind,
)
from ._identity import DelegatedCredential, ImpersonationLevel, Mechanism
from ._negotiate_accounts import Accounts
from ._negotiate_context import BaseContext, Maker
from ._negotiate_errors import KERBEROS_MISSING, Situation
from ._negotiate_mechanism import MechanismContext
from ._negotiate_ntlm import NtlmContext
from ._security import NegotiationProtocol, SecurityPolicy
from .errors import AuthenticationFailed, FailureReason

if TYPE_CHECKING:
    from ._negotiate_kerberos import KerberosAcceptor
    from ._negotiate_winbind import WinbindAcceptor

__all__ = ["AcceptorFactory", "InitiatorContext"]

# In this order a client offers them and a server prefers them.
_BEST_FIRST: Final = (Mechanism.KERBEROS, Mechanism.NTLM)


class InitiatorContext(BaseContext):
    """A client's context.  Nothing is read or contacted before the first step.

    Args:
        credentials: Whom to log in as.
        protocol: The form of the tokens.
        service_principal: `host/name` of the service; empty if it has none, which
            rules Kerberos out.
        impersonation: DELEGATE forwards the user's tickets.
        allowed: The mechanisms that may be used; no token of another is ever made.
        binding: The application data of the channel binding, or None.
    """

    def __init__(
        self,
        credentials: ClientCredentials,
        protocol: NegotiationProtocol,
        service_principal: str,
        impersonation: ImpersonationLevel,
        allowed: frozenset[Mechanism],
        binding: bytes | None = None,
    ) -> None:
        user = _user(credentials)
        super().__init__(
            protocol,
            Situation(initiator=True, service=service_principal, user=user),
            binding,
        )
        self._credentials = credentials
        self._service = service_principal
        self._impersonation = impersonation
        self._allowed = allowed

    def makers(self) -> dict[Mechanism, Maker]:
        known = {Mechanism.KERBEROS: self._kerberos, Mechanism.NTLM: self._ntlm}
        return {name: known[name] for name in _BEST_FIRST if name in self._allowed}

    def _kerberos(self) -> MechanismContext:
        if not self._service:
            raise AuthenticationFailed(
                "Kerberos needs to know the service: give service_principal",
                reason=FailureReason.UNKNOWN_SERVICE,
            )
        if os.name == "nt":
            from ._negotiate_sspi import SspiContext

            return SspiContext.initiator(
                self._credentials, self._service, self._impersonation
            )
        try:
            from ._negotiate_kerberos import KerberosContext
        except ImportError as error:
            raise _kerberos_missing() from error
        return KerberosContext.initiator(
            self._credentials, self._service, self._impersonation
        )

    def _ntlm(self) -> MechanismContext:
        if not isinstance(self._credentials, Password):
            raise AuthenticationFailed(
                "NTLM needs a password", reason=FailureReason.NO_CREDENTIALS
            )
        return NtlmContext(password=self._credentials, service=self._service)


class AcceptorFactory:
    """Makes a server's contexts.  Made once for each listener; thread-safe.

    Args:
        accept: What clients are authenticated against: at most one keytab, any number
            of account files or winbind.
        policy: What mechanisms and service principals to allow.

    Attributes:
        mechanisms: Those possible with `accept` and allowed by the policy.
        served: The service principals (`host/name`, no realm) served under; empty for
            any, which only happens without Kerberos.

    Raises:
        AuthenticationFailed: Something in `accept` cannot be used, or nothing in it is
            allowed; the text names the file.
        ValueError: There is more than one keytab, or winbind beside account files.
    """

    def __init__(
        self, accept: Sequence[ServerCredentials], policy: SecurityPolicy
    ) -> None:
        files = [entry for entry in accept if isinstance(entry, AccountFile)]
        keytabs = [entry for entry in accept if isinstance(entry, Keytab)]
        if len(keytabs) > 1:
            raise ValueError("more than one keytab: merge them into one with ktutil")
        winbind = any(isinstance(entry, Winbind) for entry in accept)
        if winbind and files:
            raise ValueError("NTLM is verified by winbind or account files, not both")
        allowed = policy.allowed(ntlm_asked=winbind or bool(files))
        self._accounts: Accounts | None = None
        self._winbind: WinbindAcceptor | None = None
        self._kerberos: KerberosAcceptor | None = None
        self.served = frozenset(
            name.partition("@")[0] for name in policy.service_principals
        )
        if files and Mechanism.NTLM in allowed:
            self._accounts = Accounts(files)
        if winbind and Mechanism.NTLM in allowed:
            self._winbind = _winbind_acceptor()
        if keytabs and Mechanism.KERBEROS in allowed:
            self._kerberos = _kerberos_acceptor(keytabs[0], policy)
            self.served = self._kerberos.served
        self._makers: dict[Mechanism, Maker] = {
            name: make
            for name, make, given in (
                (Mechanism.KERBEROS, self._make_kerberos, self._kerberos),
                (Mechanism.NTLM, self._make_ntlm, self._accounts or self._winbind),
            )
            if given is not None
        }
        self.mechanisms = frozenset(self._makers)
        if not self.mechanisms:
            names = ", ".join(sorted(allowed)) or "nothing"
            raise AuthenticationFailed(
                "nothing to accept with: Kerberos needs a Keytab and NTLM an "
                f"AccountFile or Winbind; the policy allows {names}",
                reason=FailureReason.NO_CREDENTIALS,
            )

    def context(
        self,
        protocol: NegotiationProtocol,
        binding: bytes | None = None,
        *,
        delegate: bool = False,
    ) -> "AcceptorContext":
        """Return a new context for tokens of that form.  Cheap; any thread.

        A form that is not allowed fails in the context's first step.

        Args:
            protocol: The form.
            binding: The application data of the channel binding.  A client that
                presents another is refused; whether it presented any is in the facts.
            delegate: The client lets the server have a credential of its own, so look
                for one.
        """
        makers = self._makers
        if delegate and self._kerberos is not None:
            maker = partial(self._make_kerberos, delegate=True)
            makers = makers | {Mechanism.KERBEROS: maker}
        return AcceptorContext(protocol, makers, binding)

    def _make_kerberos(self, *, delegate: bool = False) -> MechanismContext:
        assert self._kerberos is not None
        return self._kerberos.context(delegate=delegate)

    def _make_ntlm(self) -> MechanismContext:
        if self._winbind is not None:
            return self._winbind.context()
        assert self._accounts is not None
        return NtlmContext(accounts=self._accounts)


class AcceptorContext(BaseContext):
    """A server's context, made by `AcceptorFactory.context`."""

    def __init__(
        self,
        protocol: NegotiationProtocol,
        makers: dict[Mechanism, Maker],
        binding: bytes | None,
    ) -> None:
        super().__init__(protocol, Situation(initiator=False), binding)
        self._given = makers

    def makers(self) -> dict[Mechanism, Maker]:
        return self._given


def _kerberos_acceptor(keytab: Keytab, policy: SecurityPolicy) -> "KerberosAcceptor":
    try:
        from ._negotiate_kerberos import KerberosAcceptor
    except ImportError as error:
        raise _kerberos_missing() from error
    return KerberosAcceptor(keytab, policy.service_principals)


def _winbind_acceptor() -> "WinbindAcceptor":
    try:
        from ._negotiate_winbind import WinbindAcceptor
    except ImportError as error:
        raise AuthenticationFailed(
            "Winbind needs the package gssapi: pip install 'signetrpc[kerberos]'",
            reason=FailureReason.MECHANISM,
        ) from error
    return WinbindAcceptor()


def _kerberos_missing() -> AuthenticationFailed:
    return AuthenticationFailed(KERBEROS_MISSING, reason=FailureReason.MECHANISM)


def _user(credentials: ClientCredentials) -> str:
    match credentials:
        case Password(user=user):
            return user
        case TicketCache(principal=principal):
            return principal or ""
        case DelegatedCredential(principal=principal):
            return principal
        case Keytab(path=path, principal=principal):
            return principal or fspath(path)
        case _:
            assert_never(credentials)
