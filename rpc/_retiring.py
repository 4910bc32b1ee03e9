"""A client's connection in its last days: the server goes, or it is worn, or replaced.

Calls that are under way finish there; new ones are made elsewhere, and those that
waited to be sent are told so where the server takes no more.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio

from signetrpc.transport import ConnectionClosed, TransportError
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop

from ._exchange import Exchange
from ._keepalive import KeepalivePolicy
from ._messages import GoAway
from .errors import DeadlineExceeded, NotCarriedOut

__all__ = ["RetiringConnection"]

_log: Final = logging.getLogger("signetrpc.rpc")

_LAST_CALL_ID: Final = 0xFFFFFFFF


class RetiringConnection(Exchange):
    """A connection that another can take over from; the calls are the subclass's.

    Attributes:
        sent_away: Why the server ends it, if this end asks too often; empty otherwise.
        on_unusable: Called when no more calls can be started here; more than once,
            perhaps.
    """

    def __init__(
        self,
        loop: Loop,
        link: Link,
        calls: Mapping[int, Any],
        *,
        keepalive: KeepalivePolicy | None = None,
    ) -> None:
        """Take an open session.

        Args:
            loop: As for `Exchange`.
            link: As for `Exchange`.
            calls: Those under way, by number.
            keepalive: As for `Exchange`.
        """
        super().__init__(loop, link, calls, keepalive=keepalive)
        self._under_way = calls
        self._next_id = 1
        self._retired = False
        self._last_taken = _LAST_CALL_ID
        self._worn = False
        self.sent_away = ""
        self.on_unusable: Callable[[], None] | None = None
        self._waiting_for_room = 0

    @property
    def busy(self) -> bool:
        """True while calls are under way."""
        return bool(self._under_way)

    def start(self) -> None:
        """Begin to receive, and see to the end."""
        super().start()
        self._loop.spawn(self._close_when_ended())

    async def _close_when_ended(self) -> None:
        try:
            await self.wait_ended()
        finally:
            await self.aclose()

    @property
    def usable(self) -> bool:
        """True if a call can be started here."""
        return (
            self._ended is None
            and not self._retired
            and self._next_id <= _LAST_CALL_ID
            and not self._worn
        )

    def retire(self) -> None:
        """Close as soon as no call is under way: another connection takes over."""
        self._retired = True
        self._close_if_idle()
        self._tell_unusable()

    def _tell_unusable(self) -> None:
        if self.on_unusable is not None:
            self.on_unusable()

    def _end(self, error: TransportError) -> None:
        super()._end(error)
        self._tell_unusable()

    def _close_if_idle(self) -> None:
        if self._retired and not self._under_way and not self._waiting_for_room:
            self._end(ConnectionClosed("closed by this end", clean=True))

    def _flush(self) -> None:
        super()._flush()
        if self._session.exhausted:
            self._worn = True
            self._tell_unusable()

    def _note_going(self, message: GoAway) -> None:
        """Take note that the server goes, and after which call it takes no more."""
        self._last_taken = message.last_id
        if message.reason and not self.sent_away:
            self.sent_away = message.reason
            _log.warning("the server sends this client away: %r", message.reason)

    async def _wait_for_room(self, timeout: float) -> float:
        """Wait until the server takes data again; return what is left of the time.

        Raises:
            DeadlineExceeded: It is over.
            NotCarriedOut: The server has gone, or said that it takes no more calls.
        """
        end = self._loop.time() + timeout
        self._waiting_for_room += 1
        begins = False
        try:
            with anyio.move_on_after(timeout):
                await self._pipe.drain()
                begins = self._next_id <= self._last_taken
                if not begins:
                    raise NotCarriedOut
        except ConnectionClosed as error:
            raise NotCarriedOut(str(error)) from error  # nothing of it was sent
        finally:
            self._waiting_for_room -= 1
            if not begins:  # given up too
                self._close_if_idle()
        if not begins:
            raise DeadlineExceeded(f"the server took no data for {timeout:g} seconds")
        return end - self._loop.time()
