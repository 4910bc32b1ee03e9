"""`Server`: services, what callers are authenticated against, and where."""

import logging
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from signal import Signals
from typing import Final, cast

import anyio
from anyio.abc import TaskStatus

from signetrpc.transport import (
    DoorLimits,
    Identity,
    LocalUser,
    SecurityPolicy,
    ServerCredentials,
    ServerTls,
    listen,
)
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import Loop, open_loop
from signetrpc.transport._steps import StepThreads

from ._assembly import DEFAULT_MAX_BODY_BYTES, Buffers
from ._audit import Audit, AuditRecord
from ._authorization import Authorizer, anyone, authenticated
from ._aware import ServerAware
from ._chain import chained
from ._decorators import service_definition
from ._error_registry import ErrorMapping, ErrorRegistry
from ._handlers import Handler
from ._impersonation import runs_as_caller
from ._interceptors import Interceptor
from ._keepalive import SERVER_KEEPALIVE, KeepalivePolicy
from ._linux_impersonation import LinuxImpersonation
from ._local_users import LocalUsers, NotImpersonated
from ._metadata import DEFAULT_MAX_METADATA_BYTES
from ._metadata_limit import checked_limit
from ._offer import Offer
from ._rules import Rules
from ._run import LinkSource, Run
from ._schema import ServiceSchema
from ._server_connection import DRAIN_SECONDS, ServerConnection
from ._serving import Endpoint, Serving
from ._settings import checked_positive
from ._signals import DrainSignals
from ._statistics import Ledger
from ._template import check_platform, make_setup
from ._workers import Workers
from .errors import SchemaError

__all__ = ["Server"]

