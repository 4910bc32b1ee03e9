"""`SecureStream`: authenticated, protected messages, without any RPC.

The level of protection is chosen message by message, with a default for the
connection, as the Negotiate providers of Windows have it; the receiver is told which
level each message had.
"""

from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

import anyio
from anyio import TypedAttributeProvider, TypedAttributeSet, typed_attribute

from ._driver import shake_hands
from ._events import MessagesReceived, PeerClosed
from ._identity import Identity
from ._pipes import Pipe
from ._protection import Protection
from ._session import Session, SessionState
from .errors import BusyError, ConnectionClosed, TransportError

__all__ = ["Message", "SecureStream", "SecureStreamAttribute"]


class Message(NamedTuple):
    """One message as it arrived.

    Attributes:
        data: The plaintext.
        protection: The level it had on the wire, verified.
    """

    data: bytes
    protection: Protection


class SecureStreamAttribute(TypedAttributeSet):
    """Facts about a `SecureStream`, for `stream.extra(...)`."""

    peer: Identity = typed_attribute()
    """Who the other end is."""
    suite: str = typed_attribute()
    """Name of the suite that protects the messages."""
    minimum_protection: Protection = typed_attribute()
    """The lowest level either end may use."""
    max_message_bytes: int = typed_attribute()
    """Bytes one message to the peer may have."""


class SecureStream(TypedAttributeProvider):
    """A session over a byte pipe.  Made by `wrap`, or by connectors and listeners."""

    def __init__(
        self,
        pipe: Pipe,
        session: Session,
        default: Protection,
        *,
        ends_at: float | None = None,
    ) -> None:
        """Take over a session that is open.  Use `wrap` otherwise.

        Args:
            pipe: What it runs over.
            session: In state OPEN.
            default: The level of messages that name none.
            ends_at: When its lifetime is over, by anyio's clock; None for never.
        """
        self._ends_at = ends_at
        self._pipe = pipe
        self._session = session
        self._default = max(default, session.established.minimum)
        self._messages: deque[Message] = deque()
        self._receiving = False
        self._closing = False

    @classmethod
    async def wrap(
        cls, pipe: Pipe, session: Session, *, protection: Protection = Protection.SEAL
    ) -> "SecureStream":
        """Shake hands over a pipe.

        Args:
            pipe: The connection; closed if the handshake fails.
            session: A new session.
            protection: The level of messages that name none.

        Raises:
            HandshakeError: No session came about.
            ConnectionClosed: The peer went away.
            RemoteProtocolError: The peer speaks something else.
        """
        await shake_hands(pipe, session)
        return cls(pipe, session, protection)

    @property
    def peer(self) -> Identity:
        """Who the other end is."""
        return self._session.peer

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """See `SecureStreamAttribute`."""
        established = self._session.established
        return {
            SecureStreamAttribute.peer: lambda: established.peer,
            SecureStreamAttribute.suite: lambda: established.suite,
            SecureStreamAttribute.minimum_protection: lambda: established.minimum,
            SecureStreamAttribute.max_message_bytes: (
                lambda: established.max_message_bytes
            ),
        }

    async def send(self, data: bytes, protection: Protection | None = None) -> None:
        """Send one message.

        Several tasks may send at once; each message arrives whole.  If cancelled while
        it waits for room, the message still counts as sent: over a socket the rest of
        it follows, at the latest with the next message or when the stream is closed.
        Any other pipe is then broken.

        Args:
            data: 1 to `max_message_bytes` bytes.
            protection: Its level; None for the connection's default.

        Raises:
            FrameTooLarge: It is too long; nothing was sent.
            InsufficientProtection: The connection cannot give that level.
            LocalProtocolError: The level is under the session's minimum, or the stream
                is closed.
            ConnectionClosed: The connection broke.
        """
        self._check_lifetime()
        level = self._default if protection is None else protection
        self._session.send(data, level)
        # No await between sealing and handing over: the peer counts.
        self._pipe.write(self._session.data_to_send())
        await self._pipe.drain()

    async def receive(self) -> Message:
        """Return the next message, unsealed and whole.

        Waits for one.  If cancelled, no message is lost.  One task at a time.

        Returns:
            1 or more bytes of plaintext, with the level of protection.

        Raises:
            ConnectionClosed: The session is over; see `clean`.
            RemoteProtocolError: The peer broke the protocol, or somebody on the way
                did (`IntegrityError`).  The stream is closed afterwards.
            BusyError: Another task is receiving.

        Wire: docs/wire.md#record.
        """
        if self._receiving:
            raise BusyError("another task is receiving from this stream")
        if self._messages:
            return self._messages.popleft()
        self._receiving = True
        try:
            await self._receive_more()
        except ConnectionClosed as error:
            if self._closing and not error.clean:
                raise ConnectionClosed("closed by this end", clean=True) from error
            raise
        except TransportError:
            self._pipe.abort()
            raise
        finally:
            self._receiving = False
        return self._messages.popleft()

    async def _receive_more(self) -> None:
        session = self._session
        while True:
            match session.next_event():
                case MessagesReceived(protection, messages):
                    self._messages.extend(
                        Message(bytes(data), protection) for data in messages
                    )
                    return
                case PeerClosed():
                    raise ConnectionClosed("the peer closed the session", clean=True)
                case None if self._closing:
                    raise ConnectionClosed("closed by this end", clean=True)
                case None if session.state is SessionState.CLOSED:
                    raise ConnectionClosed("the peer closed the session", clean=True)
                case None:
                    if data := await self._receive_bytes():
                        session.receive_data(data)
                    else:
                        session.receive_eof()
                case event:
                    raise AssertionError(f"{event} after the handshake")

    async def _receive_bytes(self) -> bytes:
        if self._ends_at is None:
            return await self._pipe.receive()
        while True:  # a timer can come a moment early
            with anyio.move_on_after(self._ends_at - anyio.current_time()):
                return await self._pipe.receive()
            self._check_lifetime()

    def _check_lifetime(self) -> None:
        if self._ends_at is not None and anyio.current_time() >= self._ends_at:
            raise ConnectionClosed(
                f"the session's lifetime is over: {self.peer} must log in again",
                clean=True,
            )

    async def aclose(self) -> None:
        """Send CLOSE after all messages, and close.  Closing twice is harmless."""
        if self._closing:
            return
        self._closing = True
        linger = self._session.state is not SessionState.CLOSED
        if self._session.state in (SessionState.OPEN, SessionState.CLOSED):
            self._session.close()
            self._pipe.write(self._session.data_to_send())
        with anyio.CancelScope(shield=True):
            await self._pipe.aclose(linger=linger)

    async def __aenter__(self) -> "SecureStream":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
