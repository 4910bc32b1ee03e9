"""The call under a stream: made when it is needed, and once more where that is safe.

A server that goes names the last call that it has taken: of those after it nothing has
run.  Such a call is made again as one of one request is, elsewhere and once, unless
items of the caller's were sent with it, which the caller may not have any more.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ._status import StatusCode
from ._stream_call import StreamCall
from .errors import NotCarriedOut, RpcError

__all__ = ["Begin", "Opening"]

T = TypeVar("T")


class Opening:
    """The call under a stream, whichever it is.

    Attributes:
        call: The one that counts; None before it is made.
    """

    __slots__ = ("_begin", "_error", "_given_up", "_lock", "_scope", "_spent", "call")

    def __init__(self, begin: "Begin") -> None:
        """Make no call yet.

        Args:
            begin: Makes one; what that waits for, it waits for by `interruptible`.
        """
        self.call: StreamCall | None = None
        self._begin = begin
        self._lock: anyio.Lock | None = None
        self._spent = False
        self._given_up = False
        self._error: Exception | None = None
        self._scope: anyio.CancelScope | None = None

    def _turn(self) -> anyio.Lock:
        if self._lock is None:
            self._lock = anyio.Lock(fast_acquire=True)
        return self._lock

    async def made(self) -> StreamCall:
        """Make the call, if it is not made, and return it.

        Raises:
            RpcError: It cannot be made, or the stream was given up.
        """
        if self.call is not None:
            return self.call
        async with self._turn():  # one task can send while another reads
            if self.call is None:
                self._check()
                try:
                    call = await self._begin(self)
                except NotCarriedOut:  # while its arguments were on their way
                    if self._spent:
                        raise
                    self._spent = True
                    call = await self._begin(self)
                self.call = call
                if self._given_up:
                    call.cancel()
            return self.call

    def _check(self) -> None:
        if self._given_up:
            raise _cancelled()

    async def interruptible(self, result: Awaitable[T]) -> T:
        """Return a result, unless the stream is given up before it is there.

        Raises:
            RpcError: CANCELLED: it was.
        """
        try:
            with anyio.CancelScope() as self._scope:
                return await result
        finally:
            self._scope = None
        raise _cancelled()

    async def again(self, former: StreamCall) -> StreamCall:
        """Return the call in the place of one that was not carried out.

        Args:
            former: The call that was found to be so.

        Raises:
            NotCarriedOut: There is none: items of the caller's were sent with it, or it
                was the second already.
            RpcError: It cannot be made, or the stream was given up.
        """
        async with self._turn():
            call = self.call
            if call is not former and call is not None:
                return call  # another task was here first
            if self._error is not None:
                raise self._error
            self._check()
            if self._spent or not former.not_taken:
                raise NotCarriedOut
            try:
                call = await self._begin(self)
            except Exception as error:
                self._error = error
                raise
            self._spent = True
            self.call = call
            if former.half_closed:
                call.end_sending()
            if self._given_up:
                call.cancel()
            return call

    def cancel(self) -> None:
        """Give the call up, unless it has ended; one that was not made never is."""
        self._given_up = True
        if self.call is not None:
            self.call.cancel()
        if self._scope is not None:
            self._scope.cancel()

    def abandon(self) -> None:
        """Give the call up, from anywhere: from a finaliser, or in another thread."""
        if self.call is not None:
            self._given_up = True
            self.call.abandon()


Begin = Callable[[Opening], Awaitable[StreamCall]]
"""Makes a call for a stream."""


def _cancelled() -> RpcError:
    return RpcError(StatusCode.CANCELLED, "the call was cancelled")
