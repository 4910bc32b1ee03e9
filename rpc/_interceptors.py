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

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from ._schema import CallKind
from ._status import StatusCode
from .errors import RpcError

__all__ = [
    "BidirectionalInterceptor",
    "CallInterceptor",
    "ClientStreamInterceptor",
    "Interceptor",
    "ServerStreamInterceptor",
    "UnaryInterceptor",
    "chained",
]

T = TypeVar("T")
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
            error: What it ended with; None if it went well.
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

_METHODS = {
    CallKind.UNARY: "intercept_unary",
    CallKind.CLIENT_STREAM: "intercept_client_stream",
    CallKind.SERVER_STREAM: "intercept_server_stream",
    CallKind.BIDIRECTIONAL: "intercept_bidirectional",
}


def chained(interceptors: Sequence[Interceptor], kind: CallKind) -> "Chain | None":
    """Return the interceptors that are around calls of a kind; None if none is.

    Args:
        interceptors: The outermost first.
        kind: Of the calls.

    Raises:
        TypeError: One of them is around nothing.
    """
    links: list[Callable[..., Any]] = []
    for each in interceptors:
        if isinstance(each, CallInterceptor):
            around = _around_stream if kind.gives_items else _around_reply
            links.append(partial(around, each))
            continue
        method = getattr(each, _METHODS[kind], None)
        if method is not None:
            links.append(method)
        elif not any(hasattr(each, name) for name in _METHODS.values()):
            raise TypeError(f"{type(each).__name__} intercepts nothing")
    return Chain(links) if links else None


class Chain:
    """Interceptors, one inside the other, around whatever is innermost."""

    def __init__(self, links: Sequence[Callable[..., Any]]) -> None:
        self._links = tuple(links)

    def __call__(self, innermost: Callable[..., Any], context: Any, *given: Any) -> Any:
        """Run a call through all of them.

        Args:
            innermost: Takes the request, and the items if the caller sends some.
            context: What is known of the call.
            given: The request, and the items if the caller sends some.

        Returns:
            An awaitable of the reply, or for kinds that give items, the items.
        """
        call_next = innermost
        for link in reversed(self._links):
            call_next = partial(_pass, link, call_next, context)
        return call_next(*given)


def _pass(
    link: Callable[..., Any], call_next: Callable[..., Any], context: Any, *given: Any
) -> Any:
    return link(call_next, *given, context)


async def _around_reply(
    each: CallInterceptor[Any], call_next: Callable[..., Any], *given: Any
) -> Any:
    *request, context = given
    token = await each.on_start(context)
    error: Exception | None = None
    try:
        return await call_next(*request)
    except BaseException as raised:
        error = _outcome(raised)
        raise
    finally:
        await each.on_end(token, context, error)


async def _around_stream(
    each: CallInterceptor[Any], call_next: Callable[..., Any], *given: Any
) -> AsyncIterator[Any]:
    *request, context = given
    token = await each.on_start(context)
    error: Exception | None = None
    try:
        items = cast("Any", call_next(*request))
        if hasattr(items, "aclose"):
            async with aclosing(items):
                async for item in items:
                    yield item
        else:
            async for item in items:
                yield item
    except BaseException as raised:
        error = _outcome(raised)
        raise
    finally:
        await each.on_end(token, context, error)


def _outcome(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    return RpcError(StatusCode.CANCELLED, "the call was given up")
