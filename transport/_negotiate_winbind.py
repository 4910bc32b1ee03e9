r"""Domain NTLM: gss-ntlmssp for the mechanism, Samba's winbind for the accounts.

An acceptor over GSS-API's mechanism 1.3.6.1.4.1.311.2.2.10.  It has no password of
anybody: winbindd passes challenge and response to a domain controller and gets back
the SIDs of the account and the key that was made from its password.

What is proven, and by what:

- The account and its groups: gss-ntlmssp puts SIDs on the client's name only where
  winbind verified it, and without them nobody gets in.  With NTLM_USER_FILE in the
  environment it would look there first; a logon by that file has no SIDs.  Who it is,
  is what the domain calls the first SID (in small letters), not what the client typed:
  gss-ntlmssp repeats that (`corp.example.com\ALICE`), and authorisation must not
  decide on it.
- The session key: GSS_C_INQ_SSPI_SESSION_KEY.  An all-zero key below it, which
  winbindd could answer with where it withholds the real one, is recognised.
- NTLMv2, and the message integrity code: read from the client's bytes
  (`_negotiate_winbind_tokens`), for gss-ntlmssp would take other forms; the code is
  computed a second time here, with the session key, over all three messages.
- 128-bit keys, extended session security, key exchange, sign and seal: flags of our
  CHALLENGE, which gss-ntlmssp derives its keys by, that the client confirms in
  AUTHENTICATE.  The code covers both.
- Replay and sequence detection: no flags of gss-ntlmssp, but of NTLM's nature where it
  signs: the number is in each signature, and a signature out of order is not equal.

- Channel bindings: the hash in the response, which winbind verified whole, is compared
  with ours here; gss-ntlmssp would also take one that is not there.

What is not: the server to the client (NTLM never does), a service principal (the
client may name one, nothing binds it), an expiry, and that winbindd itself is honest:
it is as trusted as the C library.

Never ask gss-ntlmssp 1.2.0 for an acceptor's target name: the process ends.
"""

import hmac
import logging
import os
from dataclasses import replace
from typing import Final

import gssapi
import gssapi.raw
from gssapi.raw.misc import GSSError
from spnego._ntlm_raw.crypto import md5, rc4k
from spnego._ntlm_raw.messages import NegotiateFlags
from spnego.channel_bindings import GssChannelBindings

from ._identity import Mechanism
from ._negotiate_mechanism import NOTHING, Messages
from ._negotiate_winbind_client import WinbindClient
from ._negotiate_winbind_tokens import (
    Authenticate,
    check_negotiate,
    flags_of_challenge,
    read_authenticate,
)
from ._pac import is_sid
from ._security import ContextFacts, NtlmFacts, Unwrapped
from .errors import AuthenticationFailed, FailureReason

__all__ = ["WinbindAcceptor", "WinbindContext"]

_log: Final = logging.getLogger("signetrpc.transport")

_NTLM: Final = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
_SESSION_KEY: Final = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2.5.5")
# GSS_NTLMSSP_RESET_CRYPTO_OID of gssapi_ntlmssp.h; the value says which direction.
_RESET: Final = gssapi.OID.from_int_seq("1.3.6.1.4.1.7165.655.1.3")
_SENDING, _RECEIVING = b"\0\0\0\0", b"\1\0\0\0"
_SIDS: Final = b"urn:gssntlmssp:sids"

_FILE_VARIABLE: Final = "NTLM_USER_FILE"
_SIGNATURE_LENGTH: Final = 16


class WinbindAcceptor:
    """Makes contexts that winbind verifies.  Made once for each listener; thread-safe.

    Raises:
        AuthenticationFailed: gss-ntlmssp, libwbclient or winbindd is missing, or the
            environment sends gss-ntlmssp elsewhere; the text says which.
    """

    def __init__(self) -> None:
        if not any(mech == _NTLM for mech in gssapi.raw.indicate_mechs()):
            raise _unusable("GSS-API knows no NTLM: install gss-ntlmssp")
        if os.environ.get(_FILE_VARIABLE):
            raise _unusable(
                f"{_FILE_VARIABLE} is set, and gss-ntlmssp would ask that file first"
            )
        self._winbind = WinbindClient()
        self._winbind.check()
        self._credential = gssapi.Credentials(usage="accept", mechs=[_NTLM])

    def context(self) -> "WinbindContext":
        """Return a new context.  Cheap; winbind is asked when a response comes."""
        return WinbindContext(self._credential, self._winbind)


