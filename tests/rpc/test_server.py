"""The server over a real socket: what it takes, what it serves, how it stops."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from signetrpc.rpc import (
    Protection,
    RpcError,
    SchemaError,
    Server,
    StatusCode,
    UnaryMethod,
    connect,
    current_caller,
    method,
    service,
)
from signetrpc.transport import AuthenticationFailed, ConnectFailed
from tests.support.negotiation import ALICE, account_file

pytestmark = pytest.mark.anyio


@service("test.Hello")
class Hello:
    """Greets, and counts."""

    def __init__(self, greeting: str = "hello") -> None:
        self.greeting = greeting
        self.waiting = anyio.Event()

    @method(Protection.SIGN)
    async def greet(self) -> str:
        return f"{self.greeting} {current_caller().name}"

    @method(Protection.SIGN)
    async def wait(self) -> str:
        self.waiting.set()
        await anyio.sleep_forever()
        raise AssertionError


@service("test.Other")
class Other:
    """Another service."""

    @method
    def nothing(self) -> None:
        return None


class Nothing(msgspec.Struct):
    """No arguments."""


def declared(name: str) -> UnaryMethod[Nothing, str]:
    return UnaryMethod(
        service="test.Hello",
        name=name,
        protection=Protection.SIGN,
        arguments=Nothing,
        result=str,
    )


GREET, WAIT = declared("greet"), declared("wait")


@asynccontextmanager
async def served(
    tmp_path: Path, *services: Any, target: str = "tcp://127.0.0.1:0"
) -> AsyncGenerator[str]:
    server = Server(services or [Hello], accept=[account_file(tmp_path)])
    async with anyio.create_task_group() as group:
        yield str(await group.start(server.serve, target))
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    "given", [Hello, Hello(), lambda: Hello()], ids=["class", "object", "function"]
)
async def test_services_are_given_in_three_ways(given: object, tmp_path: Path) -> None:
    async with served(tmp_path, given) as address:
        async with connect(address, credentials=ALICE) as channel:
            assert await channel.unary(GREET, Nothing()) == "hello alice"


async def test_an_object_is_shared_by_all_connections(tmp_path: Path) -> None:
    hello = Hello("hi")
    async with served(tmp_path, hello) as address:
        for greeting in ("hi", "bye"):
            hello.greeting = greeting
            async with connect(address, credentials=ALICE) as channel:
                assert await channel.unary(GREET, Nothing()) == f"{greeting} alice"


async def test_a_unix_socket_is_served_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with served(tmp_path, target=f"unix://{path}") as address:
        assert path.is_socket() and address == f"unix://{path}"
        async with connect(address, credentials=ALICE) as channel:
            assert await channel.unary(GREET, Nothing()) == "hello alice"
    assert not path.exists()


def test_names_in_the_order_given(tmp_path: Path) -> None:
    server = Server([Other, Hello()], accept=[account_file(tmp_path)])
    assert server.service_names == ("test.Other", "test.Hello")


@pytest.mark.parametrize("given", [object(), object, int, lambda: 7])
def test_what_is_no_service_is_refused(given: object, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="is not a service"):
        Server([given], accept=[account_file(tmp_path)])


def test_two_services_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="two services are named test.Hello"):
        Server([Hello, Hello()], accept=[account_file(tmp_path)])


async def test_what_cannot_be_served_with(tmp_path: Path) -> None:
    bad = tmp_path / "none"
    bad.write_text("not an account\n")
    bad.chmod(0o600)
    good = account_file(tmp_path)
    with pytest.raises(AuthenticationFailed):
        await Server([Hello], accept=[type(good)(bad)]).serve("tcp://127.0.0.1:0")
    with pytest.raises(ValueError, match="not an address"):
        await Server([Hello], accept=[good]).serve("nowhere")
    with pytest.raises(OSError, match="cannot listen on"):
        await Server([Hello], accept=[good]).serve(f"unix://{tmp_path}/no/socket")


async def test_stopping_ends_calls_and_connections_and_frees_the_port(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "signetrpc")
    hello = Hello()
    server = Server([hello], accept=[account_file(tmp_path)])
    address = ""
    async with anyio.create_task_group() as servers:
        address = str(await servers.start(server.serve, "tcp://127.0.0.1:0"))
        async with connect(address, credentials=ALICE) as channel:

            async def wait() -> None:
                with pytest.raises(RpcError) as caught:
                    await channel.unary(WAIT, Nothing())
                # Which of the two comes first is chance.
                assert caught.value.status in (
                    StatusCode.CANCELLED,
                    StatusCode.UNAVAILABLE,
                )

            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as group:
                    group.start_soon(wait)
                    await hello.waiting.wait()
                    servers.cancel_scope.cancel()
    assert all(ALICE.password not in record.getMessage() for record in caplog.records)
    with pytest.raises(ConnectFailed):
        async with connect(address, credentials=ALICE):
            raise AssertionError


async def test_the_port_can_be_served_again_at_once(tmp_path: Path) -> None:
    target = "tcp://127.0.0.1:0"
    for _ in range(3):
        async with served(tmp_path, target=target) as address:
            target = address
            async with connect(address, credentials=ALICE) as channel:
                assert await channel.unary(GREET, Nothing()) == "hello alice"
