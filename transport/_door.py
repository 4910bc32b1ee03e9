"""The doorkeeper: who may try, how many at once, and who has failed too often.

Looks at nothing but addresses and counts, before a byte of a peer is read.  A peer
whose handshakes fail again and again has to wait, twice as long each time; a success
clears it.  Peers on a unix socket have no address and are only counted.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

__all__ = ["Door", "DoorLimits", "door_key"]

_MOST_REMEMBERED: Final = 10_000
"""Failing addresses remembered; past that the one that failed longest ago goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """What one listener lets in.

    Attributes:
        connections: Connections at once, in the handshake or past it.
        connections_per_peer: The same for one address.
        handshakes: Connections in the handshake at once.
        handshakes_per_peer: The same for one address.
        failures: Handshakes that may fail in a row for one address before it waits.
        longest_wait: Seconds it waits at most; the first time it is 1.
    """

    connections: int = 10_000
    connections_per_peer: int = 2_000
    handshakes: int = 1_024
    handshakes_per_peer: int = 256
    failures: int = 20
    longest_wait: float = 60.0


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0


def door_key(host: str) -> str:
    """Return what a peer is counted under.

    An IPv6 customer has a /64 at least (RFC 6177), so its addresses count as one.

    Args:
        host: The peer's address; empty on a unix socket.
    """
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host)
    if address.is_link_local or address.is_loopback:
        return host
    return str(ipaddress.IPv6Network((address.packed, 64), strict=False))


class Door:
    """Counts a listener's connections.  Without I/O and without a clock."""

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self._handshakes = 0
        self._connections = 0
        self._by_peer: dict[str, list[int]] = {}  # handshakes, connections
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    @property
    def handshakes(self) -> int:
        """Connections in the handshake."""
        return self._handshakes

    @property
    def connections(self) -> int:
        """Connections in all."""
        return self._connections

    def refusal(self, peer: str, now: float) -> str | None:
        """Return why a connection may not come in, or None.

        Args:
            peer: By its `door_key`.
            now: Seconds of a monotonic clock.
        """
        limits = self._limits
        if self._connections >= limits.connections:
            return f"{self._connections} connections, limit {limits.connections}"
        if self._handshakes >= limits.handshakes:
            return f"{self._handshakes} handshakes under way, limit {limits.handshakes}"
        if not peer:
            return None
        failures = self._failures.get(peer)
        if failures is not None and failures.until > now:
            return (
                f"{failures.count} failed handshakes in a row; "
                f"{failures.until - now:.1f} seconds to wait"
            )
        handshakes, connections = self._by_peer.get(peer, (0, 0))
        if connections >= limits.connections_per_peer:
            return f"{connections} connections, limit {limits.connections_per_peer}"
        if handshakes >= limits.handshakes_per_peer:
            return (
                f"{handshakes} handshakes under way, limit {limits.handshakes_per_peer}"
            )
        return None

    def enter(self, peer: str) -> None:
        """Count a connection whose handshake begins."""
        self._handshakes += 1
        self._connections += 1
        counts = self._by_peer.setdefault(peer, [0, 0])
        counts[0] += 1
        counts[1] += 1

    def succeeded(self, peer: str) -> None:
        """Note that a handshake ended well.  The connection still counts."""
        self._handshakes -= 1
        self._by_peer[peer][0] -= 1
        self._failures.pop(peer, None)

    def gave_up(self, peer: str) -> None:
        """Note that a connection is gone whose handshake did not succeed."""
        self._handshakes -= 1
        self._by_peer[peer][0] -= 1
        self.leave(peer)

    def failed(self, peer: str, now: float) -> None:
        """Note that a handshake failed.  Its connection counts until `gave_up`."""
        if not peer:
            return
        failures = self._failures.setdefault(peer, _Failures())
        self._failures.move_to_end(peer)
        failures.count += 1
        over = failures.count - self._limits.failures
        if over >= 0:
            wait = min(2.0 ** min(over, 32), self._limits.longest_wait)
            failures.until = now + wait
        if len(self._failures) > _MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def leave(self, peer: str) -> None:
        """Note that a connection is gone."""
        self._connections -= 1
        counts = self._by_peer[peer]
        counts[1] -= 1
        if not counts[1]:
            del self._by_peer[peer]