_log: Final = logging.getLogger("signetrpc.rpc")
_DEFAULT_POLICY: Final = SecurityPolicy()
_LOOKUPS: Final = 16
_LOOKUP_SECONDS: Final = 10.0


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
        max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
        max_calls: int = 1024,
        max_threads: int = 40,
        keepalive: KeepalivePolicy = SERVER_KEEPALIVE,
        interceptors: Sequence[Interceptor] = (),
        errors: ErrorMapping | None = None,
        impersonate: LinuxImpersonation | None = None,
        authorize: Authorizer | None = None,
        local_users: LocalUsers | None = None,
        audit: Callable[[AuditRecord], None] | None = None,
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
            max_metadata_bytes: The most metadata to take with a call, and to send ahead
                of an answer or with its status, in bytes of keys and values; 49,152
                at most.
            max_calls: Calls under way at once on one connection.
            max_threads: `def` handlers running at once; half as many where a stream
                travels, for as long as their callers like.
            keepalive: When to ask whether a client is still there.
            interceptors: Code around each call, the outermost first. They run where
                the handler runs, in a caller's own process too.
            errors: What callers learn of exceptions that are no `RpcError`: a status,
                or a function that returns an `RpcError`. The most specific class
                decides. All others are INTERNAL, without a word of their text.
            impersonate: Run handlers as their callers, in processes of these. None:
                handlers run as the server itself.
            authorize: Who may call what; see `Rules`. None: everybody who is
                authenticated.
            local_users: Which users of this machine callers are, for an `authorize`
                that asks for their groups. None: as `impersonate` has it.
            audit: Gets a record of each call that has ended, in a thread of its own.
                The logger `signetrpc.audit` gets them too.

        Raises:
            TypeError: `services` is no list, or `errors` maps what is no class of
                exceptions.
            SchemaError: Something is no service, two have one name, or a method's
                protection or `impersonate` does not go with this server.
            ImpersonationError: Handlers cannot run as their callers here.
            RulesError: A rule names a method that is not served.
            ValueError: `authorize` asks for groups that nobody can look up, or
                a number is out of range.
        """
        if isinstance(services, type):
            name = services.__name__
            raise TypeError(f"the services are a list: write Server([{name}], ...)")
        checked_positive(
            max_body_bytes=max_body_bytes, max_calls=max_calls, max_threads=max_threads
        )
        self._endpoints: dict[str, Endpoint] = {}
        self._accept = list(accept)
        self._policy = policy
        self._tls = tls
        self._door = door
        self._max_body_bytes = max_body_bytes
        self._max_metadata_bytes = checked_limit(max_metadata_bytes)
        self._max_calls = max_calls
        self._max_threads = max_threads
        self._keepalive = keepalive
        self._interceptors = list(interceptors)
        self._errors = ErrorRegistry(errors or {})
        self._impersonate = impersonate
        self._authorize = authorize
        self._on_audit = audit
        self._runs: set[Run] = set()
        self._schemas: list[ServiceSchema] = []
        self._aware: list[ServerAware] = []
        self.ledger = Ledger()
        self._impersonated: list[object] = []
        if impersonate is not None:
            check_platform()
            local_users = local_users or LocalUsers(
                impersonate.mapping,
                lowest_uid=impersonate.lowest_uid,
                lowest_gid=impersonate.lowest_gid,
            )
        self._local_users = local_users
        self._asks_groups = bool(getattr(authorize, "uses_groups", False))
        if self._asks_groups and local_users is None:
            raise ValueError("the rules name groups: give local_users=LocalUsers(...)")
        for given in services:
            self._add(given)
        offer = Offer(
            services=self._impersonated,
            interceptors=self._interceptors,
            errors=dict(self._errors.mapping),
        )
        self._packed = b"" if impersonate is None else offer.packed()
        if isinstance(authorize, Rules):
            authorize.check(self._endpoints)
        for each in self._aware:
            each.attach(self)

    def _add(self, given: object) -> None:
        instance: object = given
        if callable(given):
            instance = cast("Callable[[], object]", given)()
        definition = service_definition(type(instance))
        if definition.name in self.service_names:
            raise SchemaError(f"two services are named {definition.name}")
        self._schemas.append(definition.schema)
        if isinstance(instance, ServerAware):
            self._aware.append(instance)
        for name, handler in definition.handlers.items():
            relayed = self._runs_as_caller(handler)
            chain = chained(self._interceptors, handler.method.kind)
            self._endpoints[name] = Endpoint(
                handler, handler.bind(instance), relayed, chain
            )
            if relayed and given not in self._impersonated:
                self._impersonated.append(given)

    def _runs_as_caller(self, handler: Handler) -> bool:
        return runs_as_caller(
            handler.method,
            impersonates=self._impersonate is not None,
            asks=self._authorize not in (None, anyone, authenticated),
        )

    @property
    def service_names(self) -> tuple[str, ...]:
        """The full names of the services, in the order given."""
        return tuple(schema.name for schema in self._schemas)

    @property
    def schemas(self) -> tuple[ServiceSchema, ...]:
        """The interfaces of the services, in the order given."""
        return tuple(self._schemas)

    async def serve(
        self,
        target: str,
        *,
        drain_on: Collection[Signals] = (),
        grace: float = DRAIN_SECONDS,
        task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve at an address until cancelled.

        With `await group.start(server.serve, target)` the address comes back when the
        server listens, as text for `connect`.

        Args:
            target: `tcp://host:port` (port 0: any free one) or `unix:///path`.
            drain_on: Signals that drain the server, at all its addresses; after the
                first, another ends the process as it would by itself. On Windows only
                trio has them.
            grace: Seconds for calls under way then, as for `drain`.
            task_status: Given by `TaskGroup.start`.

        Raises:
            OSError: The address cannot be listened on.
            AuthenticationFailed: A keytab or account file cannot be used.
            ValueError: The target is no address, or the grace is below 0. With
                `drain_on`, this is not the main thread, or a signal cannot be had.
        """
        with DrainSignals(drain_on, grace) as signals:
            listener = await listen(
                target,
                accept=self._accept,
                policy=self._policy,
                tls=self._tls,
                door=self._door,
            )
            async with listener:
                await self._serve_listener(listener, signals, task_status)

    async def serve_listener(
        self,
        listener: LinkSource,
        *,
        drain_on: Collection[Signals] = (),
        grace: float = DRAIN_SECONDS,
        task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve what a listener accepts, until cancelled.

        The arguments are those of `serve`.

        Raises:
            ImpersonationError: Handlers cannot run as their callers here.
            ValueError: As for `serve`.
        """
        with DrainSignals(drain_on, grace) as signals:
            await self._serve_listener(listener, signals, task_status)

    async def _serve_listener(
        self,
        listener: LinkSource,
        signals: DrainSignals,
        task_status: TaskStatus[str],
    ) -> None:
        run = Run(listener)
        async with (
            self._audit() as audit,  # which the last of the calls still need
            open_loop() as loop,
            self._workers(loop) as workers,
        ):
            serving = Serving(
                endpoints=self._endpoints,
                max_body_bytes=self._max_body_bytes,
                max_metadata_bytes=self._max_metadata_bytes,
                max_calls=self._max_calls,
                buffers=Buffers(),
                threads=anyio.CapacityLimiter(self._max_threads),
                authorize=self._authorize or authenticated,
                audit=audit,
                workers=workers,
                keepalive=self._keepalive,
                errors=self._errors,
            )
            lookups = StepThreads(_LOOKUPS)

            async def handle(link: Link) -> None:
                user = await self._local_user(link.session.peer, lookups)
                connection = ServerConnection(loop, link, serving, user)
                number = self.ledger.enter(connection, datetime.now(UTC))
                try:
                    connection.start()
                    run.enter(connection)
                    reason = await connection.wait_ended()
                    _log.debug("connection of %s: %s", link.session.peer, reason)
                finally:
                    run.connections.discard(connection)
                    await connection.aclose()
                    self.ledger.leave(number)

            self.ledger.started = self.ledger.started or datetime.now(UTC)
            self._runs.add(run)
            try:
                signals.arm(loop, self.drain)
                task_status.started(str(listener.address))
                await listener.serve_links(loop, handle)
            finally:
                run.stop()  # so that handlers learn why they are cancelled
                self._runs.discard(run)
                run.over.set()

    @property
    def busy(self) -> bool:
        """True while calls are under way."""
        return any(
            connection.busy for run in self._runs for connection in run.connections
        )

    async def drain(self, grace: float = DRAIN_SECONDS) -> None:
        """Stop: take no new connection, tell clients to go, let their calls finish.

        `serve` returns when all are over.  Cancelling this changes nothing of that.

        Args:
            grace: Seconds after which calls that are not over are cut off, with status
                UNAVAILABLE.

        Raises:
            ValueError: The grace is below 0.
        """
        if not grace >= 0:
            raise ValueError(f"a grace of {grace} seconds is below 0")
        for each in self._aware:
            each.draining()
        runs = list(self._runs)
        for run in runs:
            run.drain(grace)
        for run in runs:
            await run.over.wait()

    async def aclose(self) -> None:
        """Stop as `drain` does, with the usual grace of 30 seconds."""
        await self.drain()

    @asynccontextmanager
    async def _audit(self) -> AsyncGenerator[Audit]:
        audit = Audit(self._on_audit)
        try:
            yield audit
        finally:
            await audit.aclose()

    @asynccontextmanager
    async def _workers(self, loop: Loop) -> AsyncGenerator[Workers | None]:
        config = self._impersonate
        if config is None:
            _log.info("handlers run as this process; no caller is impersonated")
            yield None
            return
        assert self._local_users is not None
        setup = make_setup(
            self._packed,
            max_body_bytes=self._max_body_bytes,
            max_metadata_bytes=self._max_metadata_bytes,
            max_calls=config.max_calls,
            max_threads=self._max_threads,
            max_memory_bytes=config.max_memory_bytes,
        )
        workers = Workers(loop, config, self._local_users, setup)
        try:
            await workers.start()
            self.ledger.crews.add(workers)
            yield workers
        finally:
            self.ledger.crews.discard(workers)
            await workers.aclose()

    async def _local_user(
        self, caller: Identity, lookups: StepThreads
    ) -> LocalUser | None:
        """Return whom a caller is here, where the rules ask; None if nobody."""
        if not self._asks_groups or self._local_users is None:
            return None
        try:
            with anyio.fail_after(_LOOKUP_SECONDS):
                return await lookups.run(self._local_users.find, caller)
        except NotImpersonated as error:
            _log.info("%s has no groups here: %s", caller, error)
        except TimeoutError:
            _log.error("looking %s up takes too long: no groups", caller)
        return None
