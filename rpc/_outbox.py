"""The sending half of a stream: bodies, cut into pieces, each when there is room.

A piece goes at once while its call and its connection have credit and the peer reads;
else its sender waits, and nobody but this sender does.  Between the pieces of a long
body whatever else has to be sent finds its place, so that a small call overtakes it.
"""

from collections.abc import Callable
from typing import Final, Protocol

from signetrpc.transport import (
    BusyError,
    FrameTooLarge,
    InsufficientProtection,
    Protection,
)
from signetrpc.transport._loops import Loop, Waiter

from ._flow import ITEM_OVERHEAD, STREAM_WINDOW, SendWindow
from ._messages import PART_BYTES, encode_item, encode_part
from ._status import StatusCode
from .errors import RpcError

__all__ = ["Outbox", "Outlet"]

_TURN: Final = 256
"""So many messages are sent before the event loop has its turn."""


class Outlet(Protocol):
    """What an outbox needs of its connection."""

    loop: Loop
    piece_bytes: int
    """So much of a body goes in one message."""

    @property
    def has_room(self) -> bool:
        """True while pieces of bodies may be sent."""
        ...

    @property
    def crowded(self) -> bool:
        """True while somebody is in the queue for room."""
        ...

    def waiter_for_room(self, ticket: int | None) -> tuple[int, Waiter[None]]:
        """Queue for room: return what is woken when it is there.

        Args:
            ticket: What decides who is woken first; None for a new one, the last.

        Returns:
            The ticket, and the waiter; it is woken too when the connection has ended.
        """
        ...

    def pass_room(self) -> None:
        """Let the next in the queue have what room there is."""
        ...

    def send_piece(self, message: bytes, level: Protection, size: int) -> None:
        """Send a message that counts as so many bytes."""
        ...


class Outbox:
    """Where one direction of a call puts its bodies.  One sender at a time.

    Attributes:
        begun: True once a message has been given to it.
        midway: True while, and for ever if it was interrupted then, a message is sent
            of which the peer has the beginning.
    """

    __slots__ = (
        "_busy",
        "_error",
        "_id",
        "_level",
        "_long",
        "_outlet",
        "_part",
        "_sent",
        "_ticket",
        "_waiter",
        "_window",
        "begun",
        "midway",
    )

    def __init__(self, outlet: Outlet, call_id: int, level: Protection) -> None:
        self._outlet = outlet
        self._id = call_id
        self._level = level
        self._part = outlet.piece_bytes
        # Where pieces are short, sealing one takes long: that is enough for a turn.
        self._long = _TURN if self._part < PART_BYTES else 1
        self._window = SendWindow(STREAM_WINDOW)
        self._waiter: Waiter[None] | None = None
        self._ticket: int | None = None
        self._error: Callable[[], Exception] | None = None
        self._sent = 0
        self._busy = False
        self.begun = self.midway = False

    async def send(self, body: bytes, level: Protection | None = None) -> None:
        """Send one message of the stream.

        Args:
            body: Of any length.
            level: To raise this message to; never below the call's.

        Raises:
            BusyError: Another task is sending.
            RpcError: The peer takes no message of that length, or the connection
                cannot give the level.
            Exception: What `close` was given: the call has ended.
        """
        if self.send_now(body, level):
            return
        self.check_idle()
        self.begun = True
        if level is None or level < self._level:
            level = self._level
        size = len(body)
        if size > self._part:
            self._busy = True
            try:
                head = encode_item(self._id, body[: self._part], True)
                await self._piece(head, level, self._part + ITEM_OVERHEAD)
                self.midway = True
                await self.send_rest(body, level)
                self.midway = False
            finally:
                self._busy = False
                self._leave_queue()
            return
        self._busy = True
        try:
            message = encode_item(self._id, body)
            await self._piece(message, level, size + ITEM_OVERHEAD)
        finally:
            self._busy = False
            self._leave_queue()

    def send_now(self, body: bytes, level: Protection | None = None) -> bool:
        """Send one message of the stream if nothing has to be waited for.

        The arguments and errors are those of `send`.

        Returns:
            False if it was not sent: something has to be waited for, or the call has
            ended.
        """
        size = len(body)
        if (
            self._sent >= _TURN
            or self._busy
            or self._error is not None
            or size > self._part
            or self._window.left <= 0
            or not self._outlet.has_room
        ):
            return False
        if level is None or level < self._level:
            level = self._level
        self.begun = True
        self._put(encode_item(self._id, body), level, size + ITEM_OVERHEAD)
        return True

    def check_idle(self) -> None:
        """Refuse what would come between the pieces of a message.

        Raises:
            BusyError: A task is sending.
        """
        if self._busy:
            raise BusyError("another task sends on this stream")

    async def send_rest(self, body: bytes, level: Protection | None = None) -> None:
        """Send what of a body is over a piece: the message before it had that.

        Raises:
            Exception: What `close` was given: the call has ended.
        """
        level = self._level if level is None else level
        view = memoryview(body)
        try:
            part = self._part
            for start in range(part, len(body), part):
                chunk = view[start : start + part]
                more = start + part < len(body)
                message = encode_part(self._id, chunk, more)
                await self._piece(message, level, len(chunk), rest=True)
        finally:
            self._leave_queue()

    def _leave_queue(self) -> None:
        """Let others have the room, if this has been in the queue for it."""
        if self._ticket is not None:
            self._ticket = None
            self._outlet.pass_room()

    async def _piece(
        self, message: bytes, level: Protection, size: int, *, rest: bool = False
    ) -> None:
        outlet = self._outlet
        if self._sent >= _TURN:
            self._sent = 0
            waiter = outlet.loop.waiter()
            outlet.loop.call_soon(lambda: _wake(waiter))
            await waiter
        while self._error is None:
            if self._window.left <= 0:
                self._leave_queue()
                await self._wait(outlet.loop.waiter())
            elif not outlet.has_room or (
                # Of a long message nothing more goes while others wait to end theirs.
                rest and self._ticket is None and outlet.crowded
            ):
                # With the ticket of the message's first piece: who began first is
                # served until it is done, so that few messages are half sent.
                self._ticket, waiter = outlet.waiter_for_room(self._ticket)
                await self._wait(waiter)
            else:
                self._put(message, level, size)
                return
        raise self._error()

    def _put(self, message: bytes, level: Protection, size: int) -> None:
        try:
            self._outlet.send_piece(message, level, size)
        except FrameTooLarge as error:
            text = f"the peer takes no item of {len(message)} bytes: {error}"
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, text) from error
        except InsufficientProtection as error:
            raise RpcError(StatusCode.FAILED_PRECONDITION, str(error)) from error
        self._sent += self._long if size >= self._part else 1
        self._window.left -= size

    async def _wait(self, waiter: Waiter[None]) -> None:
        self._waiter = waiter
        try:
            await waiter
        finally:
            self._waiter = None

    def grant(self, size: int) -> None:
        """Add credit that the peer gave.

        Raises:
            RemoteProtocolError: It is more than a window can have.
        """
        self._window.grant(size)
        self._wake()

    def close(self, error: Callable[[], Exception]) -> None:
        """Let nothing more be sent; whoever sends gets the error."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            _wake(self._waiter)


def _wake(waiter: Waiter[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
