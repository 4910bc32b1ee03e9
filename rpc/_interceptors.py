"""Interceptors: code around every call, at the client or at the server.

One Protocol for each kind of call, so that each sees just what there is; a class may
have several of the methods, and calls of the other kinds pass it by.  The first one
given is the outermost: it sees a call first and its outcome last.

    class Timing:
        async def intercept_unary(self, call_next, request, context):
            start = time.perf_counter()
            try:
                return await call_next(request)
            finally:
                print(context.method, time.perf_counter() - start)

For the common case, something before and something after, `CallInterceptor` needs no
thought of kinds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

__all__ = [
    "BidirectionalInterceptor",
    "CallInterceptor",
    "ClientStreamInterceptor",
    "Interceptor",
    "ServerStreamInterceptor",
    "UnaryInterceptor",
]

C = TypeVar("C", contravariant=True)
"""What is known of the call: `CallContext` at a server, `ClientCall` at a client."""


@runtime_checkable
class UnaryInterceptor(Protocol[C]):
    """Around calls of one request and one reply."""

    async def intercept_unary(
        self,
        call_next: Callable[[Any], Awaitable[Any]],
        request: Any,
        context: C,
        /,
    ) -> Any:
        """Return the reply.

        Args:
            call_next: Goes on with a request and returns the reply.  May be called
                again, or not at all.
            request: The Struct of the arguments.
            context: What is known of the call.
        """
        ...


@runtime_checkable
class ClientStreamInterceptor(Protocol[C]):
    """Around calls of many requests and one reply."""

    async def intercept_client_stream(
        self,
        call_next: Callable[[Any, AsyncIterator[Any]], Awaitable[Any]],
        request: Any,
        items: AsyncIterator[Any],
        context: C,
        /,
    ) -> Any:
        """Return the reply; as for unary calls, with the caller's items."""
        ...


@runtime_checkable
class ServerStreamInterceptor(Protocol[C]):
    """Around calls of one request and many replies."""

    def intercept_server_stream(
        self,
        call_next: Callable[[Any], AsyncIterator[Any]],
        request: Any,
        context: C,
        /,
    ) -> AsyncIterator[Any]:
        """Give the replies; an async generator does."""
        ...


@runtime_checkable
class BidirectionalInterceptor(Protocol[C]):
    """Around calls of many requests and many replies."""

    def intercept_bidirectional(
        self,
        call_next: Callable[[Any, AsyncIterator[Any]], AsyncIterator[Any]],
        request: Any,
        items: AsyncIterator[Any],
        context: C,
        /,
    ) -> AsyncIterator[Any]:
        """Give the replies; an async generator does."""
        ...


@runtime_checkable
class CallInterceptor(Protocol[C]):
    """Something before each call and something after, whatever its kind."""

    async def on_start(self, context: C, /) -> Any:
        """Run before the call; what it returns goes to `on_end`.

        An exception ends the call with it; of an `RpcError` the status.
        """
        ...

    async def on_end(self, token: Any, context: C, error: Exception | None, /) -> None:
        """Run after it.

        Args:
            token: What `on_start` returned.
            context: What is known of the call.
            error: What it ended with; None if it went well.  An `RpcError` with
                status CANCELLED if the call was cancelled, or its items are not wanted
                any more; this may take 5 seconds then.
        """
        ...


Interceptor = (
    UnaryInterceptor[Any]
    | ClientStreamInterceptor[Any]
    | ServerStreamInterceptor[Any]
    | BidirectionalInterceptor[Any]
    | CallInterceptor[Any]
)
"""Any of them."""
