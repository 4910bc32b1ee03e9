"""The product as a subject: an echo of a typed dataclass, at each level."""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
import msgspec

from benchmarks.support.workload import Echo
from signetrpc.rpc import (
    AccountFile,
    Channel,
    Keytab,
    Password,
    Protection,
    SecurityPolicy,
    Server,
    ServerCredentials,
    UnaryMethod,
    connect,
    method,
    service,
)

__all__ = ["connect_product", "serve_product"]


@dataclass(frozen=True, slots=True)
class Payload:
    """What is echoed."""

    text: str
    number: int
    data: bytes


@service("benchmark.Echo")
class EchoService:
    """An `async def` handler for each level: a task per call."""

    @method(Protection.NONE)
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
    accept: Sequence[ServerCredentials]
    if options["mechanism"] == "ntlm":
        accept = [AccountFile(options["accounts"])]
    else:
        accept = [Keytab(options["keytab"])]
    server = Server([EchoService, BulkService], accept=accept, policy=_policy(options))
    async with anyio.create_task_group() as group:
        print(await group.start(server.serve, "tcp://127.0.0.1:0"), flush=True)


@asynccontextmanager
async def connect_product(
    address: str, options: dict[str, str], connections: int
) -> AsyncGenerator[list[Echo]]:
    """Connect and give an echo for each connection."""
    credentials = None
    if options["mechanism"] == "ntlm":
        credentials = Password(r"BENCH\alice", os.environ["BENCH_PASSWORD"])
    echo = _call(options)
    echoes: list[Echo] = []
    async with AsyncExitStack() as stack:
        for _ in range(connections):
            channel = await stack.enter_async_context(
                connect(
                    address,
                    credentials=credentials,
                    service_principal="host/localhost",
                    policy=_policy(options),
                )
            )
            echoes.append(partial(echo, channel))
        yield echoes


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
    return SecurityPolicy(
        minimum_protection=minimum, suites=tuple(options["suites"].split(","))
    )