class WinbindContext:
    """An acceptor's NTLM context, by itself or inside SPNEGO."""

    def __init__(self, credential: gssapi.Credentials, winbind: WinbindClient) -> None:
        self._winbind = winbind
        self._context = gssapi.SecurityContext(creds=credential, usage="accept")
        # As for Kerberos: a failed step has to raise in that step.
        setattr(self._context, "__DEFER_STEP_ERRORS__", False)  # noqa: B010
        self._exchanged = b""
        self._flags = 0
        self._facts = _NOTHING

    def step(
        self,
        in_token: bytes | None = None,
        *,
        channel_bindings: GssChannelBindings | None = None,
    ) -> bytes | None:
        """Consume the client's token and return the one to send, if any.

        The last one waits for winbind, and that for a domain controller.

        Raises:
            AuthenticationFailed: As said in the module's text.
        """
        token = in_token or b""
        if not self._exchanged:
            check_negotiate(token)
            challenge = self._context.step(token) or b""
            self._flags = flags_of_challenge(challenge)
            self._exchanged = token + challenge
            return challenge
        message = read_authenticate(token)
        bound = _is_bound(message, channel_bindings)
        try:
            answer = self._context.step(token)
        except GSSError as error:
            _log.info(
                "NTLM logon of %r in domain %r refused by winbind (a service other "
                "than root's needs the group winbindd_priv)",
                message.user,
                message.domain,
            )
            raise AuthenticationFailed(
                "unknown user, wrong password, or too weak a form of NTLM",
                reason=FailureReason.REFUSED,
            ) from error
        if answer or not self._context.complete:
            raise _not_proven("the exchange went on after its last message")
        self._facts = self._prove(message, bound)
        return None

    @property
    def complete(self) -> bool:
        """True when the client is verified."""
        return self._facts.complete

    def facts(self) -> ContextFacts:
        """Read what was proven.  Never mutual authentication."""
        return self._facts

    def _prove(self, message: Authenticate, bound: bool) -> ContextFacts:
        (key, *_) = gssapi.raw.inquire_sec_context_by_oid(self._context, _SESSION_KEY)
        if rc4k(bytes(16), message.encrypted_key) == key:
            raise _not_proven("winbind gave no session key")
        code = hmac.digest(key, self._exchanged + message.covered, "md5")
        if not hmac.compare_digest(code, message.mic):
            raise _not_proven("the message integrity code is not right")
        account, *groups = _sids(_client(self._context))
        domain, name = self._winbind.account(account)
        given = int(self._context.actual_flags)
        agreed = self._flags & message.flags
        signs = bool(
            given & gssapi.RequirementFlag.integrity and agreed & NegotiateFlags.sign
        )
        seals = bool(
            given & gssapi.RequirementFlag.confidentiality
            and agreed & NegotiateFlags.seal
        )
        return ContextFacts(
            complete=True,
            mechanism=Mechanism.NTLM,
            name=name,
            realm=domain,
            target="",
            mutual=False,
            integrity=signs,
            confidentiality=seals,
            replay_detection=signs,
            sequence_detection=signs,
            channel_bound=bound,
            session_key=key,
            ntlm=NtlmFacts(
                version2=True,  # or `read_authenticate` had refused it
                key_128=bool(agreed & NegotiateFlags.key_128),
                extended_session_security=bool(
                    agreed & NegotiateFlags.extended_session_security
                ),
                key_exchange=bool(agreed & NegotiateFlags.key_exch),
                mic=True,  # compared above
            ),
            sids=frozenset({account, *groups}),
        )

    def sign(self, data: bytes, qop: int | None = None) -> bytes:
        """Return a code over `data`; SPNEGO's, over its list of mechanisms."""
        return gssapi.raw.get_mic(self._context, data)

    def verify(self, data: bytes, mic: bytes) -> None:
        """Raise unless `mic` is the client's code over `data`, next in order."""
        if len(mic) != _SIGNATURE_LENGTH:
            raise ValueError("not a signature")  # gss-ntlmssp would read past its end
        gssapi.raw.verify_mic(self._context, data, mic)

    def messages(self) -> Messages:
        """Return the operations.  Sealing is RC4, whatever is asked for."""
        context = self._context

        def wrap(data: bytes) -> bytes:
            token, encrypted = gssapi.raw.wrap(context, data, True)
            if not encrypted:
                raise ValueError("GSS-API wrapped without encryption")
            return token

        def unwrap(token: bytes) -> Unwrapped:
            if len(token) <= _SIGNATURE_LENGTH:
                raise ValueError("not a sealed message")
            data, encrypted, _ = gssapi.raw.unwrap(context, token)
            return Unwrapped(data, encrypted)

        return Messages(wrap, unwrap, self.sign, self.verify)

    # What pyspnego's negotiation asks of NTLM beside the above.

    @property
    def _requires_mech_list_mic(self) -> bool:
        return self.complete  # every message that is taken has a code

    def _reset_ntlm_crypto_state(self, outgoing: bool = True) -> None:
        """Begin the RC4 stream anew after a code of SPNEGO's (MS-SPNG 3.3.5.1)."""
        value = _SENDING if outgoing else _RECEIVING
        gssapi.raw.set_sec_context_option(_RESET, self._context, value)


def _is_bound(message: Authenticate, ours: GssChannelBindings | None) -> bool:
    """Return whether the client saw the channel that we see.

    Raises:
        AuthenticationFailed: It saw another.
    """
    if ours is None or not message.bindings:
        return False
    if message.bindings != md5(ours.pack()):
        raise _not_proven("the channel bindings do not match")
    return True


def _client(context: gssapi.SecurityContext) -> gssapi.raw.Name | None:
    state = gssapi.raw.inquire_context(
        context,
        initiator_name=True,
        target_name=False,
        lifetime=False,
        mech=False,
        flags=False,
        locally_init=False,
        complete=False,
    )
    return state.initiator_name  # pyright: ignore


def _sids(name: gssapi.raw.Name | None) -> list[str]:
    """Return the SIDs that winbind gave: the account's, then those of its groups."""
    try:
        if name is None:
            raise _not_proven("the context names nobody")
        attribute = gssapi.raw.get_name_attribute(name, _SIDS)
    except GSSError as error:
        raise _not_proven("the account was not verified by winbind") from error
    if not (attribute.authenticated and attribute.complete):
        raise _not_proven("the account's SIDs are nobody's word")
    text = attribute.values[0].rstrip(b"\0").decode("ascii")
    sids = text.split(",")
    if not all(map(is_sid, sids)):
        raise _not_proven("the account's SIDs are none")
    return sids


_NOTHING: Final = replace(NOTHING, mechanism=Mechanism.NTLM)


def _unusable(why: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"NTLM cannot be verified by winbind: {why}",
        reason=FailureReason.NO_CREDENTIALS,
    )


def _not_proven(text: str) -> AuthenticationFailed:
    return AuthenticationFailed(text, reason=FailureReason.NOT_PROVEN)
