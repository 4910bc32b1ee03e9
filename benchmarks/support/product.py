"""The product as a subject: an echo of a typed dataclass, at each level."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
import msgspec

from benchmarks.support.workload import Echo
from signetrpc.rpc import (
    AccountFile,
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


class EchoArguments(msgspec.Struct, frozen=True):
    """The arguments of all three."""

    payload: Payload


_PAYLOAD = Payload("account", 42, bytes(84))


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
    server = Server([EchoService], accept=accept, policy=_policy(options))
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
    level = Protection[options["level"]]
    echo = _method(level)
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
            arguments = EchoArguments(_PAYLOAD)
            echoes.append(partial(channel.unary, echo, arguments, timeout=30.0))
        yield echoes


def _policy(options: dict[str, str]) -> SecurityPolicy:
    minimum = min(Protection.SIGN, Protection[options["level"]])
    return SecurityPolicy(
        minimum_protection=minimum, suites=tuple(options["suites"].split(","))
    )
