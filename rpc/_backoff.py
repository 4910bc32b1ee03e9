"""How long to leave a server alone that could not be reached.

gRPC's connection back-off: 1 second, 1.6 times longer each time, 120 at most, give or
take a fifth, so that clients do not come back all at once.

Source: https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md.
"""

from collections.abc import Callable
from typing import Final

__all__ = ["Backoff"]

_FIRST: Final = 1.0
_FACTOR: Final = 1.6
_LONGEST: Final = 120.0
_JITTER: Final = 0.2


class Backoff:
    """When the next attempt may be made.  Without a clock and without chance."""

    def __init__(self, random: Callable[[], float]) -> None:
        """Start without a failure.

        Args:
            random: Returns a number from 0 to 1, evenly.
        """
        self._random = random
        self._delay = _FIRST
        self._until = float("-inf")

    def wait(self, now: float) -> float:
        """Return the seconds until the next attempt may be made, at least 0."""
        return max(0.0, self._until - now)

    def failed(self, now: float) -> None:
        """Note a failed attempt."""
        self._until = now + self._delay * (1 + _JITTER * (2 * self._random() - 1))
        self._delay = min(self._delay * _FACTOR, _LONGEST)

    def succeeded(self) -> None:
        """Note that the server was reached."""
        self._delay = _FIRST
        self._until = float("-inf")
