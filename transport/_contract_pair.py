"""The two sides of a connector, brought together for the contract suite."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.lowlevel

from ._acceptors import Acceptor
from ._connectors import Connector
from ._contract_pipes import TappedPipe, memory_pipes
from ._driver import Link
from ._identity import Mechanism
from ._pipes import Pipe
from ._protection import Protection
from ._stream import SecureStream
from .errors import TransportError

__all__ = ["PATIENCE", "Connected", "ConnectorPair", "connected", "secured", "settle"]

PATIENCE: Final = 30.0
"""Seconds after which a check that has not ended is taken to hang."""

_TURNS: Final = 20


async def _in_memory() -> tuple[Pipe, Pipe]:
    return memory_pipes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorPair:
    """A connector, the acceptor that answers it, and what their connections give.

    Attributes:
        connector: The client's side.
        acceptor: The server's side.
        levels: The levels that messages can have on arrival.  One that is asked for
            at a level between them arrives at the next higher; one over all of them
            is refused.
        mechanism: What the server has to know the client by.
        pipes: Gives the client's and the server's end of a new connection; called
            for each check.  By default they are joined in memory.
        exposed: False where nobody else can reach what the pipes carry, such as a
            socketpair between two processes: then nothing is changed on its way.
    """

    connector: Connector
    acceptor: Acceptor
    levels: frozenset[Protection]
    mechanism: Mechanism
    pipes: Callable[[], Awaitable[tuple[Pipe, Pipe]]] = _in_memory
    exposed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """Both ends of an open connection.

    Attributes:
        pair: What they were made by.
        client: The client's stream.
        server: The server's stream.
        client_pipe: What the client writes to, below everything.
        server_pipe: What the server writes to.
    """

    pair: ConnectorPair
    client: SecureStream
    server: SecureStream
    client_pipe: TappedPipe
    server_pipe: TappedPipe

    @property
    def directions(self) -> tuple[tuple[SecureStream, SecureStream], ...]:
        """Sender and receiver, each way."""
        return (self.client, self.server), (self.server, self.client)


async def settle() -> None:
    """Give the other tasks some turns."""
    for _ in range(_TURNS):
        await anyio.lowlevel.checkpoint()


async def secured(
    handshake: Callable[[], Awaitable[Link]],
) -> Link | TransportError:
    """Return what comes of a handshake.  Any other exception is the connector's bug."""
    try:
        return await handshake()
    except TransportError as error:
        return error


@asynccontextmanager
async def connected(pair: ConnectorPair) -> AsyncGenerator[Connected]:
    """Connect, and close both ends afterwards.

    Raises:
        AssertionError: A handshake failed.
    """
    first, second = await pair.pipes()
    client_pipe, server_pipe = TappedPipe(first), TappedPipe(second)
    links: dict[str, Link | TransportError] = {}
    start = anyio.current_time()

    async def accept() -> None:
        links["server"] = await secured(
            lambda: pair.acceptor.secure(server_pipe, start=start)
        )

    async with anyio.create_task_group() as group:
        group.start_soon(accept)
        links["client"] = await secured(
            lambda: pair.connector.secure(client_pipe, start=start)
        )
    client, server = links["client"], links["server"]
    if isinstance(client, TransportError) or isinstance(server, TransportError):
        for pipe in (client_pipe, server_pipe):
            pipe.abort()
            await pipe.aclose()
        raise AssertionError(
            f"the handshake failed: client {client!r}, server {server!r}"
        )
    highest = max(pair.levels)
    ends = Connected(
        pair=pair,
        client=SecureStream(client.pipe, client.session, highest),
        server=SecureStream(server.pipe, server.session, highest),
        client_pipe=client_pipe,
        server_pipe=server_pipe,
    )
    try:
        yield ends
    finally:
        # Not one after the other: each waits a little for the other's end.
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                group.start_soon(ends.client.aclose)
                group.start_soon(ends.server.aclose)
