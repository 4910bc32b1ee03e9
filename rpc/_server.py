"""`Server`: services, what callers are authenticated against, and where."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, cast

import anyio
from anyio.abc import TaskStatus

from signetrpc.transport import (
    DoorLimits,
    Listener,
    SecurityPolicy,
    ServerCredentials,
    ServerTls,
    listen,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import open_loop

from ._assembly import DEFAULT_MAX_BODY_BYTES, Buffers
from ._authorization import Authorizer, authenticated
from ._decorators import service_definition
from ._server_connection import ServerConnection
from ._serving import Endpoint, Serving
from .errors import SchemaError

__all__ = ["Server"]

_log: Final = logging.getLogger("signetrpc.rpc")
_DEFAULT_POLICY: Final = SecurityPolicy()


class Server:
    """Serves services to authenticated callers."""

    def __init__(
        self,
        services: Sequence[object],
        *,
        accept: Sequence[ServerCredentials] = (),
        policy: SecurityPolicy = _DEFAULT_POLICY,
        tls: ServerTls | None = None,
        door: DoorLimits | None = None,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        max_calls: int = 1024,
        max_threads: int = 40,
        authorize: Authorizer | None = None,
    ) -> None:
        """Gather what is served.

        Args:
            services: Classes decorated with `@service`, functions that make an
                object of one, or such objects.
            accept: What callers are authenticated against.
            policy: What to demand of them.
            tls: Serve over TLS, with proofs bound to it as the policy says.
            door: How many connections to let in.
            max_body_bytes: The longest arguments to take and reply to send.
            max_calls: Calls under way at once on one connection.
            max_threads: `def` handlers running at once.
            authorize: Who may call what. None: everybody who is authenticated.

        Raises:
            SchemaError: Something is no service, or two have one name.
        """
        self._endpoints: dict[str, Endpoint] = {}
        self._accept = list(accept)
        self._policy = policy
        self._tls = tls
        self._door = door
        self._max_body_bytes = max_body_bytes
        self._max_calls = max_calls
        self._max_threads = max_threads
        self._authorize = authorize
        self._names: list[str] = []
        for given in services:
            self._add(given)

    def _add(self, given: object) -> None:
        if callable(given):
            given = cast("Callable[[], object]", given)()
        instance: object = given
        definition = service_definition(type(instance))
        if definition.name in self._names:
            raise SchemaError(f"two services are named {definition.name}")
        self._names.append(definition.name)
        for name, handler in definition.handlers.items():
            self._endpoints[name] = Endpoint(handler, handler.bind(instance))

    @property
    def service_names(self) -> tuple[str, ...]:
        """The full names of the services, in the order given."""
        return tuple(self._names)

    async def serve(
        self,
        target: str,
        *,
        task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve at an address until cancelled.

        With `await group.start(server.serve, target)` the address comes back when the
        server listens, as text for `connect`.

        Args:
            target: `tcp://host:port` (port 0: any free one) or `unix:///path`.
            task_status: Given by `TaskGroup.start`.

        Raises:
            OSError: The address cannot be listened on.
            AuthenticationFailed: A keytab or account file cannot be used.
            ValueError: The target is no address.
        """
        listener = await listen(
            target,
            accept=self._accept,
            policy=self._policy,
            tls=self._tls,
            door=self._door,
        )
        async with listener:
            task_status.started(str(listener.address))
            await self.serve_listener(listener)

    async def serve_listener(self, listener: Listener) -> None:
        """Serve what a listener accepts, until cancelled."""
        serving = Serving(
            endpoints=self._endpoints,
            max_body_bytes=self._max_body_bytes,
            max_calls=self._max_calls,
            buffers=Buffers(),
            threads=anyio.CapacityLimiter(self._max_threads),
            authorize=self._authorize or authenticated,
        )
        async with open_loop() as loop:

            async def handle(link: Link) -> None:
                connection = ServerConnection(loop, link, serving)
                try:
                    connection.start()
                    reason = await connection.wait_ended()
                    _log.debug("connection of %s: %s", link.session.peer, reason)
                finally:
                    await connection.aclose()

            await listener.serve_links(loop, handle)
