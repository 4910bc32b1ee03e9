"""NTLM by pyspnego's own implementation, with its doors closed.

pyspnego takes its accounts and its strength (NTLM_USER_FILE, LM_COMPAT_LEVEL) from
the environment.  Both come from arguments here, and the environment is neither read
nor written: the two methods that look there run with globals of their own (see
`_with_globals`), so that contexts of different listeners, in different threads, don't
meet.  The level is always 5: NTLMv2 alone.  At pyspnego's default, 3, an acceptor
completes for any known user without a password (an empty NT response and a zero LM
response), and takes NTLMv1.

Unknown users: the verification runs to its end with a key that nobody has, so that
time and answer are those of a wrong password.  What is left is the difference between
finding a name in a dictionary and not finding it, well under a microsecond.

Source: MS-NLMP sections 3.1.5, 3.2.5 and 3.3.2.
"""

import logging
from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any, Final, ParamSpec, TypeVar

from spnego._credential import CredentialCache, NTLMHash
from spnego._ntlm import (
    NTLMProxy,
    _NTLMCredential,  # pyright: ignore[reportPrivateUsage]
)
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvId,
    Challenge,
    NegotiateFlags,
    NTClientChallengeV2,
)
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import BadBindingsError, SpnegoError

from ._credentials import Password
from ._identity import Mechanism
from ._negotiate_accounts import Account, Accounts, nt_hash
from ._negotiate_mechanism import Messages
from ._security import ContextFacts, NtlmFacts, Unwrapped
from .errors import AuthenticationFailed, FailureReason

__all__ = ["NtlmContext"]

_log: Final = logging.getLogger("signetrpc.transport")

_LEVEL: Final = "5"
_V1_RESPONSE: Final = 24  # an NTLMv2 response is longer (MS-NLMP section 2.2.2.8)

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _with_globals(function: Callable[_P, _R], **names: object) -> Callable[_P, _R]:
    """Return a copy of `function` in which global `names` mean something else.

    Nothing that others see changes.  If a name is not used there, pyspnego has
    changed and the hardening would silently do nothing: that is an error.
    """
    assert isinstance(function, FunctionType)
    unknown = names.keys() - set(function.__code__.co_names)
    if unknown:
        raise RuntimeError(
            f"pyspnego's {function.__qualname__} no longer uses {sorted(unknown)}"
        )
    copy = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


_ENVIRONMENT: Final = SimpleNamespace(environ={"LM_COMPAT_LEVEL": _LEVEL})

# The acceptor's constructor only asks whether there is a file at all.
_construct: Final = _with_globals(
    NTLMProxy.__init__, os=_ENVIRONMENT, _get_credential_file=lambda: "accounts"
)


def _credential(account: Account) -> _NTLMCredential:
    name = f"{account.domain}\\{account.user}" if account.domain else account.user
    return _NTLMCredential(NTLMHash(name, nt_hash=account.nt_hash.hex()))


def _presents_bindings(message: Authenticate) -> bool:
    response = message.nt_challenge_response or b""
    if len(response) <= _V1_RESPONSE:
        return False
    pairs: Any = NTClientChallengeV2.unpack(response[16:]).av_pairs
    return any(pairs.get(AvId.channel_bindings, b""))


