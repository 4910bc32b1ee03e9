"""A connection on its way, and what calls that wait learn if it does not come."""

from typing import NamedTuple, Self

import anyio

from signetrpc.transport import (
    AuthenticationFailed,
    FailureReason,
    InsufficientProtection,
    LocalProtocolError,
    TransportError,
)

from ._client_connection import ClientConnection
from ._status import StatusCode
from .errors import RpcError

__all__ = ["Attempt", "Failure", "connect_error"]


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


class Failure(NamedTuple):
    """Why a connection did not come, without what an exception keeps alive.

    Attributes:
        status: What calls end with.
        message: What was observed.
    """

    status: StatusCode
    message: str

    @classmethod
    def of(cls, error: TransportError) -> Self:
        """Return what an attempt failed with, as calls learn of it."""
        match error:
            case AuthenticationFailed(reason=FailureReason.NO_KDC):
                status = StatusCode.UNAVAILABLE  # nobody has judged anything
            case AuthenticationFailed():
                status = StatusCode.UNAUTHENTICATED
            case InsufficientProtection() | LocalProtocolError():
                status = StatusCode.FAILED_PRECONDITION
            case _:
                status = StatusCode.UNAVAILABLE
        return cls(status, str(error))

    @property
    def passes(self) -> bool:
        """True if waiting may help: somebody could not be reached.

        A credential that was refused is not shown again by calls that wait: each time
        would count towards the lock-out of its account.
        """
        return self.status is StatusCode.UNAVAILABLE

    def error(self, wait: float) -> RpcError:
        """Return what a call fails with that comes so many seconds too early."""
        text = f"{self.message}; next attempt in {wait:.1f} seconds"
        return RpcError(self.status, text)


def connect_error(error: TransportError) -> RpcError:
    """Return what a call fails with whose connection could not be made."""
    failure = Failure.of(error)
    return RpcError(failure.status, failure.message)
