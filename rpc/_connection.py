"""One connection under calls: an open session, its pipe, and when to write.

Messages are handled where the event loop delivers the bytes.  Writing waits for
company: with other calls under way, the messages of one loop turn are joined into
one record and one write; alone, a message goes at once.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import anyio

from signetrpc.transport import (
    ConnectionClosed,
    Protection,
    RemoteProtocolError,
    TransportError,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._events import MessagesReceived, PeerClosed
from signetrpc.transport._loops import Loop, Timer, Waiter
from signetrpc.transport._session import SessionState

from ._deadline import Deadlines
from ._messages import Message, decode_message
from ._statistics import Counts

__all__ = ["EACH_CALL", "Connection"]

_log: Final = logging.getLogger("signetrpc.rpc")

_GATHERED: Final = 128 * 1024
"""More than this is not gathered for one write."""

_FEW: Final = 64
"""So many messages are handled before the clock is looked at."""

_TURN_SECONDS: Final = 0.002
"""So long one connection's messages are handled before others have a turn."""

EACH_CALL: Final = 4 * 1024
"""What a call or an answer counts for there, besides its bytes: 32 go together.

With more, the ends would take turns: while one gathers, the other has nothing to do.
With fewer, more records would be sealed and written.  Items of streams keep both ends
busy anyway.
"""


