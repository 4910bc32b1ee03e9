"""`connect`: the client's way in."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from signetrpc.transport import (
    ClientCredentials,
    ClientTls,
    Connector,
    ImpersonationLevel,
    NegotiateConnector,
    SecurityPolicy,
)
from signetrpc.transport._addresses import parse_address
from signetrpc.transport._loops import open_loop

from ._assembly import DEFAULT_MAX_BODY_BYTES
from ._channel import DEFAULT_TIMEOUT, Channel
from ._client_interceptors import make_channel
from ._delegated import default_credentials
from ._interceptors import Interceptor
from ._keepalive import DEFAULT_KEEPALIVE, KeepalivePolicy
from ._metadata import DEFAULT_MAX_METADATA_BYTES

__all__ = ["connect", "connect_with"]

_DEFAULT_POLICY: Final = SecurityPolicy()


@asynccontextmanager
async def connect(
    target: str,
    *,
    credentials: ClientCredentials | None = None,
    policy: SecurityPolicy = _DEFAULT_POLICY,
    service_principal: str | None = None,
    impersonation: ImpersonationLevel = ImpersonationLevel.IMPERSONATE,
    tls: ClientTls | None = None,
    default_timeout: float = DEFAULT_TIMEOUT,
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
    keepalive: KeepalivePolicy = DEFAULT_KEEPALIVE,
    propagate_deadline: bool = True,
    wait_for_ready: bool = False,
    interceptors: Sequence[Interceptor] = (),
) -> AsyncGenerator[Channel]:
    r"""Connect to a server and give the channel.

        async with connect("files.example.com:7420") as channel:
            client = AccountsClient(channel)

    Connected on entry, or it raises, whatever calls wait for; reconnecting afterwards.

    Args:
        target: `host:port`, `tcp://host:port` or `unix:///path`.
        credentials: None for the Kerberos tickets of the signed-in user; in a handler
            that runs as its caller, for the caller's, if it delegated any.
        policy: What to demand of the connection.
        service_principal: `host/name` of the service.  None makes it of the host name
            as typed; an IP address or a unix socket needs it for Kerberos.
        impersonation: What the server may do with the caller's identity.
        tls: Run over TLS, with the proof bound to it.
        default_timeout: Seconds for calls that name no timeout.
        max_body_bytes: The longest arguments to send and reply to take.
        max_metadata_bytes: The most metadata to send with a call and to take with an
            answer, in bytes of keys and values; 49,152 at most.
        keepalive: When to ask whether the server is still there.
        propagate_deadline: Inside a handler, let no call take longer than what is left
            of the handler's own.
        wait_for_ready: Whether calls that do not say wait, as long as they may take,
            for a server that cannot be reached; see docs/calls.md.
        interceptors: Code around each call, the outermost first.

    Raises:
        ConnectFailed: Nobody answered.
        HandshakeError: No session came about; see `AuthenticationFailed.reason`.
        ConnectionClosed: The peer went away during the handshake.
        RemoteProtocolError: The peer speaks something else.
        ValueError: The target is no address, or a number is out of range.
        TypeError: Something in `interceptors` intercepts nothing.
    """
    connector = NegotiateConnector(
        parse_address(target),
        credentials=default_credentials() if credentials is None else credentials,
        policy=policy,
        service_principal=service_principal,
        impersonation=impersonation,
        tls=tls,
    )
    async with connect_with(
        connector,
        default_timeout=default_timeout,
        max_body_bytes=max_body_bytes,
        max_metadata_bytes=max_metadata_bytes,
        keepalive=keepalive,
        propagate_deadline=propagate_deadline,
        wait_for_ready=wait_for_ready,
        interceptors=interceptors,
    ) as channel:
        yield channel


@asynccontextmanager
async def connect_with(
    connector: Connector,
    *,
    default_timeout: float = DEFAULT_TIMEOUT,
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    max_metadata_bytes: int = DEFAULT_MAX_METADATA_BYTES,
    keepalive: KeepalivePolicy = DEFAULT_KEEPALIVE,
    propagate_deadline: bool = True,
    wait_for_ready: bool = False,
    interceptors: Sequence[Interceptor] = (),
) -> AsyncGenerator[Channel]:
    """Connect by any connector and give the channel; see `connect`."""
    async with open_loop() as loop:
        channel = make_channel(
            connector,
            loop,
            interceptors,
            default_timeout=default_timeout,
            max_body_bytes=max_body_bytes,
            max_metadata_bytes=max_metadata_bytes,
            keepalive=keepalive,
            propagate_deadline=propagate_deadline,
            wait_for_ready=wait_for_ready,
        )
        try:
            await channel.open()
            yield channel
        finally:
            await channel.aclose()
