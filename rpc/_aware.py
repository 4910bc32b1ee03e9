"""What a service can know of the server that serves it: for services about it."""

from typing import Protocol

from ._schema import ServiceSchema
from ._statistics import Ledger

__all__ = ["Served", "ServerAware"]


class Served(Protocol):
    """What a server shows to its own services."""

    @property
    def schemas(self) -> tuple[ServiceSchema, ...]:
        """The interfaces that it serves, in the order given."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What it counts."""
        ...


class ServerAware:
    """A base of service classes that are told of their server.

    A base and no Protocol: a service may well have a method `attach` of its own.
    """

    def attach(self, server: Served) -> None:
        """Take note of a server.  It knows all of its services by now."""

    def draining(self) -> None:
        """Take note that the server stops and waits for its calls to finish.

        A stream without an end has to end now.
        """
