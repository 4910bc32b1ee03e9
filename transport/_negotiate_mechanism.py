"""What the contexts need of one mechanism, whichever it is."""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from spnego.channel_bindings import GssChannelBindings

from ._security import ContextFacts, Unwrapped

__all__ = ["NOTHING", "MechanismContext", "Messages"]


NOTHING: Final = ContextFacts(
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
"""What a context proves that has not begun, or has failed."""


class Messages(NamedTuple):
    """The four per-message operations, bound as near to the mechanism as can be.

    The layers between cost more than the cryptography of a small message, so they are
    gone through once, when the context completes, and not for each message.
    """

    wrap: Callable[[bytes], bytes]
    unwrap: Callable[[bytes], Unwrapped]
    sign: Callable[[bytes], bytes]
    verify: Callable[[bytes, bytes], None]


class MechanismContext(Protocol):
    """A mechanism's own context, by itself or inside SPNEGO."""

    def step(
        self,
        in_token: bytes | None = None,
        *,
        channel_bindings: GssChannelBindings | None = None,
    ) -> bytes | None:
        """Consume the peer's token and return the one to send, if any."""
        ...

    @property
    def complete(self) -> bool:
        """True when the mechanism itself has finished."""
        ...

    def facts(self) -> ContextFacts:
        """Read what the mechanism can prove."""
        ...

    def messages(self) -> Messages:
        """Return the operations; for a complete context only."""
        ...
