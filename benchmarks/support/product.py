"""The product as a subject: an echo of a typed dataclass, at each level."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
import msgspec

from benchmarks.support.users import DOMAIN, mapping
from benchmarks.support.workload import Echo
from signetrpc.rpc import (
    AccountFile,
    BidirectionalMethod,
    Channel,
    Impersonation,
    Keytab,
    LinuxImpersonation,
    Password,
    Protection,
    SecurityPolicy,
    Server,
    ServerStreamMethod,
    UnaryMethod,
    anyone,
    connect_with,
    method,
    service,
)
from signetrpc.transport import (
    Acceptor,
    Address,
    ClientTls,
    Connector,
    DoorLimits,
    NegotiateAcceptor,
    NegotiateConnector,
    NegotiationProtocol,
    ServerTls,
    TlsAcceptor,
    TlsConnector,
    listen_with,
    parse_address,
)

__all__ = ["connect_product", "serve_product"]

# The benchmarks are one address that opens thousands of connections.
_OPEN = DoorLimits(
    connections=20_000,
    connections_per_peer=20_000,
    handshakes=20_000,
    handshakes_per_peer=20_000,
)


@dataclass(frozen=True, slots=True)
class Payload:
    """What is echoed."""

    text: str
    number: int
    data: bytes


@service("benchmark.Echo")
class EchoService:
    """An `async def` handler for each level: a task per call."""

    @method(Protection.NONE, impersonate=Impersonation.NOT_ALLOWED)
    async def echo_none(self, payload: Payload) -> Payload:
        return payload

    @method(Protection.SIGN)
    async def echo_sign(self, payload: Payload) -> Payload:
        return payload

    @method(Protection.SEAL)
    async def echo_seal(self, payload: Payload) -> Payload:
        return payload


@service("benchmark.Bulk")
class BulkService:
    """A large body in one direction."""

    @method(Protection.SEAL)
    async def upload(self, data: bytes) -> int:
        return len(data)

    @method(Protection.SEAL)
    async def download(self, size: int) -> bytes:
        return bytes(size)


@service("benchmark.Stream")
class StreamService:
    """Messages one after the other."""

    @method(Protection.SEAL)
    async def stream(self, count: int) -> AsyncIterator[Payload]:
        for _ in range(count):
            yield _PAYLOAD

    @method(Protection.SEAL)
    async def talk(self, said: AsyncIterator[Payload]) -> AsyncIterator[Payload]:
        async for payload in said:
            yield payload

    @method(Protection.SEAL)
    async def flood(self, size: int) -> AsyncIterator[bytes]:
        while True:
            yield bytes(size)


class StreamArguments(msgspec.Struct, frozen=True):
    """What `stream` takes."""

    count: int


class TalkArguments(msgspec.Struct, frozen=True):
    """What `talk` takes beside its stream."""


class FloodArguments(msgspec.Struct, frozen=True):
    """What `flood` takes."""

    size: int


class UploadArguments(msgspec.Struct, frozen=True):
    """What `upload` takes."""

    data: bytes


class DownloadArguments(msgspec.Struct, frozen=True):
    """What `download` takes."""

    size: int


_UPLOAD: UnaryMethod[UploadArguments, int] = UnaryMethod(
    service="benchmark.Bulk",
    name="upload",
    protection=Protection.SEAL,
    arguments=UploadArguments,
    result=int,
)
_DOWNLOAD: UnaryMethod[DownloadArguments, bytes] = UnaryMethod(
    service="benchmark.Bulk",
    name="download",
    protection=Protection.SEAL,
    arguments=DownloadArguments,
    result=bytes,
)


_STREAM: ServerStreamMethod[StreamArguments, Payload] = ServerStreamMethod(
    service="benchmark.Stream",
    name="stream",
    protection=Protection.SEAL,
    arguments=StreamArguments,
    result=Payload,
)
_TALK: BidirectionalMethod[TalkArguments, Payload, Payload] = BidirectionalMethod(
    service="benchmark.Stream",
    name="talk",
    protection=Protection.SEAL,
    arguments=TalkArguments,
    item=Payload,
    result=Payload,
)
_FLOOD: ServerStreamMethod[FloodArguments, bytes] = ServerStreamMethod(
    service="benchmark.Stream",
    name="flood",
    protection=Protection.SEAL,
    arguments=FloodArguments,
    result=bytes,
)


class EchoArguments(msgspec.Struct, frozen=True):
    """The arguments of all three."""

    payload: Payload


_PAYLOAD = Payload("account", 42, bytes(84))
_ARGUMENTS = EchoArguments(_PAYLOAD)


def _method(level: Protection) -> UnaryMethod[EchoArguments, Payload]:
    return UnaryMethod(
        service="benchmark.Echo",
        name=f"echo_{level.name.lower()}",
        protection=level,
        arguments=EchoArguments,
        result=Payload,
    )


async def serve_product(options: dict[str, str]) -> None:
    """Serve until cancelled; print the address."""
    acceptor: Acceptor
    policy = _policy(options)
    match options["mechanism"]:
        case "tls":
            tls = ServerTls(certificate=options["certificate"], key=options["key"])
            acceptor = TlsAcceptor(tls, policy=policy)
        case "ntlm":
            accounts = AccountFile(options["accounts"])
            acceptor = NegotiateAcceptor([accounts], policy=policy)
        case _:
            keytab = Keytab(options["keytab"])
            acceptor = NegotiateAcceptor([keytab], policy=policy)
    # Its TLS clients have no certificate, as the peer's have none.
    authorize = anyone if options["mechanism"] == "tls" else None
    impersonate = None
    if "impersonate" in options:
        impersonate = LinuxImpersonation(mapping=mapping(options["realm"]))
    server = Server(
        [EchoService, BulkService, StreamService],
        authorize=authorize,
        impersonate=impersonate,
    )
    async with await listen_with("tcp://127.0.0.1:0", acceptor, door=_OPEN) as listener:
        print(listener.address, flush=True)
        await server.serve_listener(listener)


@asynccontextmanager
async def connect_product(
    address: str, options: dict[str, str], connections: int
) -> AsyncGenerator[list[Echo]]:
    """Connect and give an echo for each connection."""
    connector = _connector(parse_address(address), options)
    echo = _call(options)
    echoes: list[Echo] = []
    async with AsyncExitStack() as stack:
        for _ in range(connections):
            channel = await stack.enter_async_context(connect_with(connector))
            if "beside" in options:
                flood = _flooded(channel, int(options["beside"]))
                await stack.enter_async_context(flood)
            echoes.append(partial(echo, channel))
        yield echoes


def _connector(address: Address, options: dict[str, str]) -> Connector:
    policy = _policy(options)
    if options["mechanism"] == "tls":
        tls = ClientTls(ca=options["certificate"], server_name="localhost")
        return TlsConnector(address, tls=tls, policy=policy)
    credentials = None
    if options["mechanism"] == "ntlm":
        name = f"{DOMAIN}\\{options.get('user', 'alice')}"
        credentials = Password(name, os.environ["BENCH_PASSWORD"])
    return NegotiateConnector(
        address,
        credentials=credentials,
        service_principal="host/localhost",
        policy=policy,
    )


@asynccontextmanager
async def _flooded(channel: Channel, size: int) -> AsyncGenerator[None]:
    """Read a stream of large items without end, all the while."""

    async def read() -> None:
        async for _ in channel.server_stream(_FLOOD, FloodArguments(size)):
            pass

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        yield
        group.cancel_scope.cancel()


async def _read(channel: Channel, count: int) -> None:
    read = 0
    async with channel.server_stream(_STREAM, StreamArguments(count)) as items:
        async for _ in items:
            read += 1
    assert read == count


async def _talk(channel: Channel, count: int) -> None:
    read = 0
    said = (_PAYLOAD for _ in range(count))
    async with channel.bidirectional(_TALK, TalkArguments(), said) as items:
        async for _ in items:
            read += 1
    assert read == count


def _call(options: dict[str, str]) -> Callable[[Channel], Awaitable[object]]:
    match options.get("call", "echo"):
        case "upload":
            upload = UploadArguments(bytes(int(options["size"])))
            return lambda channel: channel.unary(_UPLOAD, upload, timeout=30.0)
        case "stream":
            return lambda channel: _read(channel, int(options["size"]))
        case "talk":
            return lambda channel: _talk(channel, int(options["size"]))
        case "download":
            download = DownloadArguments(int(options["size"]))
            return lambda channel: channel.unary(_DOWNLOAD, download, timeout=30.0)
        case _:
            echo, arguments = _method(Protection[options["level"]]), _ARGUMENTS
            return lambda channel: channel.unary(echo, arguments, timeout=30.0)


def _policy(options: dict[str, str]) -> SecurityPolicy:
    minimum = min(Protection.SIGN, Protection[options["level"]])
    form = options.get("form")
    return SecurityPolicy(
        minimum_protection=minimum,
        suites=tuple(options["suites"].split(",")),
        negotiation=None if form is None else NegotiationProtocol(form),
        handshake_seconds=float(options.get("handshake_seconds", "10")),
    )
