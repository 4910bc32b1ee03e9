"""Kerberos by GSS-API: credentials, contexts, and what they prove.

Imports gssapi and krb5, which are an extra: `_negotiate` imports this module only
where Kerberos is used.
"""

import time
import weakref
from collections.abc import Callable, Set
from os import PathLike, fspath
from typing import Final

import gssapi
import gssapi.raw
import krb5
from spnego._gss import GSSAPIProxy
from spnego.channel_bindings import GssChannelBindings

from ._credentials import ClientCredentials, Keytab
from ._delegation import received
from ._identity import DelegatedCredential, ImpersonationLevel, Mechanism
from ._negotiate_mechanism import NOTHING, Messages
from ._negotiate_own import OwnTickets
from ._negotiate_tickets import (
    KERBEROS,
    initiator_credential,
    principal_name,
    service_name,
    split_principal,
)
from ._pac import authenticated_sids
from ._security import ContextFacts, Unwrapped
from .errors import AuthenticationFailed, FailureReason

__all__ = [
    "KerberosAcceptor",
    "KerberosContext",
    "keytab_principals",
    "split_principal",
]

# GSS_C_INQ_SSPI_SESSION_KEY of MIT krb5's gssapi_ext.h: the key, and an OID whose
# last arc is its encryption type.
_SESSION_KEY: Final = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2.5.5")
# The mechanism's own identifier, Microsoft's off by one bit, and the draft's.
_KERBEROS_NAMES: Final = (
    KERBEROS,
    gssapi.OID.from_int_seq("1.2.840.48018.1.2.2"),
    gssapi.OID.from_int_seq("1.3.5.1.5.2"),
)
_INDEFINITE: Final = 0xFFFFFFFF

_Flag = gssapi.RequirementFlag
_ASKED: Final = (
    _Flag.mutual_authentication
    | _Flag.replay_detection
    | _Flag.out_of_sequence_detection
    | _Flag.confidentiality
    | _Flag.integrity
)
_CHANNEL_BOUND: Final = 0x800  # GSS_C_CHANNEL_BOUND_FLAG, MIT krb5 1.19

_WRAP_TOKEN: Final = b"\x05\x04"
_WRAP_HEADER: Final = 16


def keytab_principals(path: str | PathLike[str]) -> frozenset[str]:
    """Return the principals that a keytab file has keys of, realms included.

    Raises:
        AuthenticationFailed: It cannot be read or has none; the text names it.
    """
    try:
        with open(path, "rb"):
            pass
        context = krb5.init_context()
        table = krb5.kt_resolve(context, b"FILE:" + fspath(path).encode())
        names = {krb5.unparse_name_flags(context, entry.principal) for entry in table}
    except (OSError, krb5.Krb5Error) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a keytab"
        raise AuthenticationFailed(
            f"keytab {fspath(path)!r} cannot be read: {why}",
            reason=FailureReason.NO_CREDENTIALS,
        ) from error
    if not names:
        raise AuthenticationFailed(
            f"keytab {fspath(path)!r} has no keys",
            reason=FailureReason.NO_CREDENTIALS,
        )
    return frozenset(name.decode() for name in names)


class KerberosAcceptor:
    """A server's keys, and the names it serves under.

    The library accepts with every key of a keytab, whatever name its caller passed, so
    the one name goes into the credential where there is only one; otherwise the rule
    `target_equal` holds the ticket's name against `served`.

    Attributes:
        served: The service principals, without realm.
    """

    def __init__(self, keytab: Keytab, names: frozenset[str]) -> None:
        """Check that the keytab has what is to be served.

        Args:
            keytab: The keys.
            names: Serve under these only, with or without realm; empty for all.

        Raises:
            AuthenticationFailed: The keytab is missing, is not one, or lacks a name; or
                it has several names to serve and `delegate_to`.
        """
        self._path = keytab.path
        held = keytab_principals(self._path)
        if keytab.principal:
            held = self._only(held, {keytab.principal})
        if names:
            held = self._only(held, names)
        self.served = frozenset(split_principal(principal)[0] for principal in held)
        (only,) = held if len(held) == 1 else (None,)
        self._credential = gssapi.Credentials(
            name=None if only is None else principal_name(only),
            usage="accept",
            mechs=[KERBEROS],
            store={"keytab": f"FILE:{fspath(self._path)}"},
        )
        self._own: OwnTickets | None = None
        if keytab.delegate_to:
            if only is None:
                raise AuthenticationFailed(
                    f"delegate_to needs one principal to serve under, and keytab "
                    f"{fspath(self._path)!r} has {len(held)}: give `principal`",
                    reason=FailureReason.NO_CREDENTIALS,
                )
            self._own = OwnTickets(self._path, only)
        self._delegate_to = keytab.delegate_to

    def _only(self, held: frozenset[str], names: Set[str]) -> frozenset[str]:
        for name in names:
            if not any(_same(name, principal) for principal in held):
                raise AuthenticationFailed(
                    f"keytab {fspath(self._path)!r} has no key of {name!r} to serve",
                    reason=FailureReason.NO_CREDENTIALS,
                )
        return frozenset(p for p in held if any(_same(name, p) for name in names))

    def context(self, *, delegate: bool = False) -> "KerberosContext":
        """Return a new context.  The keytab is read when a ticket comes.

        Args:
            delegate: Look for a credential of the client's.  May wait for the KDC
                where there is `delegate_to`.
        """
        if not delegate:
            return KerberosContext.acceptor(self._credential)
        credential = None if self._own is None else self._own.credential()
        if credential is None:
            return KerberosContext.acceptor(self._credential, delegate=True)
        targets = self._delegate_to
        return KerberosContext.acceptor(credential, delegate=True, targets=targets)


