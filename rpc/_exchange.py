"""What an open connection carries besides calls: room for bodies, and signs of life."""

from collections.abc import Collection
from heapq import heapify, heappop, heappush
from itertools import count
from typing import ClassVar, Final

from signetrpc.transport import (
    ConnectionClosed,
    Protection,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop, Timer, Waiter

from ._connection import Connection
from ._flow import CONNECTION_WINDOW, SLOW_PIECE_BYTES, ReceiveWindow, SendWindow
from ._keepalive import DEFAULT_KEEPALIVE, Beat, Keepalive, KeepalivePolicy, PingGuard
from ._messages import (
    PART_BYTES,
    Credit,
    Message,
    Ping,
    Pong,
    encode_credit,
    encode_ping,
    encode_pong,
)

__all__ = ["Exchange"]

_FEW_SENDERS: Final = 64
"""So many who queued for room and left may stay in the queue whatever else does."""


class Exchange(Connection):
    """A connection with its windows and its keepalive."""

    _peer_role: ClassVar[str]
    """The word for the peer in errors."""

    def __init__(
        self,
        loop: Loop,
        link: Link,
        calls: Collection[int] = (),
        *,
        window: int = CONNECTION_WINDOW,
        keepalive: KeepalivePolicy | None = DEFAULT_KEEPALIVE,
    ) -> None:
        """Take an open session.

        Args:
            loop: Runs what it needs.
            link: The session.
            calls: The numbers of the calls under way that may have deadlines here.
            window: What each direction may have on its way, in bytes of bodies.
            keepalive: When to ask whether the peer is there; None for never, where
                the system tells when it is not.
        """
        super().__init__(loop, link, calls)
        slow = self.established.suite == "gss" and self.established.minimum
        self.piece_bytes = SLOW_PIECE_BYTES if slow else PART_BYTES
        self._window = SendWindow(window)
        self._arriving = ReceiveWindow(window)
        self._senders: list[tuple[int, int, Waiter[None]]] = []  # a heap
        self._tickets = count(1)
        self._queued = count()
        self._most_queued = _FEW_SENDERS
        self._drainer = False
        self._asks = keepalive is not None
        self._keepalive = Keepalive(keepalive or DEFAULT_KEEPALIVE, loop.time())
        self._guard = PingGuard(keepalive or DEFAULT_KEEPALIVE)
        self._beating: Timer | None = None

    @property
    def busy(self) -> bool:
        """True while calls are under way."""
        return False

    def start(self) -> None:
        """Begin to receive, and to listen for signs of life."""
        super().start()
        if self._asks and self._ended is None:
            self._next_beat()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the pipe."""
        self._keepalive.heard(self._loop.time())
        super().data_received(data)

    # Life.

    def _next_beat(self) -> None:
        self._beating = self._loop.call_at(self._keepalive.next_timeout(), self._beat)

    def _beat(self) -> None:
        self._beating = None
        if self._ended is not None:
            return
        now = self._loop.time()
        if self._draining and not self._pipe.congested:
            self._keepalive.heard(now)  # held back by this end, it cannot be heard
        match self._keepalive.beat(now, calls=self.busy):
            case Beat.PING:
                self._ping()
            case Beat.GIVE_UP:
                self._given_up()
                text = f"the {self._peer_role} gives no sign of life"
                self._end(ConnectionClosed(text, clean=False))
                return
            case Beat.NOTHING:
                pass
        self._next_beat()

    def _given_up(self) -> None:
        """Take note that the connection ends because the peer does not react."""

    def _ask(self) -> None:
        """Send a PING now, whose answer comes to `_ponged`."""
        self._keepalive.ask(self._loop.time())
        self._ping()

    def _ping(self) -> None:
        self._send(encode_ping(self._keepalive.number), self.established.minimum)
        self._flush()

    def _ponged(self) -> None:
        """Take note of an answer to a PING."""

    def _overasked(self, error: RemoteProtocolError) -> TransportError:
        """Return what the connection of a peer ends with that asks too often."""
        return error

    def _end(self, error: TransportError) -> None:
        super()._end(error)
        if self._ended is not None:
            if self._beating is not None:
                self._beating.cancel()
                self._beating = None
            self.pass_room()

    # Bodies.

    @property
    def has_room(self) -> bool:
        """True while pieces of bodies may be sent."""
        return self._window.left > 0 and not self._pipe.congested

    @property
    def crowded(self) -> bool:
        """True while somebody is in the queue for room."""
        return bool(self._senders)

    async def room(self) -> None:
        """Wait until there is room, or the connection has ended."""
        ticket: int | None = None
        try:
            while not self.has_room and self._ended is None:
                ticket, waiter = self.waiter_for_room(ticket)
                await waiter
        finally:
            self.pass_room()  # cancelled too: it may have been woken for some

    def waiter_for_room(self, ticket: int | None) -> tuple[int, Waiter[None]]:
        """Queue for room: return what is woken when it is there.

        Args:
            ticket: What decides who is woken first; None for a new one, the last.

        Returns:
            The ticket, and the waiter; it is woken too when the connection has ended.
        """
        if ticket is None:
            ticket = next(self._tickets)
        waiter: Waiter[None] = self._loop.waiter()
        if len(self._senders) >= self._most_queued:
            # Who has left: while there is no room nobody comes by their places, and
            # a peer that gives none can make any number of calls and cancel them.
            self._senders = [each for each in self._senders if not each[2].done()]
            heapify(self._senders)
            self._most_queued = max(_FEW_SENDERS, 2 * len(self._senders))
        heappush(self._senders, (ticket, next(self._queued), waiter))
        if self._pipe.congested and not self._drainer:
            self._drainer = True
            self._loop.spawn(self._wake_when_drained())
        return ticket, waiter

    async def _wake_when_drained(self) -> None:
        try:
            await self._pipe.drain()
        except TransportError:
            pass  # the connection ends, and wakes them too
        finally:
            self._drainer = False
        self.pass_room()

    def pass_room(self) -> None:
        """Let the next in the queue have what room there is."""
        while self._senders and (self.has_room or self._ended is not None):
            _, _, waiter = heappop(self._senders)
            if not waiter.done():
                waiter.set_result(None)
                if self._ended is None:
                    return  # it passes on what it leaves

    def send_piece(self, message: bytes, level: Protection, size: int) -> None:
        """Send a message that counts as so many bytes.

        Raises:
            FrameTooLarge: The peer takes no message of that length.
            InsufficientProtection: The connection cannot give the level.
        """
        self._send(message, level)
        self._window.left -= size  # of what was not refused
        self._flush_soon()

    def _arrived(self, size: int) -> None:
        """Count bytes of bodies that have come, and give the room back at once.

        What waits for a handler or a caller counts against its own call's window, so
        that whoever does not take it stops nobody else.

        Raises:
            RemoteProtocolError: The peer had no credit for them.
        """
        self._arriving.arrived(size)
        credit = self._arriving.released(size)
        if credit:
            self._send(encode_credit(0, credit), self.established.minimum)
            self._flush_soon()

    def _receive_control(self, message: Message) -> None:
        """Handle what concerns the connection as a whole.

        Raises:
            RemoteProtocolError: It is nothing that this end gets.
        """
        match message:
            case Credit(id=0, size=size):
                self._window.grant(size)
                self.pass_room()
            case Ping(number=number):
                try:
                    self._guard.arrived(self._loop.time())
                except RemoteProtocolError as error:
                    raise self._overasked(error) from error
                self._send(encode_pong(number), self.established.minimum)
                self._flush_soon()
            case Pong(number=number):
                self._keepalive.answered(number)
                if self._beating is not None:
                    # It was to come up when there is no answer, which may be late.
                    self._beating.cancel()
                    self._next_beat()
                self._ponged()
            case _:
                raise RemoteProtocolError(
                    f"{type(message).__name__} from a {self._peer_role}"
                )
