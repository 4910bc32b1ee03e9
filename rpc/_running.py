"""How a handler runs: at once, in a task or a worker thread; once or item by item."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import Context
from functools import partial
from typing import Any, Final, cast

import anyio
import anyio.from_thread
import anyio.to_thread

from signetrpc.transport import Protection
from signetrpc.transport._loops import Loop, cancellation

from ._answering import AnsweringConnection
from ._assembly import check_size
from ._chain import Chain
from ._context import CURRENT
from ._handlers import HandlerStyle
from ._items import AsyncItems, FetchedItems, ThreadItems, from_thread, lowered
from ._methods import BidirectionalMethod, ClientStreamMethod
from ._schema import CallKind
from ._serving import RunningCall, Serving
from ._status import StatusCode
from .errors import RpcError

__all__ = ["Runner"]

_OTHERS: Final = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What a handler may pass on that ends more than its call, beside cancellation.

All else is a mistake of its own: libraries that are not in Python have exceptions that
are no `Exception`, for what they call panic, and a caller's bytes may bring one about.
"""


class Runner:
    """Runs the handlers of one connection's calls."""

    def __init__(
        self, loop: Loop, serving: Serving, owner: AnsweringConnection, base: Context
    ) -> None:
        """Take what they share.

        Args:
            loop: Runs their tasks.
            serving: What is served.
            owner: Whose calls they are.
            base: What handlers start from: what is read in one can be read in another
                handler's task.
        """
        self._loop = loop
        self._serving = serving
        self._owner = owner
        self._base = base

    def run(self, call: RunningCall, arguments: Any) -> None:
        """Run the handler of a call; it answers the call in the end."""
        context = self._base.copy()
        function = call.endpoint.function
        style = call.endpoint.handler.style
        if call.endpoint.chain is not None:
            self._run_chained(call, call.endpoint.chain, arguments, context)
            return
        if style is HandlerStyle.INLINE:
            context.run(CURRENT.set, call.context)
            try:
                result = context.run(function, arguments, None)
            except BaseException as error:
                self._failed(call, error)
            else:
                self._owner.reply(call, result)
            return
        items = None if call.inbox is None else self._items_of(call)
        guard = self._guard
        match style:
            case HandlerStyle.ASYNC:
                work = guard(call, self._owner.reply, function, arguments, items)
                call.task = self._loop.start(work, context)
                return
            case HandlerStyle.THREAD:
                run, done = self._in_thread, self._owner.reply
                work = guard(call, done, run, call, function, arguments, items)
            case HandlerStyle.ASYNC_ITEMS:
                done = self._owner.end_stream
                work = guard(call, done, self._give, call, arguments, items)
            case HandlerStyle.THREAD_ITEMS:
                run, done = self._in_thread, self._owner.end_stream
                give = self._give_from_thread
                work = guard(call, done, run, call, give, call, arguments, items)
        call.task = self._loop.spawn(work, context)

    def _run_chained(
        self, call: RunningCall, chain: Chain, arguments: Any, context: Context
    ) -> None:
        """Run the interceptors, and the handler where they say."""
        method = call.endpoint.handler.method
        given: tuple[Any, ...] = (arguments,)
        if isinstance(method, ClientStreamMethod | BidirectionalMethod):
            assert call.inbox is not None
            decode: Callable[[bytes], Any] = method.decode_item
            given = arguments, AsyncItems[Any](call.inbox, decode)
        done: Callable[[RunningCall, Any], None] = self._owner.reply
        if method.kind.gives_items:
            items = partial(self._chained_items, call)
            start = partial(chain, items, call.context, *given)
            done = self._owner.end_stream
            work = self._guard(call, done, self._send_all, call, start)
        else:
            reply = partial(self._chained_reply, call)
            work = self._guard(call, done, chain, reply, call.context, *given)
        call.task = self._loop.spawn(work, context)

    async def _chained_reply(
        self, call: RunningCall, arguments: Any, items: Any = None
    ) -> Any:
        function = call.endpoint.function
        match call.endpoint.handler.style:
            case HandlerStyle.ASYNC:
                return await function(arguments, items)
            case HandlerStyle.INLINE:
                return function(arguments, items)
            case _:
                fetched = None if items is None else FetchedItems(items)
                result = await self._in_thread(call, function, arguments, fetched)
                if call.context.cancelled:
                    # While it could not be interrupted: interceptors are to know.
                    raise RpcError(StatusCode.CANCELLED, "the call has ended")
                return result

    def _chained_items(
        self, call: RunningCall, arguments: Any, items: Any = None
    ) -> AsyncIterator[Any]:
        function = call.endpoint.function
        if call.endpoint.handler.style is HandlerStyle.ASYNC_ITEMS:
            return cast("AsyncIterator[Any]", function(arguments, items))
        fetched = None if items is None else FetchedItems(items)
        given = cast("Iterator[Any]", function(arguments, fetched))
        return from_thread(given, partial(self._in_thread, call))

    async def _guard(
        self,
        call: RunningCall,
        done: Callable[[RunningCall, Any], None],
        function: Callable[..., Awaitable[Any]],
        *given: Any,
    ) -> None:
        if call.begun is None:
            return  # given up; trio begins even so
        call.begun = True
        CURRENT.set(call.context)
        try:
            result = await function(*given)
        except BaseException as error:
            self._failed(call, error)
        else:
            done(call, result)
        finally:
            self._owner.handler_ended(call)

    def _failed(self, call: RunningCall, error: BaseException) -> None:
        """Answer a call whose handler raised, and raise again what is not its own."""
        owner = self._owner
        if isinstance(error, Exception):
            owner.fail(call, owner.unexpected(call, error))
            return
        mistake, other = _parted(error)
        if mistake is not None:
            if not isinstance(mistake, Exception):
                wrapped = RuntimeError(f"{type(mistake).__name__} from a handler")
                wrapped.__cause__ = mistake
                mistake = wrapped
            owner.fail(call, owner.unexpected(call, mistake))
        if other is not None:
            raise other from None

    async def _give(self, call: RunningCall, arguments: Any, items: Any) -> None:
        """Send what the handler gives."""
        await self._send_all(call, partial(call.endpoint.function, arguments, items))

    async def _send_all(
        self, call: RunningCall, start: Callable[[], AsyncIterator[Any]]
    ) -> None:
        given = start()
        outbox = call.outbox
        assert outbox is not None
        try:
            async for item in given:
                body, level = self._encoded(call, item)
                if not outbox.send_now(body, level):
                    await outbox.send(body, level)
        finally:
            # What it holds is let go now, and in this task.
            if (aclose := getattr(given, "aclose", None)) is not None:
                await aclose()

    def _give_from_thread(self, call: RunningCall, arguments: Any, items: Any) -> None:
        """In the thread: send what the handler gives."""
        function = call.endpoint.function
        given = cast("Iterator[Any]", function(arguments, items))
        outbox = call.outbox
        assert outbox is not None
        try:
            for item in given:
                anyio.from_thread.run(outbox.send, *self._encoded(call, item))
        finally:
            if (close := getattr(given, "close", None)) is not None:
                close()

    def _encoded(self, call: RunningCall, item: Any) -> tuple[bytes, Protection | None]:
        value, level = lowered(item)
        body = call.endpoint.handler.method.encode_result(value)
        if len(body) > self._serving.max_body_bytes:
            check_size(len(body), self._serving.max_body_bytes, "item")
        return body, level

    async def _in_thread(
        self, call: RunningCall, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        serving = self._serving
        if call.endpoint.handler.method.kind is not CallKind.UNARY:
            # It waits for what its caller sends, or takes; others must not.
            async with serving.waiting:
                return await self._counted(call, function, *arguments)
        return await self._counted(call, function, *arguments)

    async def _counted(
        self, call: RunningCall, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        serving = self._serving
        async with serving.threads:
            # Not cancelled from here on: a thread cannot be, and must stay counted.
            # While it waits for one a call can, or those cancelled would pile up.
            task, call.task = call.task, None
            try:
                with self._loop.in_thread():
                    return await anyio.to_thread.run_sync(
                        function, *arguments, limiter=serving.counted
                    )
            finally:
                call.task = task

    def _items_of(self, call: RunningCall) -> Any:
        method = call.endpoint.handler.method
        if not isinstance(method, ClientStreamMethod | BidirectionalMethod):
            return None
        assert call.inbox is not None
        decode: Callable[[bytes], Any] = method.decode_item
        if call.endpoint.handler.style.in_thread:
            return ThreadItems[Any](call.inbox, decode)
        return AsyncItems[Any](call.inbox, decode)


def _parted(
    error: BaseException,
) -> tuple[BaseException | None, BaseException | None]:
    """Return what is a handler's own mistake, and what is not."""
    others = (*_OTHERS, cancellation())
    if isinstance(error, BaseExceptionGroup):
        # Cancelled under trio, with tasks of its own that failed on the way out.
        group = cast("BaseExceptionGroup[BaseException]", error)
        other, mistake = group.split(others)
        return mistake, other
    return (None, error) if isinstance(error, others) else (error, None)
