"""A connector and an acceptor that meet over pipes in memory; what came of it."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from signetrpc.transport import (
    Acceptor,
    Connector,
    Identity,
    Link,
    Pipe,
    SecureStream,
    TransportError,
)
from signetrpc.transport._contract_pair import secured
from signetrpc.transport.testing import memory_pipes

__all__ = ["Outcome", "closed", "meet", "met", "short_linger"]


@pytest.fixture(autouse=True)
def short_linger() -> Iterator[None]:
    """Wait for a dead peer a moment only: there are hundreds of them.

    Holds in each module, or below each `conftest.py`, that imports it.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in ("_pipes", "_pipes_asyncio"):
            patch.setattr(f"signetrpc.transport.{module}.LINGER_SECONDS", 0.05)
        yield


@dataclass(frozen=True, slots=True)
class Outcome:
    """What each end came to.

    Attributes:
        client: Its session, or why there is none.
        server: The same.
    """

    client: Link | TransportError
    server: Link | TransportError

    @property
    def errors(self) -> tuple[TransportError, TransportError]:
        """Both errors; both ends must have failed."""
        assert isinstance(self.client, TransportError), self.client
        assert isinstance(self.server, TransportError), self.server
        return self.client, self.server

    @property
    def peers(self) -> tuple[Identity, Identity]:
        """Whom the client and the server know; both must have a session."""
        assert isinstance(self.client, Link), self.client
        assert isinstance(self.server, Link), self.server
        return self.client.session.peer, self.server.session.peer


async def meet(
    connector: Connector,
    acceptor: Acceptor,
    pipes: tuple[Pipe, Pipe] | None = None,
) -> Outcome:
    """Let both shake hands; whoever calls closes what comes of it."""
    client, server = pipes or memory_pipes()
    found: dict[str, Link | TransportError] = {}
    start = anyio.current_time()

    async def accept() -> None:
        found["server"] = await secured(lambda: acceptor.secure(server, start=start))

    async with anyio.create_task_group() as group:
        group.start_soon(accept)
        found["client"] = await secured(lambda: connector.secure(client, start=start))
    return Outcome(**found)


async def closed(outcome: Outcome) -> None:
    """Close what there is, without waiting for the other end."""
    for link in (outcome.client, outcome.server):
        if isinstance(link, Link):
            await link.pipe.aclose(linger=False)


@asynccontextmanager
async def met(
    connector: Connector, acceptor: Acceptor
) -> AsyncGenerator[tuple[SecureStream, SecureStream]]:
    """Give both ends' streams."""
    outcome = await meet(connector, acceptor)
    assert isinstance(outcome.client, Link), outcome.client
    assert isinstance(outcome.server, Link), outcome.server
    async with AsyncExitStack() as stack:
        streams: list[SecureStream] = []
        for link in (outcome.client, outcome.server):
            level = link.session.established.minimum
            stream = SecureStream(link.pipe, link.session, level)
            streams.append(await stack.enter_async_context(stream))
        yield streams[0], streams[1]
