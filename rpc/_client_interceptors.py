"""A channel with interceptors around its calls."""

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Sequence
from typing import Any, Final, TypeVar, cast

import msgspec

from signetrpc.transport import Connector, Protection
from signetrpc.transport._loops import Loop

from ._assembly import check_size
from ._call_info import CallInfo
from ._chain import chained
from ._channel import Channel
from ._client_call import ClientCall
from ._handover import Sent
from ._intercepted_streams import (
    InterceptedBidirectionalStream,
    InterceptedServerStream,
    StreamRun,
)
from ._interceptors import Interceptor
from ._items import lowered
from ._metadata import MetadataInput
from ._metadata import metadata as checked
from ._methods import (
    BidirectionalMethod,
    ClientStreamMethod,
    Method,
    ServerStreamMethod,
    UnaryMethod,
)
from ._schema import CallKind
from ._streams import BidirectionalStream, ItemSource, ServerStream

__all__ = ["InterceptedChannel", "make_channel"]

A = TypeVar("A", bound=msgspec.Struct)
I = TypeVar("I")  # noqa: E741 - an item, beside arguments and results
R = TypeVar("R")


class InterceptedChannel(Channel):
    """A `Channel` whose calls go through interceptors.

    A class of its own, so that calls without any do not even ask whether there are.
    """

    def __init__(
        self,
        connector: Connector,
        loop: Loop,
        interceptors: Sequence[Interceptor],
        **options: Any,
    ) -> None:
        """Make a channel.

        Args:
            connector: As for `Channel`.
            loop: As for `Channel`.
            interceptors: The outermost first.
            options: As for `Channel`.

        Raises:
            TypeError: One of them intercepts nothing.
        """
        super().__init__(connector, loop, **options)
        self._chains: Final = {kind: chained(interceptors, kind) for kind in CallKind}

    def _call_of(
        self,
        method: Method[Any, Any],
        timeout: float | None,
        metadata: MetadataInput | None,
        protection: Protection | None,
        wait_for_ready: bool | None,
    ) -> ClientCall:
        return ClientCall(
            method=method.full_name,
            protection=max(method.protection, protection or method.protection),
            timeout=timeout,
            metadata=checked(metadata, None),  # as much as the call can have
            wait_for_ready=wait_for_ready,
            time=self._loop.time,
            peer=lambda: self.peer,
        )

    async def unary(
        self,
        method: UnaryMethod[A, R],
        arguments: A,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
        call_info: CallInfo | None = None,
    ) -> R:
        """Call a method; see `Channel.unary`."""
        chain, make = self._chains[CallKind.UNARY], super().unary
        if chain is None:
            return await make(
                method,
                arguments,
                timeout=timeout,
                metadata=metadata,
                protection=protection,
                wait_for_ready=wait_for_ready,
                call_info=call_info,
            )
        seconds = self._default_timeout if timeout is None else timeout
        call = self._call_of(method, seconds, metadata, protection, wait_for_ready)

        async def attempt(request: A) -> R:
            with call.attempt(call_info or CallInfo()) as info:
                return await make(
                    method,
                    request,
                    timeout=call.time_left(),
                    metadata=call.metadata,
                    protection=call.protection,
                    wait_for_ready=call.wait_for_ready,
                    call_info=info,
                )

        return cast("R", await chain(attempt, call, arguments))

    async def client_stream(
        self,
        method: ClientStreamMethod[A, I, R],
        arguments: A,
        items: ItemSource[I],
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
        call_info: CallInfo | None = None,
    ) -> R:
        """Call a method; see `Channel.client_stream`."""
        chain, make = self._chains[CallKind.CLIENT_STREAM], super().client_stream
        if chain is None:
            return await make(
                method,
                arguments,
                items,
                timeout=timeout,
                metadata=metadata,
                protection=protection,
                wait_for_ready=wait_for_ready,
                call_info=call_info,
            )
        call = self._call_of(method, timeout, metadata, protection, wait_for_ready)

        async def attempt(request: A, source: AsyncIterable[I]) -> R:
            with call.attempt(call_info or CallInfo()) as info:
                return await make(
                    method,
                    request,
                    source,
                    timeout=call.time_left(),
                    metadata=call.metadata,
                    protection=call.protection,
                    wait_for_ready=call.wait_for_ready,
                    call_info=info,
                )

        return cast("R", await chain(attempt, call, arguments, _each(items)))

    def server_stream(
        self,
        method: ServerStreamMethod[A, R],
        arguments: A,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
    ) -> ServerStream[R]:
        """Call a method; see `Channel.server_stream`."""
        chain, make = self._chains[CallKind.SERVER_STREAM], super().server_stream
        if chain is None:
            return make(
                method,
                arguments,
                timeout=timeout,
                metadata=metadata,
                protection=protection,
                wait_for_ready=wait_for_ready,
            )
        call = self._call_of(method, timeout, metadata, protection, wait_for_ready)

        def start(request: A) -> ServerStream[R]:
            return make(
                method,
                request,
                timeout=call.time_left(),
                metadata=call.metadata,
                protection=call.protection,
                wait_for_ready=call.wait_for_ready,
            )

        run = StreamRun(self._loop, chain, call, start, arguments)
        return InterceptedServerStream(run)

    def bidirectional(
        self,
        method: BidirectionalMethod[A, I, R],
        arguments: A,
        items: ItemSource[I] | None = None,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
        wait_for_ready: bool | None = None,
    ) -> BidirectionalStream[I, R]:
        """Call a method; see `Channel.bidirectional`."""
        chain, make = self._chains[CallKind.BIDIRECTIONAL], super().bidirectional
        if chain is None:
            return make(
                method,
                arguments,
                items,
                timeout=timeout,
                metadata=metadata,
                protection=protection,
                wait_for_ready=wait_for_ready,
            )
        call = self._call_of(method, timeout, metadata, protection, wait_for_ready)

        def start(request: A, source: AsyncIterable[I]) -> ServerStream[R]:
            return make(
                method,
                request,
                source,
                timeout=call.time_left(),
                metadata=call.metadata,
                protection=call.protection,
                wait_for_ready=call.wait_for_ready,
            )

        def check(item: I) -> None:
            body = method.encode_item(lowered(item)[0])
            check_size(len(body), self._max_body_bytes, "item")

        sent: Sent[I] | None = Sent() if items is None else None
        given = sent if items is None else _each(items)
        run = StreamRun(self._loop, chain, call, start, arguments, given)
        return InterceptedBidirectionalStream(run, sent, check)


async def _each(source: ItemSource[I]) -> AsyncGenerator[I]:
    """Give a caller's items; close what gives them, if it is a generator."""
    if isinstance(source, AsyncIterable):
        later = aiter(source)
        try:
            async for item in later:
                yield item
        finally:
            if isinstance(later, AsyncGenerator):
                await later.aclose()
    else:
        iterator = iter(source)
        try:
            for item in iterator:
                yield item
        finally:
            if isinstance(iterator, Generator):
                iterator.close()


def make_channel(
    connector: Connector,
    loop: Loop,
    interceptors: Sequence[Interceptor],
    **options: Any,
) -> Channel:
    """Return a channel that goes through interceptors, if there are any.

    Raises:
        TypeError: One of them intercepts nothing.
    """
    if not interceptors:
        return Channel(connector, loop, **options)
    return InterceptedChannel(connector, loop, interceptors, **options)
