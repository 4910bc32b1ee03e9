"""A connection on its way, and what calls that wait learn if it does not come."""

import anyio

from signetrpc.transport import (
    AuthenticationFailed,
    InsufficientProtection,
    TransportError,
)

from ._client_connection import ClientConnection
from ._status import StatusCode
from .errors import RpcError

__all__ = ["Attempt", "connect_error"]


class Attempt:
    """A connection on its way.

    A task of its own makes it: calls that have less time than a handshake takes would
    otherwise begin one after the other and finish none.
    """

    __slots__ = ("connection", "error", "over")

    def __init__(self) -> None:
        self.over = anyio.Event()
        self.connection: ClientConnection | None = None
        self.error: Exception | None = None


def connect_error(error: TransportError) -> RpcError:
    """Return what a call fails with whose connection could not be made."""
    match error:
        case AuthenticationFailed():
            return RpcError(StatusCode.UNAUTHENTICATED, str(error))
        case InsufficientProtection():
            return RpcError(StatusCode.FAILED_PRECONDITION, str(error))
        case _:
            return RpcError(StatusCode.UNAVAILABLE, str(error))
