"""Interceptors in a row, and what runs a call through them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import anyio

from ._interceptors import CallInterceptor, Interceptor
from ._schema import CallKind
from ._status import StatusCode
from .errors import RpcError

__all__ = ["Chain", "chained"]

_LAST_SECONDS: Final = 5.0
"""So long `on_end` may take of a call that was cancelled."""

_METHODS: Final = {
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
    return Chain(links, kind) if links else None


class Chain:
    """Interceptors, one inside the other, around whatever is innermost."""

    def __init__(self, links: Sequence[Callable[..., Any]], kind: CallKind) -> None:
        self._links = tuple(links)
        self._kind = kind

    def __call__(self, innermost: Callable[..., Any], context: Any, *given: Any) -> Any:
        """Run a call through all of them.

        What interceptors make of items is often an async generator.  Those that are
        left in the middle are closed at the end, in the task that ran the call:
        nothing that they hold waits for the garbage collector.

        Args:
            innermost: Takes the request, and the items if the caller sends some.
            context: What is known of the call.
            given: The request, and the items if the caller sends some.

        Returns:
            An awaitable of the reply; or for kinds that give items, an asynchronous
            iterable of these, with `aclose`.
        """
        call_next = innermost
        if self._kind is CallKind.UNARY:
            for link in reversed(self._links):
                call_next = partial(_pass, link, call_next, context)
            return call_next(*given)
        opened = _Opened()
        call_next = partial(opened.call, innermost)
        for link in reversed(self._links):
            through = partial(_pass, link, call_next, context)
            call_next = partial(opened.call, through)
        if self._kind.gives_items:
            return _Items(call_next(*given), opened)
        return _closing(call_next(*given), opened)


class _Opened:
    """The generators that a call's interceptors gave to each other."""

    __slots__ = ("_items", "_replies")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._replies: list[Any] = []

    def call(self, function: Callable[..., Any], *given: Any) -> Any:
        """Go on to what is further in, and note what goes there and what comes."""
        self._items = _noted(self._items, given[-1])
        result = function(*given)
        self._replies = _noted(self._replies, result)
        return result

    async def aclose(self) -> None:
        """Close all of them, each before what it is fed by."""
        async with AsyncExitStack() as stack:
            for each in (*self._items, *reversed(self._replies)):
                stack.push_async_callback(each.aclose)


def _noted(known: list[Any], given: Any) -> list[Any]:
    if not hasattr(given, "aclose"):
        return known
    # An interceptor may go on any number of times: what has ended is let go.
    left = [each for each in known if getattr(each, "ag_frame", each) is not None]
    return [*left, given]


class _Items:
    """What the outermost interceptor of a call gives, and the end of all of them."""

    __slots__ = ("_given", "_opened")

    def __init__(self, given: AsyncIterator[Any], opened: _Opened) -> None:
        self._given = given
        self._opened = opened

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._given.__aiter__()

    async def aclose(self) -> None:
        await self._opened.aclose()


async def _closing(reply: Awaitable[Any], opened: _Opened) -> Any:
    try:
        return await reply
    finally:
        await opened.aclose()


def _pass(
    link: Callable[..., Any], call_next: Callable[..., Any], context: Any, *given: Any
) -> Any:
    return link(call_next, *given, context)


async def _around_reply(
    each: CallInterceptor[Any], call_next: Callable[..., Any], *given: Any
) -> Any:
    *request, context = given
    token = await each.on_start(context)
    try:
        reply = await call_next(*request)
    except BaseException as error:
        await _end(each, token, context, error)
        raise
    await each.on_end(token, context, None)
    return reply


async def _around_stream(
    each: CallInterceptor[Any], call_next: Callable[..., Any], *given: Any
) -> AsyncIterator[Any]:
    *request, context = given
    token = await each.on_start(context)
    items = call_next(*request)
    try:
        async for item in items:
            yield item
    except BaseException as error:
        try:
            if (aclose := getattr(items, "aclose", None)) is not None:
                await aclose()
        finally:
            await _end(each, token, context, error)
        raise
    await each.on_end(token, context, None)


async def _end(
    each: CallInterceptor[Any], token: Any, context: Any, error: BaseException
) -> None:
    if isinstance(error, Exception):
        await each.on_end(token, context, error)
        return
    # Cancelled; or its items are read no more.  It may still await something.
    given_up = RpcError(StatusCode.CANCELLED, "the call was given up")
    with anyio.move_on_after(_LAST_SECONDS, shield=True):
        await each.on_end(token, context, given_up)
