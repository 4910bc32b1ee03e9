"""A client and a server in memory, for tests of services (public).

    async with channel_for(Accounts()) as channel:
        assert await AccountsClient(channel).balance("42") == 7

Calls go all the way: they are encoded and decoded, levels, authorisation, deadlines and
streams are the real ones.  Nothing is encrypted and nobody authenticated: the test says
who calls.  Works on asyncio and trio, and needs no test framework.
"""

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio

from signetrpc.transport import (
    Address,
    ConnectFailed,
    Connector,
    Identity,
    ImpersonationLevel,
    Link,
    Mechanism,
    Pipe,
    Protection,
    SecurityPolicy,
    TransportError,
    UnixAddress,
    open_channel,
)
from signetrpc.transport import Channel as Carrier
from signetrpc.transport._loops import Loop, open_loop
from signetrpc.transport.testing import memory_pipes

from ._assembly import DEFAULT_MAX_BODY_BYTES
from ._authorization import Authorizer
from ._blocking import BlockingChannel
from ._blocking_loop import LoopThread
from ._channel import DEFAULT_TIMEOUT, Channel
from ._client import connect_with
from ._error_registry import ErrorMapping
from ._handlers import Handler
from ._impersonation import Impersonation
from ._interceptors import Interceptor
from ._local_users import LocalUsers
from ._metadata import DEFAULT_MAX_METADATA_BYTES
from ._server import Server

__all__ = ["CALLER", "SERVER", "blocking_channel_for", "channel_for"]

CALLER: Final = Identity(
    mechanism=Mechanism.KERBEROS,
    name="caller",
    realm="TEST",
    mutual=True,
    impersonation=ImpersonationLevel.IMPERSONATE,
)
"""Who calls, if the test does not say."""

SERVER: Final = Identity(
    mechanism=Mechanism.KERBEROS, name="host/memory", realm="TEST", mutual=True
)
"""Whom the client finds at the other end."""

_NOWHERE: Final = UnixAddress("memory")


class _MemoryServer(Server):
    """Serves in the test's own process whatever a method wants."""

    def _runs_as_caller(self, handler: Handler) -> bool:
        if handler.method.impersonate is Impersonation.REQUIRED:
            return False  # as whom it counts is in the caller's identity
        return super()._runs_as_caller(handler)


class _Doorway:
    """Where a server in memory has its connections from."""

    def __init__(self, caller: Identity, provides: Protection) -> None:
        self._carrier = Carrier(provides=provides, peer=caller, keeps_levels=True)
        self._policy = _policy(provides)
        self.ready = anyio.Event()
        self._closed = anyio.Event()
        self._handle: Callable[[Pipe], Coroutine[Any, Any, None]] | None = None
        self._loop: Loop | None = None
        self._tasks = 0
        self._idle = anyio.Event()

    @property
    def address(self) -> Address:
        """An address that is none."""
        return _NOWHERE

    async def serve_links(
        self, loop: Loop, handler: Callable[[Link], Awaitable[None]]
    ) -> None:
        """Serve what comes until closed, and until that has ended."""

        async def handle(pipe: Pipe) -> None:
            try:
                link = await open_channel(
                    pipe,
                    self._carrier,
                    initiator=False,
                    policy=self._policy,
                    start=anyio.current_time(),
                )
                await handler(link)
            except TransportError:
                pass  # the client went away
            finally:
                pipe.abort()
                self._tasks -= 1
                self._idle.set()

        self._loop, self._handle = loop, handle
        self.ready.set()
        await self._closed.wait()
        while self._tasks:
            self._idle = anyio.Event()
            await self._idle.wait()

    def close(self) -> None:
        """Take no more connections."""
        self._closed.set()

    def enter(self) -> Pipe:
        """Return the client's end of a new connection.

        Raises:
            ConnectFailed: Nobody serves any more.
        """
        if self._closed.is_set() or self._loop is None or self._handle is None:
            raise ConnectFailed("nobody serves in memory any more")
        near, far = memory_pipes()
        self._tasks += 1
        self._loop.spawn(self._handle(far))
        return near


