"""Calls by a method's name, as a generated stub would make them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import anyio

from signetrpc.rpc import (
    Channel,
    ImpersonationLevel,
    MetadataInput,
    UnaryMethod,
    connect,
)
from signetrpc.rpc._decorators import service_definition
from tests.e2e.processes import PATIENCE
from tests.support.people import Person

__all__ = ["call", "calling_as"]


@cache
def _methods(service: type) -> Mapping[str, UnaryMethod[Any, Any]]:
    handlers = service_definition(service).handlers.values()
    methods = [handler.method for handler in handlers]
    return {each.name: each for each in methods if isinstance(each, UnaryMethod)}


async def call(
    channel: Channel,
    service: type,
    name: str,
    /,
    *,
    timeout: float | None = None,
    metadata: MetadataInput | None = None,
    **arguments: object,
) -> Any:
    """Call a unary method of a service.

    Args:
        channel: The way to the server.
        service: The decorated class.
        name: The method's.
        timeout: As for `Channel.unary`.
        metadata: As for `Channel.unary`.
        arguments: The method's own.
    """
    method = _methods(service)[name]
    given = method.arguments(**arguments)
    return await channel.unary(method, given, timeout=timeout, metadata=metadata)


@asynccontextmanager
async def calling_as(
    person: Person,
    address: str,
    *,
    level: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
) -> AsyncGenerator[Channel]:
    """Connect to a server as a person; fail the test if it takes for ever."""
    with anyio.fail_after(PATIENCE):
        async with connect(
            address, credentials=person.credentials, impersonation=level
        ) as channel:
            yield channel
