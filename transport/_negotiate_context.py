"""What the contexts of both ends share: one boundary, one state, one way out.

Whatever a step raises leaves here as `AuthenticationFailed`, and the context is then of
no more use; nothing can be sealed or signed before the handshake is complete.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from spnego.channel_bindings import GssChannelBindings

from ._identity import Mechanism
from ._negotiate_errors import Situation, convert
from ._negotiate_mechanism import NOTHING, MechanismContext, Messages
from ._negotiate_spnego import SpnegoContext
from ._security import ContextFacts, NegotiationProtocol, Unwrapped
from .errors import AuthenticationFailed, FailureReason

__all__ = ["BaseContext", "Maker"]

TOKEN_LIMIT: Final = 64 * 1024

Maker = Callable[[], MechanismContext]
"""Makes a mechanism's context; a client's may wait for a KDC."""


class BaseContext(ABC):
    """A `SecurityContext`; subclasses say how to make each mechanism's context."""

    def __init__(
        self,
        protocol: NegotiationProtocol,
        situation: Situation,
        binding: bytes | None,
    ) -> None:
        self._protocol = protocol
        self._situation = situation
        self._bindings = None
        if binding is not None:
            self._bindings = GssChannelBindings(application_data=binding)
        self._context: MechanismContext | None = None
        self._failed = False
        self._messages: Messages | None = None

    @abstractmethod
    def makers(self) -> dict[Mechanism, Maker]:
        """Return how to make the context of each mechanism that may be used."""

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
            if not token:
                # GSS-API would take it for "no credentials".
                raise AuthenticationFailed(
                    "the peer's token is empty", reason=FailureReason.MALFORMED
                )
        if self._context is None:
            self._context = self._make()
        answer = self._context.step(token, channel_bindings=self._bindings)
        if answer is not None:
            _check_size("the token to send", answer)
        if self._context.complete:
            self._messages = self._context.messages()
        return answer

    def _make(self) -> MechanismContext:
        makers = self.makers()
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
            return NOTHING
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


def _check_size(what: str, token: bytes) -> None:
    if len(token) > TOKEN_LIMIT:
        raise AuthenticationFailed(
            f"{what} has {len(token)} bytes, limit {TOKEN_LIMIT}",
            reason=FailureReason.MALFORMED,
        )
