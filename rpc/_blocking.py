"""The blocking client: the same channel on an event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec
from anyio.from_thread import start_blocking_portal

from signetrpc.transport import (
    ClientCredentials,
    ClientTls,
    Identity,
    ImpersonationLevel,
    Protection,
    SecurityPolicy,
)

from ._assembly import DEFAULT_MAX_BODY_BYTES
from ._channel import DEFAULT_TIMEOUT, Channel
from ._client import connect
from ._delegated import default_credentials
from ._metadata import MetadataInput
from ._methods import UnaryMethod
from ._status import StatusCode
from .errors import RpcError

__all__ = ["BlockingChannel", "connect_blocking"]

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R")

_DEFAULT_POLICY: Final = SecurityPolicy()


class _Gate:
    """Lets calls in, until the loop that would run them is about to end."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.shut = False


class BlockingChannel:
    """`Channel` for code without an event loop.  Several threads may use one."""

    def __init__(
        self, channel: Channel, loop: asyncio.AbstractEventLoop, gate: _Gate
    ) -> None:
        self._channel = channel
        self._loop = loop
        self._gate = gate

    @property
    def peer(self) -> Identity:
        """Who the server is, as the last connection proved it."""
        return self._channel.peer

    @property
    def minimum_protection(self) -> Protection:
        """The lowest level of anything on the last connection."""
        return self._channel.minimum_protection

    def unary(
        self,
        method: UnaryMethod[A, R],
        arguments: A,
        *,
        timeout: float | None = None,
        metadata: MetadataInput | None = None,
        protection: Protection | None = None,
    ) -> R:
        """Call a method and wait for the result; see `Channel.unary`.

        An interrupt (KeyboardInterrupt) cancels the call.
        """
        with self._gate.lock:
            if self._gate.shut:
                raise _closed()
            future = asyncio.run_coroutine_threadsafe(
                self._channel.unary(
                    method,
                    arguments,
                    timeout=timeout,
                    metadata=metadata,
                    protection=protection,
                ),
                self._loop,
            )
        try:
            return future.result()
        except CancelledError as error:  # with the loop: nobody else cancels it
            raise _closed() from error
        finally:
            future.cancel()  # does nothing to a call that has ended


def _closed() -> RpcError:
    return RpcError(StatusCode.CANCELLED, "the channel is closed")


@contextmanager
def connect_blocking(
    target: str,
    *,
    credentials: ClientCredentials | None = None,
    policy: SecurityPolicy = _DEFAULT_POLICY,
    service_principal: str | None = None,
    impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
    tls: ClientTls | None = None,
    default_timeout: float = DEFAULT_TIMEOUT,
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
) -> Generator[BlockingChannel]:
    """Connect to a server and give a channel that blocks; see `connect`."""
    options: dict[str, Any] = {
        # Here, where the call is known that this may be part of.
        "credentials": default_credentials() if credentials is None else credentials,
        "policy": policy,
        "service_principal": service_principal,
        "impersonation": impersonation,
        "tls": tls,
        "default_timeout": default_timeout,
        "max_body_bytes": max_body_bytes,
    }
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(connect(target, **options)) as channel,
    ):
        gate = _Gate()
        try:
            yield BlockingChannel(channel, portal.call(_running_loop), gate)
        finally:
            with gate.lock:
                gate.shut = True


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
