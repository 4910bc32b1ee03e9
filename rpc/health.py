"""The service `signet.Health`: whether a server's services can be called.

    health = Health()
    server = Server([Accounts, health], ...)
    health.set("bank.Accounts", ServingStatus.NOT_SERVING)

Its client is `signetrpc.rpc.health_client.HealthClient`.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md.
"""

from collections.abc import AsyncIterator
from enum import StrEnum

import anyio
import anyio.from_thread

from signetrpc.transport import Protection
from signetrpc.transport._loops import thread_id

from ._aware import Served, ServerAware
from ._decorators import method, service
from ._impersonation import Impersonation
from ._status import StatusCode
from .errors import RpcError

__all__ = ["Health", "ServingStatus"]


class ServingStatus(StrEnum):
    """Whether a service can be called, in gRPC's words."""

    UNKNOWN = "UNKNOWN"
    """Nobody has said."""
    SERVING = "SERVING"
    """It can."""
    NOT_SERVING = "NOT_SERVING"
    """It cannot at the moment."""
    SERVICE_UNKNOWN = "SERVICE_UNKNOWN"
    """The server has no such service, or not yet.  `watch` alone says it."""


class _Watch:
    """One `watch` under way."""

    __slots__ = ("_changed", "_thread")

    def __init__(self) -> None:
        self._changed = anyio.Event()
        self._thread = thread_id()

    async def wait(self) -> None:
        await self._changed.wait()
        self._changed = anyio.Event()

    def wake(self) -> None:
        if thread_id() == self._thread:
            self._changed.set()
        else:
            anyio.from_thread.run_sync(self.wake)


@service(
    "signet.Health", protection=Protection.SIGN, impersonate=Impersonation.NOT_ALLOWED
)
class Health(ServerAware):
    """Tells whether services can be called.

    The empty name stands for the server as a whole.
    """

    def __init__(self) -> None:
        self._statuses: dict[str, ServingStatus] = {}
        self._watches: set[_Watch] = set()
        self._over = False

    # What callers call.

    @method(inline=True)
    def check(self, service: str = "") -> ServingStatus:
        """Return the status of a service, by its full name.

        Ends with NOT_FOUND if the server has no such service.
        """
        status = self._statuses.get(service)
        if status is None:
            raise RpcError(StatusCode.NOT_FOUND, f"no service {service!r} here")
        return status

    @method
    async def watch(self, service: str = "") -> AsyncIterator[ServingStatus]:
        """Give the status of a service now and at each change.

        A change that another has overtaken may be left out.  The stream ends when the
        server does.
        """
        watch = _Watch()
        self._watches.add(watch)
        try:
            told: ServingStatus | None = None
            while True:
                over = self._over
                status = self._statuses.get(service, ServingStatus.SERVICE_UNKNOWN)
                if status is not told:
                    told = status
                    yield status
                elif over:
                    return
                else:
                    await watch.wait()
        finally:
            self._watches.discard(watch)

    # What the server's owner calls.

    def set(self, service: str, status: ServingStatus) -> None:
        """Say how a service does; of no effect after `shutdown`.

        A service that nobody says anything of is SERVING from the beginning.  Call it
        in the event loop that serves, in a `def` handler, or before anything serves.

        Args:
            service: Its full name; empty for the server as a whole.  It need not be
                one of the server's.
            status: SERVING, NOT_SERVING or UNKNOWN.

        Raises:
            ValueError: The status is SERVICE_UNKNOWN, which is no status of a service.
        """
        if status is ServingStatus.SERVICE_UNKNOWN:
            raise ValueError("SERVICE_UNKNOWN says that there is no such service")
        if not self._over:
            self._statuses[service] = status
            self._wake()

    def shutdown(self) -> None:
        """Say for good that no service can be called, and end what watches.

        `Server.drain` does it.
        """
        self._over = True
        for name in self._statuses:
            self._statuses[name] = ServingStatus.NOT_SERVING
        self._wake()

    def _wake(self) -> None:
        for watch in list(self._watches):
            watch.wake()

    def attach(self, server: Served) -> None:
        """Let the server's services be SERVING, unless something else is said."""
        for name in ("", *(schema.name for schema in server.schemas)):
            self._statuses.setdefault(name, ServingStatus.SERVING)

    def draining(self) -> None:
        """Let clients go elsewhere; see `shutdown`."""
        self.shutdown()