class _MemoryConnector(Connector):
    """Connects to a doorway."""

    def __init__(self, doorway: _Doorway, provides: Protection) -> None:
        super().__init__(_NOWHERE, _policy(provides), None)
        self._doorway = doorway
        self._carrier = Carrier(provides=provides, peer=SERVER, keeps_levels=True)

    async def connect(self) -> Link:
        """Come in by the doorway."""
        return await self.secure(self._doorway.enter(), start=anyio.current_time())

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Exchange HELLOs."""
        return await open_channel(
            pipe, self._carrier, initiator=True, policy=self._policy, start=start
        )


def _policy(provides: Protection) -> SecurityPolicy:
    return SecurityPolicy(minimum_protection=min(provides, Protection.SIGN))


@asynccontextmanager
async def channel_for(
    *services: object,
    caller: Identity = CALLER,
    protection: Protection = Protection.SEAL,
    authorize: Authorizer | None = None,
    local_users: LocalUsers | None = None,
    interceptors: Sequence[Interceptor] = (),
    client_interceptors: Sequence[Interceptor] = (),
    errors: ErrorMapping | None = None,
    default_timeout: float = DEFAULT_TIMEOUT,
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
    max_calls: int = 1024,
) -> AsyncGenerator[Channel]:
    """Serve services in memory and give a channel to them.

    At the end calls under way are cancelled and their handlers waited for. One
    in a thread cannot be cancelled: nothing but the handler bounds the wait for it.

    Args:
        services: As `Server` takes them: objects, classes, or functions that make one.
        caller: Who calls.  Methods with `impersonate=REQUIRED` run in this process;
            whom they find in `current_caller().impersonated_as` is what is given here.
        protection: The highest level there is.  Calls to methods that demand more end
            with FAILED_PRECONDITION, as on a connection that cannot give it.
        authorize: Who may call what; see `Server`.
        local_users: See `Server`.
        interceptors: Code around each call at the server; see `Server`.
        client_interceptors: Code around each call at the client; see `connect`.
        errors: What exceptions of handlers become; see `Server`.
        default_timeout: Seconds for calls that name no timeout.
        max_body_bytes: The longest body, both ways.
        max_metadata_bytes: The most metadata, both ways.
        max_calls: Calls under way at once.

    Raises:
        SchemaError: Something is no service, or two have one name.
        TypeError: The caller is no `Identity`.
        ValueError: A number is out of range.
    """
    if not isinstance(caller, Identity):  # pyright: ignore
        kind = type(caller).__name__
        raise TypeError(f"a caller of type {kind}; like replace(CALLER, name='alice')")
    server = _MemoryServer(
        services,
        authorize=authorize,
        local_users=local_users,
        interceptors=interceptors,
        errors=errors,
        max_body_bytes=max_body_bytes,
        max_metadata_bytes=max_metadata_bytes,
        max_calls=max_calls,
    )
    doorway = _Doorway(caller, protection)
    async with open_loop() as loop:
        over = anyio.Event()

        async def serve() -> None:
            try:
                await server.serve_listener(doorway)
            finally:
                over.set()

        loop.spawn(serve())
        await doorway.ready.wait()
        connector = _MemoryConnector(doorway, protection)
        async with connect_with(
            connector,
            default_timeout=default_timeout,
            max_body_bytes=max_body_bytes,
            max_metadata_bytes=max_metadata_bytes,
            interceptors=client_interceptors,
        ) as channel:
            yield channel
        doorway.close()
        await over.wait()


@contextmanager
def blocking_channel_for(
    *services: object,
    caller: Identity = CALLER,
    protection: Protection = Protection.SEAL,
    authorize: Authorizer | None = None,
    local_users: LocalUsers | None = None,
    interceptors: Sequence[Interceptor] = (),
    client_interceptors: Sequence[Interceptor] = (),
    errors: ErrorMapping | None = None,
    default_timeout: float = DEFAULT_TIMEOUT,
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
    max_calls: int = 1024,
) -> Generator[BlockingChannel]:
    """Serve services in memory and give a channel that blocks; see `channel_for`.

    The server runs in a thread beside the test's, on asyncio.
    """
    options: dict[str, Any] = {
        "caller": caller,
        "protection": protection,
        "authorize": authorize,
        "local_users": local_users,
        "interceptors": interceptors,
        "client_interceptors": client_interceptors,
        "errors": errors,
        "default_timeout": default_timeout,
        "max_body_bytes": max_body_bytes,
        "max_metadata_bytes": max_metadata_bytes,
        "max_calls": max_calls,
    }
    thread = LoopThread(lambda: channel_for(*services, **options))
    channel = thread.start()
    try:
        yield BlockingChannel(channel, thread, max_body_bytes)
    finally:
        thread.close()
