"""How the cases call the service: by the methods of its class, typed by hand."""

from typing import Any, cast

from signetrpc.rpc import (
    BidirectionalMethod,
    ClientStreamMethod,
    ServerStreamMethod,
    UnaryMethod,
)
from signetrpc.rpc._decorators import service_definition
from tests.conformance.interop.service import TestService

__all__ = ["EMPTY", "FULL_DUPLEX", "INPUT", "OUTPUT", "UNARY", "elsewhere"]

_METHODS = {
    name.rpartition("/")[2]: handler.method
    for name, handler in service_definition(TestService).handlers.items()
}

EMPTY = cast("UnaryMethod[Any, object]", _METHODS["empty_call"])
UNARY = cast("UnaryMethod[Any, bytes]", _METHODS["unary_call"])
OUTPUT = cast("ServerStreamMethod[Any, bytes]", _METHODS["streaming_output_call"])
INPUT = cast("ClientStreamMethod[Any, bytes, int]", _METHODS["streaming_input_call"])
FULL_DUPLEX = cast("BidirectionalMethod[Any, Any, bytes]", _METHODS["full_duplex_call"])


def elsewhere(service: str, name: str) -> UnaryMethod[Any, object]:
    """Return a method that no server has."""
    return UnaryMethod(
        service=service,
        name=name,
        protection=EMPTY.protection,
        arguments=EMPTY.arguments,
        result=None,
    )
