"""A service that calls onward as its caller, and how tests call it."""

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from signetrpc.rpc import (
    Channel,
    ClientCredentials,
    ImpersonationLevel,
    Protection,
    RpcError,
    SecurityPolicy,
    StatusCode,
    UnaryMethod,
    connect,
    current_caller,
    delegated_credential,
    method,
    service,
)
from signetrpc.rpc._decorators import service_definition
from signetrpc.transport import HandshakeError

_PATIENCE = 60.0

__all__ = ["Hop", "Seen", "Stop", "hopping", "onward"]


@dataclass(frozen=True, slots=True)
class Stop:
    """A server to call on the way.

    Attributes:
        address: Where it listens.
        service_principal: What it serves under.
        level: What it may do with the caller's identity.
    """

    address: str
    service_principal: str
    level: str = ImpersonationLevel.DELEGATE.name


@dataclass(frozen=True, slots=True)
class Seen:
    """Whom a server saw, and what it got.

    Attributes:
        principal: Who called it.
        kind: How it came to the caller's credential; empty if it has none.
    """

    principal: str
    kind: str


@asynccontextmanager
async def hopping(
    stop: Stop, credentials: ClientCredentials
) -> AsyncGenerator[Channel]:
    """Connect to a stop."""
    with anyio.fail_after(_PATIENCE):
        async with connect(
            stop.address,
            credentials=credentials,
            policy=SecurityPolicy.kerberos_only(),
            service_principal=stop.service_principal,
            impersonation=ImpersonationLevel[stop.level],
        ) as channel:
            yield channel


@service("e2e.Hop", protection=Protection.SEAL)
class Hop:
    """One stop of a journey."""

    def __init__(self) -> None:
        self._arrived: Counter[str] = Counter()
        self._complete: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)

    @method
    async def onward(self, stops: list[Stop]) -> list[Seen]:
        """Return whom this server sees, and whom all those further on do."""
        caller = current_caller()
        held = caller.delegated
        seen = Seen(caller.principal, "" if held is None else held.kind.value)
        if not stops:
            return [seen]
        try:
            async with hopping(stops[0], delegated_credential()) as channel:
                return [seen, *await onward(channel, stops[1:])]
        except HandshakeError as error:
            raise RpcError(StatusCode.PERMISSION_DENIED, str(error)) from error

    @method
    async def onward_together(
        self, stops: list[Stop], meeting: str, callers: int
    ) -> list[Seen]:
        """Do the same once so many calls for one meeting are under way here."""
        self._arrived[meeting] += 1
        if self._arrived[meeting] == callers:
            self._complete[meeting].set()
        await self._complete[meeting].wait()
        return await self.onward(stops)


_METHODS: Mapping[str, UnaryMethod[Any, Any]] = {
    handler.method.name: handler.method
    for handler in service_definition(Hop).handlers.values()
    if isinstance(handler.method, UnaryMethod)
}


async def onward(
    channel: Channel,
    stops: Sequence[Stop],
    *,
    meeting: str | None = None,
    callers: int = 1,
) -> list[Seen]:
    """Call a server and have it call on to the stops, one after the other.

    Args:
        channel: To the first server.
        stops: Those after it.
        meeting: Go on only when so many `callers` are there for the same meeting.
        callers: How many.
    """
    given: dict[str, Any] = {"stops": list(stops)}
    name = "onward"
    if meeting is not None:
        name = "onward_together"
        given |= {"meeting": meeting, "callers": callers}
    wanted = _METHODS[name]
    found: list[Seen] = await channel.unary(wanted, wanted.arguments(**given))
    return found
