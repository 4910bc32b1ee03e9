"""Everything the transport raises.

    TransportError
     +- ConnectFailed                    nobody answered: try elsewhere
     +- HandshakeError                   no session came about
     |   +- AuthenticationFailed         somebody is not proven; see `reason`
     |   +- InsufficientProtection       weaker than the policy allows
     |   +- HandshakeTimeout             also a TimeoutError
     +- ProtocolError
     |   +- LocalProtocolError           used wrongly: fix your code
     |   +- FrameTooLarge                over a limit; see `size`, `limit`
     |   +- RemoteProtocolError          the peer broke the protocol
     |       +- IntegrityError           a protected frame failed its check
     +- ConnectionClosed                 the session is over; see `clean`
     +- BusyError                        two tasks asked for the same direction at once

A message names the fact and the limit.  It never holds a secret or a token, and
text that came from the peer is escaped.
"""

from enum import Enum

__all__ = [
    "AuthenticationFailed",
    "BusyError",
    "ConnectFailed",
    "ConnectionClosed",
    "FailureReason",
    "FrameTooLarge",
    "HandshakeError",
    "HandshakeTimeout",
    "InsufficientProtection",
    "IntegrityError",
    "LocalProtocolError",
    "ProtocolError",
    "RemoteProtocolError",
    "TransportError",
]


class FailureReason(Enum):
    """Why authentication failed, as far as one may say.

    `REFUSED` is all that a peer learns about a name or a password: an unknown user
    and a wrong password read the same (docs/wire.md#reject).
    """

    REFUSED = "the peer refused the credentials"
    NO_CREDENTIALS = "there are no credentials to use"
    BAD_CREDENTIALS = "the credentials are wrong"
    UNKNOWN_PRINCIPAL = "the client's principal is unknown"
    UNKNOWN_SERVICE = "the service principal is unknown or not the one expected"
    EXPIRED = "the ticket or the account has expired"
    CLOCK_SKEW = "the clocks of the two machines differ too much"
    NO_KDC = "no key distribution centre could be reached"
    MECHANISM = "no mechanism that both ends allow"
    NOT_PROVEN = "the peer did not prove what the policy demands"
    MALFORMED = "the peer's token could not be understood"


class TransportError(Exception):
    """Base of everything the transport raises."""


class ConnectFailed(TransportError):
    """No connection could be made; nothing was sent that could have had an effect."""


class HandshakeError(TransportError):
    """The connection was made, but no session came about."""


class AuthenticationFailed(HandshakeError):
    """One end could not prove to the other who it is.

    Attributes:
        reason: What is known of the cause.
    """

    def __init__(self, message: str, *, reason: FailureReason) -> None:
        super().__init__(message)
        self.reason = reason


class InsufficientProtection(HandshakeError):
    """What the peer offers or proved is weaker than what this end demands."""


class HandshakeTimeout(HandshakeError, TimeoutError):
    """The handshake did not end within its deadline."""


class ProtocolError(TransportError):
    """One of the two ends did what the protocol does not allow."""


class LocalProtocolError(ProtocolError):
    """This program used the transport in a way it does not allow."""


class FrameTooLarge(ProtocolError):
    """A message to send, or a frame announced by the peer, is over its limit.

    Attributes:
        size: Bytes asked for.
        limit: Bytes allowed.
    """

    def __init__(self, what: str, *, size: int, limit: int) -> None:
        super().__init__(f"{what} of {size} bytes, limit {limit}")
        self.size = size
        self.limit = limit


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol.  The session is over."""


class IntegrityError(RemoteProtocolError):
    """A protected frame was changed, repeated, reordered or made up on its way."""


class ConnectionClosed(TransportError):
    """The session is over.

    Attributes:
        clean: True if the peer closed it with an authenticated CLOSE; False if the
            byte stream ended or broke without one (a truncation).
        cause: What was observed, for people.
    """

    def __init__(self, cause: str, *, clean: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.clean = clean


class BusyError(TransportError):
    """Another task is already using this direction of the stream."""