class Connection(ABC):
    """What both ends of a connection have in common.

    Subclasses handle messages (`_receive`), the end (`_lost`) and deadlines
    (`_expire`).
    """

    def __init__(self, loop: Loop, link: Link, calls: Collection[int] = ()) -> None:
        """Take an open session.

        Args:
            loop: Runs what it needs.
            link: The session.
            calls: The numbers of the calls under way that may have deadlines here.
        """
        self.loop = self._loop = loop
        self._pipe = link.pipe
        self._session = link.session
        self.established = link.session.established
        self.counts = Counts()
        self._deadlines = Deadlines(calls)
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._flushing = False
        self._processing = False
        self._draining = False
        self._unread: MessagesReceived | None = None
        self._unsent = 0
        self._alone = True  # no company in the last record: no more is to be expected
        self._ended: TransportError | None = None
        self._ending = False
        self._waiting: Waiter[None] | None = None
        self._closed: anyio.Event | None = None

    # What subclasses define.

    @abstractmethod
    def _receive(
        self, message: Message, level: Protection, raw: bytes | memoryview
    ) -> None:
        """Handle one message.

        Args:
            message: What it says.
            level: How it was protected.
            raw: The message as it came, for passing it on.

        Raises:
            TransportError: It ends the connection.
        """

    @abstractmethod
    def _lost(self, error: TransportError) -> None:
        """Fail every call: the connection has ended."""

    @abstractmethod
    def _expire(self, call_id: int) -> None:
        """End a call whose deadline has passed."""

    # Receiving.

    def start(self) -> None:
        """Begin to receive; what came with the handshake is handled at once."""
        self._process()
        if self._ended is None:
            self._pipe.start_receiving(self._loop, self)
            if self._draining:
                # Held by what came with the handshake: the pipe may have resumed.
                self._pipe.pause_receiving()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the pipe."""
        if self._ended is None:
            self.counts.received_bytes += len(data)
            self._session.receive_data(data)
            self._process()

    def pipe_ended(self, error: ConnectionClosed | None) -> None:
        """Take note that the pipe has ended."""
        if self._ended is not None:
            return
        if error is not None:
            self._end(error)
        else:
            self._session.receive_eof()
            self._process()

    def _process(self) -> None:
        next_event = self._session.next_event
        self._processing = True
        done, until = 0, 0.0
        try:
            while self._ended is None and not self._draining:
                event, self._unread = self._unread or next_event(), None
                if event is None:
                    break
                if type(event) is MessagesReceived:
                    level = event.protection
                    count = len(event.messages)
                    done += count
                    if done > _FEW:
                        # A chunk can have many thousands, and other connections wait.
                        now = self._loop.time()
                        until = until or now + _TURN_SECONDS
                        if now >= until:
                            self._unread = event
                            self.hold(self._turn)
                            break
                        if count > _FEW:
                            rest = event.messages[_FEW:]
                            self._unread = MessagesReceived(level, rest)
                            event = MessagesReceived(level, event.messages[:_FEW])
                            count = _FEW
                    self.counts.received_messages += count
                    self._alone = count == 1
                    messages = iter(event.messages)
                    for message in messages:
                        self._receive(decode_message(message), level, message)
                        if self._ended is not None or self._draining:
                            # A peer that does not read gets no further answers: a
                            # record can ask for a thousand times its own size.
                            rest = list(messages)
                            self.counts.received_messages -= len(rest)
                            if self._unread is not None:
                                rest += self._unread.messages
                            self._unread = MessagesReceived(level, rest)
                            break
                elif type(event) is PeerClosed:
                    raise ConnectionClosed("the peer closed the session", clean=True)
        except TransportError as error:
            self._end(error)
        except Exception:
            # A bug of ours must not take other connections with it.
            _log.exception("handling a message of %s", self.established.peer)
            self._end(RemoteProtocolError("a message could not be handled"))
        finally:
            self._processing = False
        if self._flushing:
            self._flush()  # what was answered on the spot, as one record

    def hold(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Take nothing more from the peer until `wait` returns.

        Of a peer that does not read its answers, or whose calls somebody else does not
        take yet, so much waits and no more.
        """
        if self._draining or self._ended is not None:
            return
        self._draining = True
        self._pipe.pause_receiving()
        self._loop.spawn(self._held(wait))

    async def _turn(self) -> None:
        """Wait until everybody else has had a turn of the event loop."""
        waiter: Waiter[None] = self._loop.waiter()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        self._loop.call_soon(wake)
        await waiter

    async def _held(self, wait: Callable[[], Awaitable[None]]) -> None:
        try:
            await wait()
        except TransportError as error:
            self._end(error)
        finally:
            self._draining = False
        if self._ended is not None:
            return
        self._process()  # what was left unread, which may fill the pipe again
        if not self._draining:
            self._pipe.resume_receiving()

    # Sending.

    def _send(self, message: bytes, level: Protection) -> None:
        """Queue a message.  The connection ends if nothing can be protected any more.

        Raises:
            FrameTooLarge: The peer takes no message of that length.
            InsufficientProtection: The connection cannot give the level.
        """
        if self._ended is not None:
            return  # while a body went out in parts
        self._unsent += len(message)
        try:
            self._session.send(message, level)
        except ConnectionClosed as error:
            self._end(error)
        else:
            self.counts.sent_messages += 1

    def _flush(self) -> None:
        """Seal what waits and write it, now."""
        self._flushing = False
        self._unsent = 0
        if self._ended is not None:
            return
        try:
            data = self._session.data_to_send()
        except Exception as error:
            _log.exception("sealing for %s", self.established.peer)
            self._end(ConnectionClosed(f"sealing failed: {error}", clean=False))
            return
        if data:
            self.counts.sent_bytes += len(data)
            self._pipe.write(data)

    def _flush_soon(self) -> None:
        """Seal and write in the loop's next turn, with whatever joins until then."""
        if self._unsent > _GATHERED:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            if not self._processing:  # else at the end of the batch
                self._loop.call_soon(self._flush)

    # Time.

    def _set_deadline(self, call_id: int, when: float) -> None:
        self._deadlines.add(call_id, when)
        if self._timer is None or when < self._timer_at:
            self._arm(when)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        for call_id in self._deadlines.expired(self._loop.time()):
            self._expire(call_id)
        when = self._deadlines.next_timeout()
        if when is not None and self._ended is None:
            self._arm(when)

    # Ending.

    @property
    def ended(self) -> TransportError | None:
        """Why the connection has ended, or None while it has not."""
        return self._ended

    def _end(self, error: TransportError) -> None:
        if self._ended is not None or self._ending:
            return
        self._ending = True  # flushing can fail and come here again
        self._flush()
        self._ended = error
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lost(error)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait_ended(self) -> TransportError:
        """Wait until the connection has ended and return why."""
        while self._ended is None:
            self._waiting = self._loop.waiter()
            await self._waiting
        return self._ended

    async def aclose(self) -> None:
        """Send CLOSE if the session still stands, and close the pipe.

        A peer that broke the rules of calls gets no CLOSE: nothing ended cleanly.
        Several tasks may call it; all return when the pipe is closed.
        """
        with anyio.CancelScope(shield=True):
            if self._closed is not None:
                await self._closed.wait()
                return
            self._closed = anyio.Event()
            linger = self._session.state is not SessionState.CLOSED
            stands = self._session.state in (SessionState.OPEN, SessionState.CLOSED)
            try:
                if stands and not isinstance(self._ended, RemoteProtocolError):
                    self._session.close()
                    self._pipe.write(self._session.data_to_send())
                    self._end(ConnectionClosed("closed by this end", clean=True))
                else:
                    self._pipe.abort()
                await self._pipe.aclose(linger=linger)
            finally:
                self._closed.set()
