"""What a server counts, and where: by connection, where it happens, and in all.

Counting costs a call one addition, and each message and each read or write one more.
The rest is worked out when somebody asks.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from signetrpc.transport import LocalUser
from signetrpc.transport._events import Established

from ._status import StatusCode

if TYPE_CHECKING:
    from ._serving import RunningCall

__all__ = ["Counted", "Counts", "Crew", "Entry", "Hand", "Ledger"]

_CODES: Final = len(StatusCode)


class Counts:
    """What has passed over a connection, or over several.

    Attributes:
        ended: How many calls ended with each status; the index is the code.
        received_messages: Those of the protocol of calls, after the handshake.
        sent_messages: The same, in the other direction.
        received_bytes: Of records as they travel, after the handshake.
        sent_bytes: The same, in the other direction.
    """

    __slots__ = (
        "ended",
        "received_bytes",
        "received_messages",
        "sent_bytes",
        "sent_messages",
    )

    def __init__(self) -> None:
        self.ended = [0] * _CODES
        self.received_messages = self.sent_messages = 0
        self.received_bytes = self.sent_bytes = 0

    def add(self, other: "Counts") -> None:
        """Add what another one has counted."""
        for code, count in enumerate(other.ended):
            self.ended[code] += count
        self.received_messages += other.received_messages
        self.sent_messages += other.sent_messages
        self.received_bytes += other.received_bytes
        self.sent_bytes += other.sent_bytes


class Counted(Protocol):
    """A connection, as far as it is counted."""

    established: Established
    counts: Counts

    @property
    def calls(self) -> "Collection[RunningCall]":
        """Those under way."""
        ...


class Hand(Protocol):
    """An identity worker, as far as it is counted."""

    user: LocalUser
    calls: int


class Crew(Protocol):
    """Identity workers, as far as they are counted."""

    @property
    def running(self) -> Sequence[Hand]:
        """Those that take calls."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A connection that is open.

    Attributes:
        number: From 1, in the order in which they came.
        since: When its handshake was over.
        connection: The connection itself.
    """

    number: int
    since: datetime
    connection: Counted


class Ledger:
    """A server's connections, and what those have counted that are gone.

    Attributes:
        started: When it began to serve; None while it has not.
        accepted: How many connections there have been.
        crews: The identity workers of each run of the server.
    """

    def __init__(self) -> None:
        self.started: datetime | None = None
        self.accepted = 0
        self.crews: set[Crew] = set()
        self._entries: dict[int, Entry] = {}
        self._past = Counts()

    def enter(self, connection: Counted, now: datetime) -> int:
        """Take a connection in and return its number."""
        self.accepted += 1
        self._entries[self.accepted] = Entry(
            number=self.accepted, since=now, connection=connection
        )
        return self.accepted

    def leave(self, number: int) -> None:
        """Let a connection go, whose calls have all ended; keep what it counted."""
        self._past.add(self._entries.pop(number).connection.counts)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Yield the open connections with a number over `after`, the oldest first."""
        return (entry for number, entry in self._entries.items() if number > after)

    def totals(self) -> Counts:
        """Return what all connections, open and gone, have counted."""
        totals = Counts()
        totals.add(self._past)
        for entry in self._entries.values():
            totals.add(entry.connection.counts)
        return totals