class NtlmContext(NTLMProxy):
    """An NTLM context, initiator or acceptor.

    Args:
        accounts: The acceptor's.
        password: The initiator's.
        service: The service principal that the initiator asks for, or empty.  NTLM
            carries it along and proves nothing by it.
    """

    def __init__(
        self,
        *,
        accounts: Accounts | None = None,
        password: Password | None = None,
        service: str = "",
    ) -> None:
        assert (accounts is None) != (password is None)
        kind, _, host = service.partition("/")
        self._service_principal = service
        self._accounts = accounts
        self._response_length = 0
        self._mic_checked = False
        self._bound = False
        credential: NTLMHash | None = None
        if password is not None:
            credential = NTLMHash(
                password.user, nt_hash=nt_hash(password.password).hex()
            )
        _construct(
            self,
            username=credential,
            hostname=host or None,
            service=kind or None,
            usage="accept" if password is None else "initiate",
        )
        # "Wrapped" contexts don't log their tokens: passwords are guessed from those.
        self._is_wrapped = True

    def _step_accept_authenticate(
        self, token: bytes, channel_bindings: GssChannelBindings | None
    ) -> None:
        accounts = self._accounts
        assert accounts is not None
        message = Authenticate.unpack(token)
        self._response_length = len(message.nt_challenge_response or b"")
        account = accounts.find(message.domain_name or "", message.user_name or "")

        def credential(_: CredentialCache) -> _NTLMCredential:
            return _credential(account)

        verify = _with_globals(
            NTLMProxy._step_accept_authenticate, _NTLMCredential=credential
        )
        try:
            verify(self, token, channel_bindings)
        except BadBindingsError as error:
            raise AuthenticationFailed(
                "the channel bindings do not match", reason=FailureReason.NOT_PROVEN
            ) from error
        except SpnegoError as error:
            _log.warning(
                "NTLM logon of %r in domain %r refused: %s",
                message.user_name,
                message.domain_name,
                "wrong password or too weak a form" if account.known else "unknown",
            )
            raise AuthenticationFailed(
                "unknown user, wrong password, or too weak a form of NTLM",
                reason=FailureReason.REFUSED,
            ) from error
        # pyspnego compared the hash, but lets sixteen zero bytes (none) pass.
        self._bound = channel_bindings is not None and _presents_bindings(message)

    def _compute_response(
        self,
        challenge: Challenge,
        credential: _NTLMCredential,
        channel_bindings: GssChannelBindings | None,
    ) -> tuple[bytes, bytes, bytes]:
        responses = super()._compute_response(challenge, credential, channel_bindings)
        self._response_length = len(responses[0])
        return responses

    def _calculate_mic(self, *args: Any, **kwargs: Any) -> bytes:
        # Only called to make a code or, by the acceptor, to compare one; a code that
        # differs ends the handshake.  A message that claims a code but leaves no room
        # for it never comes here.
        self._mic_checked = True
        return super()._calculate_mic(*args, **kwargs)

    def facts(self) -> ContextFacts:
        """Read what NTLM can prove.  Never mutual authentication."""
        flags = self._context_attr
        signs = bool(flags & NegotiateFlags.sign)
        known = self._credential if self.usage == "accept" and self.complete else None
        name = (known.username or "") if known else ""
        if self.usage == "initiate":
            name = self._service_principal
        return ContextFacts(
            complete=self.complete,
            mechanism=Mechanism.NTLM,
            name=name,
            realm=(known.domain or "") if known else "",
            target="",
            mutual=False,
            integrity=signs,
            confidentiality=bool(flags & NegotiateFlags.seal),
            replay_detection=signs,
            sequence_detection=signs,
            channel_bound=self._bound,
            session_key=self.session_key,
            ntlm=NtlmFacts(
                version2=self._response_length > _V1_RESPONSE,
                key_128=bool(flags & NegotiateFlags.key_128),
                extended_session_security=bool(
                    flags & NegotiateFlags.extended_session_security
                ),
                key_exchange=bool(flags & NegotiateFlags.key_exch),
                mic=self._mic_checked,
            ),
        )

    def messages(self) -> Messages:
        """Return the operations.  Sealing is RC4, whatever is asked for."""
        proxy = self

        def wrap(data: bytes) -> bytes:
            return NTLMProxy.wrap(proxy, data).data

        def unwrap(token: bytes) -> Unwrapped:
            return Unwrapped(NTLMProxy.unwrap(proxy, token).data, True)

        def verify(data: bytes, mic: bytes) -> None:
            NTLMProxy.verify(proxy, data, mic)

        return Messages(wrap, unwrap, self.sign, verify)
