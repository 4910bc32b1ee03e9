"""The product as a subject: an echo of a typed dataclass, at each level."""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import msgspec

from benchmarks.support.users import DOMAIN, mapping
from benchmarks.support.workload import Echo
from signetrpc.rpc import (
    AccountFile,
    Channel,
    Impersonation,
    Keytab,
    LinuxImpersonation,
    Password,
    Protection,
    SecurityPolicy,
    Server,
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


class EchoArguments(msgspec.Struct, frozen=True):
    """The arguments of all three."""

    payload: Payload


_ARGUMENTS = EchoArguments(Payload("account", 42, bytes(84)))


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
        [EchoService, BulkService], authorize=authorize, impersonate=impersonate
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


def _call(options: dict[str, str]) -> Callable[[Channel], Awaitable[object]]:
    match options.get("call", "echo"):
        case "upload":
            upload = UploadArguments(bytes(int(options["size"])))
            return lambda channel: channel.unary(_UPLOAD, upload, timeout=30.0)
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