def _same(name: str, principal: str) -> bool:
    """Return whether `name`, which may leave the realm out, means `principal`."""
    return name in (principal, split_principal(principal)[0])


_Begin = Callable[[gssapi.raw.ChannelBindings | None], gssapi.SecurityContext]


def _bindings(given: GssChannelBindings | None) -> gssapi.raw.ChannelBindings | None:
    if given is None:
        return None
    # The types of the (absent) addresses are part of what both ends hash.
    return gssapi.raw.ChannelBindings(
        initiator_address_type=given.initiator_addrtype,
        initiator_address=given.initiator_address,
        acceptor_address_type=given.acceptor_addrtype,
        acceptor_address=given.acceptor_address,
        application_data=given.application_data,
    )


class KerberosContext(GSSAPIProxy):
    """A Kerberos context, initiator or acceptor; see the two class methods."""

    def __init__(
        self, *, usage: str, credential: gssapi.Credentials | None, begin: _Begin
    ) -> None:
        super().__init__(
            usage=usage, protocol="kerberos", _gssapi_credential=credential
        )
        # In the first step, which is told the channel bindings.
        self._begin = begin
        self._forget: Callable[[], object] | None = None
        self._delegate_to: tuple[str, ...] | None = None
        self._delegated: DelegatedCredential | None = None
        # "Wrapped" contexts don't log their tokens.
        self._is_wrapped = True

    @classmethod
    def initiator(
        cls,
        credentials: ClientCredentials,
        service: str,
        impersonation: ImpersonationLevel,
    ) -> "KerberosContext":
        """Log in as far as needed and return a context for `service`.

        May wait for a KDC.
        """
        delegate = impersonation is ImpersonationLevel.DELEGATE
        credential, cache = initiator_credential(credentials, forwardable=delegate)
        flags = _ASKED | _Flag.delegate_to_peer if delegate else _ASKED

        def begin(
            bindings: gssapi.raw.ChannelBindings | None,
        ) -> gssapi.SecurityContext:
            return gssapi.SecurityContext(
                name=service_name(service),
                creds=credential,
                usage="initiate",
                mech=KERBEROS,
                flags=flags,
                channel_bindings=bindings,
            )

        context = cls(usage="initiate", credential=credential, begin=begin)
        if cache is not None:
            context._forget = weakref.finalize(context, krb5.cc_destroy, *cache)
        return context

    @classmethod
    def acceptor(
        cls,
        credential: gssapi.Credentials,
        *,
        delegate: bool = False,
        targets: tuple[str, ...] = (),
    ) -> "KerberosContext":
        """Return a context that accepts with that credential.

        Args:
            credential: The service's; for both uses where there are `targets`.
            delegate: Look for a credential of the client's.
            targets: Where the service may act for its clients.
        """

        def begin(
            bindings: gssapi.raw.ChannelBindings | None,
        ) -> gssapi.SecurityContext:
            return gssapi.SecurityContext(
                creds=credential, usage="accept", channel_bindings=bindings
            )

        context = cls(usage="accept", credential=credential, begin=begin)
        context._delegate_to = targets if delegate else None
        return context

    def step(
        self,
        in_token: bytes | None = None,
        *,
        channel_bindings: GssChannelBindings | None = None,
    ) -> bytes | None:
        """Consume the peer's token and return the one to send, if any."""
        if self._context is None:
            context = self._begin(_bindings(channel_bindings))
            # Deferral is gssapi's default: a failed step returns its error token, and
            # the error is raised by whatever touches the context next.
            setattr(context, "__DEFER_STEP_ERRORS__", False)  # noqa: B010
            self._context = context
        token = super().step(in_token)
        if self.complete and self._forget is not None:
            # Of the tickets that a password or keytab fetched, nothing stays behind.
            self._forget()
        if self.complete and self._delegate_to is not None:
            self._delegated = self._read_delegated(self._delegate_to)
        return token

    def _read_delegated(self, targets: tuple[str, ...]) -> DelegatedCredential | None:
        assert self._context is not None
        held = self._context.delegated_creds
        name = self._context.initiator_name
        if held is None or name is None:
            return None
        # gssapi's stubs do not say that what it returns is a Name or a Credentials.
        caller = "@".join(_split(name))
        return received(held, caller, targets)

    def facts(self) -> ContextFacts:
        """Read what Kerberos can prove, from the library's own context."""
        context = self._context
        if context is None or not self.complete:
            return NOTHING
        state = gssapi.raw.inquire_context(context)
        if state.mech not in _KERBEROS_NAMES:
            return NOTHING  # a token can call for another mechanism
        flags = int(state.flags or 0)
        # gssapi's stubs do not say what these two are: gssapi.raw.Name or None.
        target, realm = _split(state.target_name)  # pyright: ignore
        name, sids = target, frozenset[str]()
        if self.usage == "accept":
            name, realm = _split(state.initiator_name)  # pyright: ignore
            if state.initiator_name is not None:  # pyright: ignore
                sids = authenticated_sids(state.initiator_name)  # pyright: ignore
        key, enctype = _session_key(context)
        return ContextFacts(
            complete=True,
            mechanism=Mechanism.KERBEROS,
            name=name,
            realm=realm,
            target=target,
            mutual=bool(flags & _Flag.mutual_authentication),
            integrity=bool(flags & _Flag.integrity),
            confidentiality=bool(flags & _Flag.confidentiality),
            replay_detection=bool(flags & _Flag.replay_detection),
            sequence_detection=bool(flags & _Flag.out_of_sequence_detection),
            channel_bound=bool(flags & _CHANNEL_BOUND),
            session_key=key,
            enctype=enctype,
            expires_at=_expiry(state.lifetime),
            sids=sids,
            delegated=self._delegated,
        )

    def messages(self) -> Messages:
        """Return the operations on GSS-API's own context."""
        context = self._context
        assert context is not None
        raw_wrap, raw_unwrap = gssapi.raw.wrap, gssapi.raw.unwrap
        raw_sign, raw_verify = gssapi.raw.get_mic, gssapi.raw.verify_mic

        def wrap(data: bytes) -> bytes:
            token, encrypted = raw_wrap(context, data, True)
            if not encrypted:
                raise ValueError("GSS-API wrapped without encryption")
            return token

        def unwrap(token: bytes) -> Unwrapped:
            # RFC 4121 section 4.2.6.2.  The rotation count (bytes 6 and 7) is not
            # authenticated: with one allowed, many tokens would open to one plaintext.
            # Ours never rotate.
            if token[:2] != _WRAP_TOKEN or token[6:8] != b"\0\0":
                raise ValueError("not a wrap token without rotation")
            data, encrypted, _ = raw_unwrap(context, token)
            return Unwrapped(data, encrypted)

        def sign(data: bytes) -> bytes:
            return raw_sign(context, data)

        def verify(data: bytes, mic: bytes) -> None:
            raw_verify(context, data, mic)

        return Messages(wrap, unwrap, sign, verify)


def _split(name: gssapi.raw.Name | None) -> tuple[str, str]:
    if name is None:
        return "", ""
    # Without a type, MIT's own text form, a NUL at its end left out.
    text = gssapi.raw.display_name(name, False).name
    return split_principal(text.rstrip(b"\0").decode())


def _session_key(context: gssapi.SecurityContext) -> tuple[bytes, int | None]:
    key, *rest = gssapi.raw.inquire_sec_context_by_oid(context, _SESSION_KEY)
    if not rest:
        return key, None
    arcs = gssapi.OID(elements=rest[0]).dotted_form.split(".")
    return key, int(arcs[-1])


def _expiry(lifetime: int | None) -> float | None:
    """The acceptor's lifetime includes the clock skew that krb5.conf allows."""
    if lifetime is None or lifetime == _INDEFINITE:
        return None
    return time.time() + lifetime
