"""Security contexts over pyspnego: Negotiate, Kerberos and NTLM, both ends.

`InitiatorContext` is a client's handshake, `AcceptorFactory` makes a server's.  Both
are thin: a mechanism's context is made in the first step, every exception of a step
becomes `AuthenticationFailed`, and once complete the per-message operations go
straight to the mechanism.  What a complete context is worth is not decided here but in
`_acceptance`, on its `facts()`.
"""

from collections.abc import Callable, Sequence
from os import fspath
from typing import TYPE_CHECKING, Final

from ._credentials import (
    AccountFile,
    ClientCredentials,
    Keytab,
    Password,
    ServerCredentials,
    TicketCache,
)
from ._identity import ImpersonationLevel, Mechanism
from ._negotiate_accounts import Accounts
from ._negotiate_errors import KERBEROS_MISSING, Situation, convert
from ._negotiate_mechanism import MechanismContext, Messages
from ._negotiate_ntlm import NtlmContext
from ._negotiate_spnego import SpnegoContext
from ._security import ContextFacts, NegotiationProtocol, SecurityPolicy, Unwrapped
from .errors import AuthenticationFailed, FailureReason

if TYPE_CHECKING:
    from ._negotiate_kerberos import KerberosAcceptor

__all__ = ["AcceptorFactory", "InitiatorContext"]

TOKEN_LIMIT: Final = 64 * 1024

_Maker = Callable[[], MechanismContext]
# In this order a client offers them and a server prefers them.
_BEST_FIRST: Final = (Mechanism.KERBEROS, Mechanism.NTLM)


class _Context:
    """What both ends share: one boundary for errors, one state, one way out.

    Subclasses say how to make each mechanism's context.
    """

    def __init__(self, protocol: NegotiationProtocol, situation: Situation) -> None:
        self._protocol = protocol
        self._situation = situation
        self._context: MechanismContext | None = None
        self._failed = False
        self._messages: Messages | None = None

    def _makers(self) -> dict[Mechanism, _Maker]:
        """Return how to make the context of each mechanism that may be used."""
        raise AssertionError  # pragma: no cover

    def step(self, token: bytes | None) -> bytes | None:
        """Consume the peer's token and return the one to send, if any.  May block.

        Raises:
            AuthenticationFailed: With the cause; the context is of no more use.
        """
        try:
            if self._failed or self.complete:
                raise AuthenticationFailed(
                    "a token after the end of the handshake",
                    reason=FailureReason.MALFORMED,
                )
            answer = self._step(token)
        except Exception as error:
            self._failed = True
            self._context = None
            failure = convert(error, self._situation, reading=token is not None)
            if failure is error:
                raise
            raise failure from error
        return answer

    def _step(self, token: bytes | None) -> bytes | None:
        if (token is None) != (self._situation.initiator and self._context is None):
            raise AuthenticationFailed(
                "a token where none was due, or none where one was",
                reason=FailureReason.MALFORMED,
            )
        if token is not None:
            _check_size("the peer's token", token)
        if self._context is None:
            self._context = self._make()
        answer = self._context.step(token)
        if answer is not None:
            _check_size("the token to send", answer)
        if self._context.complete:
            self._messages = self._context.messages()
        return answer

    def _make(self) -> MechanismContext:
        makers = self._makers()
        if self._protocol is NegotiationProtocol.NEGOTIATE:
            if makers:
                initiator = self._situation.initiator
                return SpnegoContext(initiator=initiator, mechanisms=makers)
        else:
            make = makers.get(Mechanism(self._protocol.value))
            if make is not None:
                return make()
        raise AuthenticationFailed(
            f"{self._protocol.value} is not allowed here, or there is nothing to do "
            "it with",
            reason=FailureReason.MECHANISM,
        )

    @property
    def complete(self) -> bool:
        """True when this end expects no further token."""
        return self._messages is not None and not self._failed

    def facts(self) -> ContextFacts:
        """Read what the context can prove."""
        if self._context is None:
            return _NOTHING
        return self._context.facts()

    def wrap(self, data: bytes) -> bytes:
        """Seal `data` with confidentiality."""
        return self._ready().wrap(data)

    def unwrap(self, token: bytes) -> Unwrapped:
        """Open a sealed token."""
        return self._ready().unwrap(token)

    def sign(self, data: bytes) -> bytes:
        """Return a message integrity code over `data`."""
        return self._ready().sign(data)

    def verify(self, data: bytes, mic: bytes) -> None:
        """Raise unless `mic` is the peer's code over `data`, next in order."""
        self._ready().verify(data, mic)

    def _ready(self) -> Messages:
        messages = self._messages
        if messages is None or self._failed:
            raise AuthenticationFailed(
                "the handshake is not complete", reason=FailureReason.NOT_PROVEN
            )
        return messages


