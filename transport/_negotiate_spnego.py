"""SPNEGO around a mechanism: pyspnego's negotiation, held to one course.

pyspnego's state machine takes more than a well-behaved peer sends: a bare NTLM or
Kerberos token in place of a negotiation, "accept-completed" before anything ran, a
mechanism that changes half way.  Here a client makes only the mechanisms it allows, a
server answers only with those it has, and whatever else arrives ends the handshake.

Source: RFC 4178; MS-SPNG section 3.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final, cast

from spnego._context import GSSMech
from spnego._negotiate import NegotiateProxy
from spnego.channel_bindings import GssChannelBindings

from ._identity import Mechanism
from ._negotiate_mechanism import MechanismContext, Messages
from ._security import ContextFacts
from .errors import AuthenticationFailed, FailureReason

__all__ = ["SpnegoContext"]

_log: Final = logging.getLogger("signetrpc.transport")

_MECHS: Final = {Mechanism.KERBEROS: GSSMech.kerberos, Mechanism.NTLM: GSSMech.ntlm}


def _malformed(text: str) -> AuthenticationFailed:
    return AuthenticationFailed(text, reason=FailureReason.MALFORMED)


class SpnegoContext(NegotiateProxy):
    """A negotiation, initiator or acceptor.

    Args:
        initiator: True on the client's side.
        mechanisms: How to make each mechanism's context, best first.  Only these are
            ever offered or taken.  A client's makers may wait for a KDC.
    """

    def __init__(
        self,
        *,
        initiator: bool,
        mechanisms: Mapping[Mechanism, Callable[[], MechanismContext]],
    ) -> None:
        super().__init__(usage="initiate" if initiator else "accept")
        self._makers = {_MECHS[name]: make for name, make in mechanisms.items()}
        self._pinned: GSSMech | None = None

    def step(
        self,
        in_token: bytes | None = None,
        *,
        channel_bindings: GssChannelBindings | None = None,
    ) -> bytes | None:
        """Consume the peer's token and return the one to send, if any.

        The stages are `NegotiateProxy.step`'s, which would log every token.
        """
        first = not self._init_sent
        token, mic, spnego = self._step_spnego_input(in_token, channel_bindings)
        if not spnego:
            raise _malformed("a bare mechanism's token in place of a negotiation")
        if first and self.usage == "accept":
            if not self._init_sent:
                raise _malformed("the negotiation does not begin with its first token")
            if not self._is_same_mech(self._chosen_mech, self._mech_list[0]):
                # The token is of the client's first choice, which is not ours.
                token = None
        self._pin(first)
        out = None
        if token or self.usage == "initiate":
            out = self._step_spnego_token(token, channel_bindings=channel_bindings)
        code = self._step_spnego_mic(in_mic=mic)
        answer = self._step_spnego_output(out_token=out, out_mic=code)
        if self.complete:
            self._check_end()
        return answer

    def _pin(self, first: bool) -> None:
        """Refuse a mechanism that was not offered, and a change of mechanism."""
        chosen = self._chosen_mech
        if chosen not in self._context_list:
            raise AuthenticationFailed(
                f"the server chose {chosen.name}, which was not offered",
                reason=FailureReason.MECHANISM,
            )
        if first and self.usage == "initiate":
            return  # the server has not chosen yet
        if self._pinned not in (None, chosen):
            raise _malformed("the mechanism changed during the negotiation")
        self._pinned = chosen

    def _check_end(self) -> None:
        if not self._context.complete:
            raise AuthenticationFailed(
                "the negotiation ended before its mechanism did",
                reason=FailureReason.NOT_PROVEN,
            )
        # RFC 4178 section 5: codes over the list of mechanisms are needed unless the
        # client's first choice was taken at once.
        preferred = self._is_same_mech(self._chosen_mech, self._mech_list[0])
        if self._mic_required or not preferred:
            if not (self._mic_sent and self._mic_recv):
                raise AuthenticationFailed(
                    "the list of mechanisms was not authenticated",
                    reason=FailureReason.NOT_PROVEN,
                )

    def _preferred_mech_list(self) -> list[GSSMech]:
        return list(self._makers)

    def _rebuild_context_list(
        self,
        mech_types: list[str] | None = None,
        channel_bindings: GssChannelBindings | None = None,
    ) -> list[str]:
        if self._context_list:
            raise _malformed("the negotiation begins a second time")
        if self.usage == "accept":
            return self._answer(mech_types or [])
        return self._offer(channel_bindings)

    def _answer(self, offered: list[str]) -> list[str]:
        for mech, make in self._makers.items():
            if any(self._is_same_mech(mech, oid) for oid in offered):
                self._add(mech, make(), None)
                return [mech.value]
        raise AuthenticationFailed(
            "the client offers no mechanism that is allowed here",
            reason=FailureReason.MECHANISM,
        )

    def _offer(self, bindings: GssChannelBindings | None) -> list[str]:
        failure: Exception | None = None
        for mech, make in self._makers.items():
            try:
                context = make()
                token = context.step(None, channel_bindings=bindings)
                self._add(mech, context, token)
            except Exception as error:
                # The first one is told if none is left: the best mechanism's.
                failure = failure or error
                _log.info("%s cannot be offered: %s", mech.name, error)
        if not self._context_list:
            assert failure is not None
            raise failure
        return [mech.value for mech in self._context_list]

    def _add(
        self, mech: GSSMech, context: MechanismContext, token: bytes | None
    ) -> None:
        # Both of ours are pyspnego contexts too.
        self._context_list[mech] = (cast("NegotiateProxy", context), token)

    @property
    def _inner(self) -> MechanismContext:
        return cast("MechanismContext", self._context)

    @property
    def complete(self) -> bool:
        """True when the negotiation has ended; says nothing of the mechanism."""
        return self._complete

    def facts(self) -> ContextFacts:
        """Read what the mechanism can prove."""
        return self._inner.facts()

    def messages(self) -> Messages:
        """Return the mechanism's operations."""
        return self._inner.messages()
