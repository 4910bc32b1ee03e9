"""What a server keeps of a decorated class: a handler for each method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import msgspec

from ._methods import Method
from ._schema import ServiceSchema

__all__ = ["BoundHandler", "Handler", "HandlerStyle", "ServiceDefinition"]


class BoundHandler(Protocol):
    """Calls a method of one service object."""

    def __call__(self, arguments: Any, items: Any = None, /) -> Any:
        """Return what the method returns.

        Args:
            arguments: The decoded Struct of arguments.
            items: The stream of the caller's items, if the method takes one.
        """
        ...


class HandlerStyle(Enum):
    """How a handler has to be run."""

    ASYNC = "async"
    """An `async def`: it returns an awaitable, to be awaited in a task."""
    THREAD = "thread"
    """A `def`: it may block, so it runs in a worker thread."""
    INLINE = "inline"
    """A `def` that promises not to block: it runs where the call arrives."""
    ASYNC_ITEMS = "async items"
    """Gives an asynchronous iterator: one task awaits it item by item."""
    THREAD_ITEMS = "thread items"
    """Gives an iterator: a worker thread iterates."""

    @property
    def in_thread(self) -> bool:
        """True if it runs in a worker thread."""
        return self in (HandlerStyle.THREAD, HandlerStyle.THREAD_ITEMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One method of a service class.

    Attributes:
        method: Names, protection, impersonation and codecs.
        style: How to run it.
        keyword_only: The parameters that have to be passed by name. They are the last.
        stream: The parameter that takes the caller's stream, if there is one.
        stream_index: Its place among those passed by position; None for by name.
    """

    method: Method[Any, Any]
    style: HandlerStyle
    keyword_only: tuple[str, ...] = ()
    stream: str | None = None
    stream_index: int | None = None

    def bind(self, instance: object) -> BoundHandler:
        """Return a function that calls the method on a service object.

        Args:
            instance: An object of the service class.

        Returns:
            A function of the decoded arguments and the caller's items. It returns what
            the method returns: the result, for ASYNC an awaitable of it, for the
            styles with items an iterator.
        """
        call: Callable[..., Any] = getattr(instance, self.method.name)
        count = len(self.method.arguments.__struct_fields__)
        values = msgspec.structs.astuple
        if self.stream is None and not self.keyword_only:
            if not count:
                return lambda _arguments, _items=None: call()
            return lambda arguments, _items=None: call(*values(arguments))
        names = self.keyword_only
        positional = count - len(names)
        stream, index = self.stream, self.stream_index

        def call_with_names(arguments: msgspec.Struct, items: Any = None, /) -> Any:
            given = values(arguments)
            named = dict(zip(names, given[positional:], strict=True))
            placed = list(given[:positional])
            if index is not None:
                placed.insert(index, items)
            elif stream is not None:
                named[stream] = items
            return call(*placed, **named)

        return call_with_names


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    """A service class, ready to be served.

    Attributes:
        schema: The interface.
        handlers: By the method's full name, `bank.Accounts/balance`.
    """

    schema: ServiceSchema
    handlers: Mapping[str, Handler]

    @property
    def name(self) -> str:
        """The service's full name, `bank.Accounts`."""
        return self.schema.name
