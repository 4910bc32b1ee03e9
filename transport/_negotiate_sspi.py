"""A client's Kerberos on Windows, by SSPI in pyspnego.

Type-checked, and tested with a stand-in for SSPI; it was never run on Windows.  So what
it cannot tell for certain it leaves out, and the acceptance rules refuse:

- SSPI does not name the encryption type where pyspnego asks it.  A session key of 32
  bytes is of AES (or Camellia) with 256 bits; one of 16 bytes may be RC4's.
- The service is the one that was asked for; that it is the one that answered, is what
  mutual authentication proves.

A server on Windows is not here: SSPI takes a service's keys from its logon, not from a
keytab.

Source: RFC 4121 section 4.2.5; Microsoft's Kerberos rotates by 28.
"""

from typing import Final

from spnego import ContextReq
from spnego._sspi import SSPIProxy
from spnego.channel_bindings import GssChannelBindings

from ._credentials import ClientCredentials, Password, TicketCache
from ._identity import ImpersonationLevel, Mechanism
from ._negotiate_mechanism import Messages
from ._security import ContextFacts, Unwrapped
from .errors import AuthenticationFailed, FailureReason

__all__ = ["SspiContext", "without_rotation"]

_ASKED: Final = (
    ContextReq.mutual_auth
    | ContextReq.replay_detect
    | ContextReq.sequence_detect
    | ContextReq.confidentiality
    | ContextReq.integrity
)
_WRAP_TOKEN: Final = b"\x05\x04"
_WRAP_HEADER: Final = 16
_RRC: Final = slice(6, 8)
_LONG_KEY, _AES256 = 32, 18


def without_rotation(token: bytes) -> bytes:
    """Return a wrap token of Kerberos with its rotation undone.

    The rotation count is not authenticated, so our ends take no rotated token.

    Raises:
        ValueError: It is no wrap token.
    """
    if token[:2] != _WRAP_TOKEN or len(token) <= _WRAP_HEADER:
        raise ValueError("not a wrap token")
    body = token[_WRAP_HEADER:]
    turn = int.from_bytes(token[_RRC], "big") % len(body)
    header = token[: _RRC.start] + b"\0\0" + token[_RRC.stop : _WRAP_HEADER]
    return header + body[turn:] + body[:turn]


def _login(credentials: ClientCredentials) -> tuple[str | None, str | None]:
    """Return name and password for SSPI; neither for the signed-in user."""
    match credentials:
        case TicketCache(path=None, principal=None):
            return None, None
        case Password(password=password) if credentials.principal is not None:
            return credentials.principal, password
        case Password():
            raise _unusable(f"{credentials.user!r} names no Kerberos realm")
        case _:
            raise _unusable("on Windows, give a password or be signed in")


class SspiContext:
    """An initiator's Kerberos context."""

    def __init__(self, proxy: SSPIProxy, service: str) -> None:
        """Use a context of pyspnego's that has not begun; see `initiator`."""
        self._proxy = proxy
        self._service = service

    @classmethod
    def initiator(
        cls,
        credentials: ClientCredentials,
        service: str,
        impersonation: ImpersonationLevel,
    ) -> "SspiContext":
        """Return a context for `service`, `host/name`.  May wait for a KDC.

        Raises:
            AuthenticationFailed: SSPI has no use for such credentials.
            ImportError: This is not Windows.
        """
        user, password = _login(credentials)
        kind, _, host = service.partition("/")
        asked = _ASKED
        if impersonation is ImpersonationLevel.DELEGATE:
            asked |= ContextReq.delegate
        proxy = SSPIProxy(
            user,
            password,
            hostname=host,
            service=kind,
            context_req=asked,
            usage="initiate",
            protocol="kerberos",
        )
        # "Wrapped" contexts don't log their tokens.
        setattr(proxy, "_is_wrapped", True)  # noqa: B010
        return cls(proxy, service)

    def step(
        self,
        in_token: bytes | None = None,
        *,
        channel_bindings: GssChannelBindings | None = None,
    ) -> bytes | None:
        """Consume the server's token and return the one to send, if any."""
        return self._proxy.step(in_token, channel_bindings=channel_bindings)

    @property
    def complete(self) -> bool:
        """True when SSPI has finished."""
        return self._proxy.complete

    def facts(self) -> ContextFacts:
        """Read what SSPI can prove."""
        complete = self.complete
        given = self._proxy.context_attr if complete else ContextReq.none
        key = self._proxy.session_key if complete else b""
        name, _, realm = self._service.partition("@")
        return ContextFacts(
            complete=complete,
            mechanism=Mechanism.KERBEROS,
            name=name if complete else "",
            realm=realm if complete else "",
            target=name if complete else "",
            mutual=bool(given & ContextReq.mutual_auth),
            integrity=bool(given & ContextReq.integrity),
            confidentiality=bool(given & ContextReq.confidentiality),
            replay_detection=bool(given & ContextReq.replay_detect),
            sequence_detection=bool(given & ContextReq.sequence_detect),
            channel_bound=False,
            session_key=key,
            enctype=_AES256 if len(key) == _LONG_KEY else None,
        )

    def sign(self, data: bytes, qop: int | None = None) -> bytes:
        """Return a code over `data`."""
        return self._proxy.sign(data)

    def verify(self, data: bytes, mic: bytes) -> None:
        """Raise unless `mic` is the server's code over `data`, next in order."""
        self._proxy.verify(data, mic)

    def messages(self) -> Messages:
        """Return the operations on SSPI's context."""
        proxy = self._proxy

        def wrap(data: bytes) -> bytes:
            result = proxy.wrap(data)
            if not result.encrypted:
                raise ValueError("SSPI wrapped without encryption")
            return without_rotation(result.data)

        def unwrap(token: bytes) -> Unwrapped:
            if token[:2] != _WRAP_TOKEN or token[_RRC] != b"\0\0":
                raise ValueError("not a wrap token without rotation")
            result = proxy.unwrap(token)
            return Unwrapped(result.data, result.encrypted)

        return Messages(wrap, unwrap, self.sign, self.verify)

    # What pyspnego's negotiation asks of any mechanism.

    @property
    def _requires_mech_list_mic(self) -> bool:
        return False

    def _reset_ntlm_crypto_state(self, outgoing: bool = True) -> None:
        """Do nothing: that is NTLM's."""


def _unusable(text: str) -> AuthenticationFailed:
    return AuthenticationFailed(text, reason=FailureReason.NO_CREDENTIALS)
