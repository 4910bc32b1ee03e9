"""What one end brings into a session: its limits, its channel, its demands."""

from dataclasses import dataclass, field
from typing import Final

from ._hello import SIZES
from ._identity import ANONYMOUS, Identity, ImpersonationLevel, Mechanism
from ._protection import Protection, SuiteName
from ._security import ChannelBinding, SecurityPolicy

__all__ = ["NO_BINDING", "Channel", "Limits", "SessionConfig"]

NO_BINDING: Final = bytes(32)
"""The channel binding of a connection that does not run over TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this end accepts, in bytes.

    Attributes:
        max_record_bytes: A frame body after the handshake.
        max_message_bytes: One message; at least 1024 under `max_record_bytes`.
        max_token_bytes: A security token in the handshake.

    Each is from 1 KiB to 1 GiB, as HELLO has it (docs/wire.md#hello).
    """

    max_record_bytes: int = 256 * 1024
    max_message_bytes: int = 128 * 1024
    max_token_bytes: int = 64 * 1024

    def __post_init__(self) -> None:
        smallest, largest = SIZES
        for name in ("max_record_bytes", "max_message_bytes", "max_token_bytes"):
            size: int = getattr(self, name)
            if not smallest <= size <= largest:
                raise ValueError(f"{name} {size} is not from {smallest} to {largest}")
        if self.max_message_bytes + 1024 > self.max_record_bytes:
            raise ValueError(
                f"max_message_bytes {self.max_message_bytes} must be at least 1024 "
                f"under max_record_bytes {self.max_record_bytes}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What carries the frames, where that does the protecting itself.

    Attributes:
        provides: The level that every message has by it.
        peer: Who it says the other end is.
        keeps_levels: A message counts as the level it is sent at, not as the channel's:
            it has come over a network at that level, and goes on over this channel.
    """

    provides: Protection
    peer: Identity = ANONYMOUS
    keeps_levels: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What one end brings into a session.

    Attributes:
        policy: What it demands.
        nonce: 32 fresh random bytes.
        secret: 32 fresh secret random bytes, for the key exchange of the suites that
            have one; each session needs its own.
        limits: What it accepts.
        allowed: The mechanisms that policy and credentials allow.
        channel: Set when the connection protects itself: suite `channel`.
        binding: SHA-256 of the server's certificate where the connection runs over
            TLS, else 32 zero bytes.
        target: Client: the service principal asked for, `host/name`, or empty.
        served: Server: the service principals it serves under; empty for any.
        impersonation: Client: what the server may do with its identity.
        protocol: Client: the form of its tokens.
    """

    policy: SecurityPolicy
    nonce: bytes
    secret: bytes = field(repr=False)
    limits: Limits = Limits()
    allowed: frozenset[Mechanism] = frozenset()
    channel: Channel | None = None
    binding: bytes = NO_BINDING
    target: str = ""
    served: frozenset[str] = frozenset()
    impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE
    protocol: str = ""

    def __post_init__(self) -> None:
        for name in ("nonce", "secret", "binding"):
            size = len(getattr(self, name))
            if size != 32:
                raise ValueError(f"{name} of {size} bytes, not 32")

    @property
    def suites(self) -> list[str]:
        """The suites this end offers or accepts, best first."""
        return [SuiteName.CHANNEL] if self.channel else list(self.policy.suites)

    @property
    def bindable(self) -> bool:
        """True if this end can and may bind its proof to the TLS channel."""
        never = self.policy.channel_binding is ChannelBinding.NEVER
        return self.binding != NO_BINDING and not never