class InitiatorContext(_Context):
    """A client's context.  Nothing is read or contacted before the first step.

    Args:
        credentials: Whom to log in as.
        protocol: The form of the tokens.
        service_principal: `host/name` of the service; empty if it has none, which
            rules Kerberos out.
        impersonation: DELEGATE forwards the user's tickets.
        allowed: The mechanisms that may be used; no token of another is ever made.
    """

    def __init__(
        self,
        credentials: ClientCredentials,
        protocol: NegotiationProtocol,
        service_principal: str,
        impersonation: ImpersonationLevel,
        allowed: frozenset[Mechanism],
    ) -> None:
        super().__init__(
            protocol,
            Situation(
                initiator=True, service=service_principal, user=_user(credentials)
            ),
        )
        self._credentials = credentials
        self._service = service_principal
        self._impersonation = impersonation
        self._allowed = allowed

    def _makers(self) -> dict[Mechanism, _Maker]:
        known = {Mechanism.KERBEROS: self._kerberos, Mechanism.NTLM: self._ntlm}
        return {name: known[name] for name in _BEST_FIRST if name in self._allowed}

    def _kerberos(self) -> MechanismContext:
        if not self._service:
            raise AuthenticationFailed(
                "Kerberos needs to know the service: give service_principal",
                reason=FailureReason.UNKNOWN_SERVICE,
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
            of account files.
        policy: What mechanisms and service principals to allow.

    Attributes:
        mechanisms: Those possible with `accept` and allowed by the policy.
        served: The service principals (`host/name`, no realm) served under; empty for
            any, which only happens without Kerberos.

    Raises:
        AuthenticationFailed: Something in `accept` cannot be used, or nothing in it is
            allowed; the text names the file.
        ValueError: There is more than one keytab.
    """

    def __init__(
        self, accept: Sequence[ServerCredentials], policy: SecurityPolicy
    ) -> None:
        files = [entry for entry in accept if isinstance(entry, AccountFile)]
        keytabs = [entry for entry in accept if isinstance(entry, Keytab)]
        if len(keytabs) > 1:
            raise ValueError("more than one keytab: merge them into one with ktutil")
        allowed = policy.allowed(ntlm_asked=bool(files))
        self._accounts: Accounts | None = None
        self._kerberos: KerberosAcceptor | None = None
        self.served = frozenset(
            name.partition("@")[0] for name in policy.service_principals
        )
        if files and Mechanism.NTLM in allowed:
            self._accounts = Accounts(files)
        if keytabs and Mechanism.KERBEROS in allowed:
            self._kerberos = _kerberos_acceptor(keytabs[0], policy)
            self.served = self._kerberos.served
        self._makers = {
            name: make
            for name, make, given in (
                (Mechanism.KERBEROS, self._make_kerberos, self._kerberos),
                (Mechanism.NTLM, self._make_ntlm, self._accounts),
            )
            if given is not None
        }
        self.mechanisms = frozenset(self._makers)
        if not self.mechanisms:
            names = ", ".join(sorted(allowed)) or "nothing"
            raise AuthenticationFailed(
                "nothing to accept with: Kerberos needs a Keytab and NTLM an "
                f"AccountFile; the policy allows {names}",
                reason=FailureReason.NO_CREDENTIALS,
            )

    def context(self, protocol: NegotiationProtocol) -> "AcceptorContext":
        """Return a new context for tokens of that form.  Cheap; any thread.

        A form that is not allowed fails in the context's first step.
        """
        return AcceptorContext(protocol, self._makers)

    def _make_kerberos(self) -> MechanismContext:
        assert self._kerberos is not None
        return self._kerberos.context()

    def _make_ntlm(self) -> MechanismContext:
        assert self._accounts is not None
        return NtlmContext(accounts=self._accounts)


class AcceptorContext(_Context):
    """A server's context, made by `AcceptorFactory.context`."""

    def __init__(
        self, protocol: NegotiationProtocol, makers: dict[Mechanism, _Maker]
    ) -> None:
        super().__init__(protocol, Situation(initiator=False))
        self._given = makers

    def _makers(self) -> dict[Mechanism, _Maker]:
        return self._given


def _kerberos_acceptor(keytab: Keytab, policy: SecurityPolicy) -> "KerberosAcceptor":
    try:
        from ._negotiate_kerberos import KerberosAcceptor
    except ImportError as error:
        raise _kerberos_missing() from error
    return KerberosAcceptor(keytab, policy.service_principals)


def _kerberos_missing() -> AuthenticationFailed:
    return AuthenticationFailed(KERBEROS_MISSING, reason=FailureReason.MECHANISM)


def _check_size(what: str, token: bytes) -> None:
    if len(token) > TOKEN_LIMIT:
        raise AuthenticationFailed(
            f"{what} has {len(token)} bytes, limit {TOKEN_LIMIT}",
            reason=FailureReason.MALFORMED,
        )


def _user(credentials: ClientCredentials) -> str:
    match credentials:
        case Password(user=user):
            return user
        case TicketCache(principal=principal):
            return principal or ""
        case Keytab(path=path, principal=principal):
            return principal or fspath(path)


_NOTHING: Final = ContextFacts(
    complete=False,
    mechanism=None,
    name="",
    realm="",
    target="",
    mutual=False,
    integrity=False,
    confidentiality=False,
    replay_detection=False,
    sequence_detection=False,
    channel_bound=False,
    session_key=b"",
)
