"""What a server keeps of a decorated class: a handler for each method."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import msgspec

from ._methods import UnaryMethod
from ._schema import ServiceSchema

__all__ = ["BoundHandler", "Handler", "HandlerStyle", "ServiceDefinition"]

BoundHandler: TypeAlias = Callable[[Any], "Any | Awaitable[Any]"]
"""Calls a method of one service object with a decoded argument Struct."""


class HandlerStyle(Enum):
    """How a handler has to be run."""

    ASYNC = "async"
    """An `async def`: it returns an awaitable, to be awaited in a task."""
    THREAD = "thread"
    """A `def`: it may block, so it runs in a worker thread."""
    INLINE = "inline"
    """A `def` that promises not to block: it runs where the call arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One method of a service class.

    Attributes:
        method: Names, protection, impersonation and codecs.
        style: How to run it.
        keyword_only: The parameters that have to be passed by name. They are the last.
    """

    method: UnaryMethod[Any, Any]
    style: HandlerStyle
    keyword_only: tuple[str, ...] = ()

    def bind(self, instance: object) -> BoundHandler:
        """Return a function that calls the method on a service object.

        Args:
            instance: An object of the service class.

        Returns:
            A function of the decoded arguments. It returns what the method returns:
            the result, or for ASYNC an awaitable of it.
        """
        call: Callable[..., Any] = getattr(instance, self.method.name)
        count = len(self.method.arguments.__struct_fields__)
        if not count:
            return lambda _arguments: call()
        values = msgspec.structs.astuple
        if not self.keyword_only:
            return lambda arguments: call(*values(arguments))
        names = self.keyword_only
        positional = count - len(names)

        def call_with_names(arguments: msgspec.Struct) -> Any:
            given = values(arguments)
            named = dict(zip(names, given[positional:], strict=True))
            return call(*given[:positional], **named)

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
