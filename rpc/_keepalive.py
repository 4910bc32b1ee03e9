"""Keepalive: is the peer still there, and does it not ask too often?

No clock and no socket here: the time is given.  Whatever a peer sends shows that it is
there.  When nothing came for a while a PING is sent, and when nothing comes after that
either, the connection is given up: a peer that has vanished, or a path that has, says
nothing.

Source: gRPC's doc/keepalive.md and gRFC A8, A9, for the names and the defence.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from signetrpc.transport import RemoteProtocolError

__all__ = [
    "DEFAULT_KEEPALIVE",
    "Beat",
    "Keepalive",
    "KeepalivePolicy",
    "PingGuard",
    "SERVER_KEEPALIVE",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepalivePolicy:
    """When to ask whether the peer is there, and how often it may ask.

    Attributes:
        idle_seconds: A PING is sent after so long without a byte from the peer.
        timeout_seconds: The connection ends after so long without an answer.
        without_calls: Ask also while no call is under way.
        min_ping_seconds: The peer's PINGs may come so often; see `max_strikes`.
        max_strikes: So many in a row that come too early are borne; one more ends the
            connection.
    """

    idle_seconds: float = 60.0
    timeout_seconds: float = 20.0
    without_calls: bool = False
    min_ping_seconds: float = 5.0
    max_strikes: int = 2

    def __post_init__(self) -> None:
        for name in ("idle_seconds", "timeout_seconds", "min_ping_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} {getattr(self, name)} is not over 0")
        if self.max_strikes < 0:
            raise ValueError(f"max_strikes {self.max_strikes} is below 0")

    def calmer(self) -> "KeepalivePolicy":
        """Return the policy of one that was told that it asks too often.

        Source: gRFC A8: the client asks half as often from then on.
        """
        return replace(self, idle_seconds=2 * self.idle_seconds)


DEFAULT_KEEPALIVE: Final = KeepalivePolicy()
"""A client's: it asks while it waits for something."""

SERVER_KEEPALIVE: Final = KeepalivePolicy(idle_seconds=300.0, without_calls=True)
"""A server's: it asks in any case, or clients that have vanished would keep places."""


class Beat(Enum):
    """What to do when the time has come."""

    NOTHING = auto()
    PING = auto()
    GIVE_UP = auto()


class Keepalive:
    """Whether the peer is still there.

    Attributes:
        number: Of the last PING sent; they are counted from 1.
        answered_to: The number of the last PING that was answered.
    """

    def __init__(self, policy: KeepalivePolicy, now: float) -> None:
        """Begin.

        Args:
            policy: When to ask.
            now: Seconds of a monotonic clock, as in all methods.
        """
        self._policy = policy
        self._heard_at = now
        self._asked_at: float | None = None
        self.number = 0
        self.answered_to = 0

    def heard(self, now: float) -> None:
        """Note that something came from the peer."""
        self._heard_at = now
        self._asked_at = None

    def next_timeout(self) -> float:
        """Return when to call `beat`, if nothing comes until then."""
        if self._asked_at is not None:
            return self._asked_at + self._policy.timeout_seconds
        return self._heard_at + self._policy.idle_seconds

    def beat(self, now: float, *, calls: bool) -> Beat:
        """Say what to do now.

        Args:
            now: The time.
            calls: True while calls are under way.
        """
        if now < self.next_timeout():
            return Beat.NOTHING  # something came meanwhile
        if self._asked_at is not None:
            return Beat.GIVE_UP
        if not calls and not self._policy.without_calls:
            self._heard_at = now  # nobody waits for this peer
            return Beat.NOTHING
        self.ask(now)
        return Beat.PING

    def ask(self, now: float) -> None:
        """Note that a PING with the next number is sent."""
        self._asked_at = now
        self.number += 1

    def answered(self, number: int) -> None:
        """Note a PONG.

        Each PING is answered once, and in turn: nothing overtakes on a connection.

        Raises:
            RemoteProtocolError: It is no answer to the next that waits for one.
        """
        if number != self.answered_to + 1 or number > self.number:
            raise RemoteProtocolError(f"PONG {number} to no PING")
        self.answered_to = number


class PingGuard:
    """Counts PINGs that come too often."""

    def __init__(self, policy: KeepalivePolicy) -> None:
        self._policy = policy
        self._strikes = 0
        self._at: float | None = None

    def arrived(self, now: float) -> None:
        """Count a PING.

        Raises:
            RemoteProtocolError: The peer asks too often.
        """
        before, self._at = self._at, now
        if before is None or now - before >= self._policy.min_ping_seconds:
            self._strikes = 0
            return
        self._strikes += 1
        if self._strikes > self._policy.max_strikes:
            raise RemoteProtocolError(
                f"too many pings: {self._strikes} less than "
                f"{self._policy.min_ping_seconds:g} seconds after another"
            )
