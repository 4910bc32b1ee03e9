"""`signet.Health`: what it says, to whom it says it, and when it ends."""

from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from signetrpc.rpc import (
    Impersonation,
    Protection,
    RpcError,
    Server,
    StatusCode,
    connect,
    method,
    service,
)
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc.health import Health, ServingStatus
from signetrpc.rpc.health_client import HealthClient
from signetrpc.rpc.health_client import ServingStatus as Told
from signetrpc.rpc.testing import channel_for
from tests.support.negotiation import ALICE, account_file
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


@service("test.Desk")
class Desk:
    """A service to be asked about, which says how it does."""

    def __init__(self, health: Health) -> None:
        self._health = health

    @method
    def close(self) -> None:
        """Say so from a thread."""
        self._health.set("test.Desk", ServingStatus.NOT_SERVING)


def test_it_signs_and_runs_as_the_server() -> None:
    schema = service_definition(Health).schema
    assert schema.name == "signet.Health"
    for each in schema.methods:
        assert each.protection is Protection.SIGN
        assert each.impersonate is Impersonation.NOT_ALLOWED


def test_words_are_those_of_grpc() -> None:
    words = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]
    for each in (ServingStatus, Told):
        assert [(it.name, it.value) for it in each] == [(it, it) for it in words]


async def test_what_is_served_is_serving() -> None:
    health = Health()
    async with channel_for(health, Desk(health)) as channel:
        client = HealthClient(channel)
        for name in ("", "signet.Health", "test.Desk"):
            assert await client.check(name) is Told.SERVING


async def test_an_unknown_service() -> None:
    async with channel_for(Health) as channel:
        client = HealthClient(channel)
        with pytest.raises(RpcError) as caught:
            await client.check("test.Desk")
        assert caught.value.status is StatusCode.NOT_FOUND
        assert caught.value.message == "no service 'test.Desk' here"
        async with client.watch("test.Desk") as stream:
            assert await anext(stream) is Told.SERVICE_UNKNOWN


async def test_what_is_said_before_it_serves_holds() -> None:
    health = Health()
    health.set("", ServingStatus.NOT_SERVING)
    health.set("test.Desk", ServingStatus.UNKNOWN)
    async with channel_for(health, Desk(health)) as channel:
        client = HealthClient(channel)
        assert await client.check() is Told.NOT_SERVING
        assert await client.check("test.Desk") is Told.UNKNOWN


async def test_watch_tells_each_change_once() -> None:
    health = Health()
    async with channel_for(health) as channel:
        client = HealthClient(channel)
        async with client.watch("a.B") as stream, client.watch() as other:
            assert await anext(stream) is Told.SERVICE_UNKNOWN
            assert await anext(other) is Told.SERVING
            for status, told in [
                (ServingStatus.SERVING, Told.SERVING),
                (ServingStatus.NOT_SERVING, Told.NOT_SERVING),
                (ServingStatus.SERVING, Told.SERVING),
            ]:
                health.set("a.B", status)
                health.set("a.B", status)
                assert await anext(stream) is told
            health.set("", ServingStatus.UNKNOWN)
            assert await anext(other) is Told.UNKNOWN


async def test_a_handler_in_a_thread_says_so() -> None:
    health = Health()
    desk = Desk(health)
    async with channel_for(health, desk) as channel:
        async with HealthClient(channel).watch("test.Desk") as stream:
            assert await anext(stream) is Told.SERVING
            await anyio.to_thread.run_sync(desk.close)
            assert await anext(stream) is Told.NOT_SERVING


async def test_a_watch_that_is_given_up_leaves_nothing() -> None:
    health = Health()
    async with channel_for(health) as channel:
        async with HealthClient(channel).watch() as stream:
            await anext(stream)
            assert len(health._watches) == 1  # pyright: ignore[reportPrivateUsage]
        await settle()
        assert not health._watches  # pyright: ignore[reportPrivateUsage]


async def test_shutdown_is_for_good() -> None:
    health = Health()
    async with channel_for(health) as channel:
        client = HealthClient(channel)
        async with client.watch() as stream:
            assert await anext(stream) is Told.SERVING
            health.shutdown()
            assert [status async for status in stream] == [Told.NOT_SERVING]
        health.set("", ServingStatus.SERVING)
        assert await client.check() is Told.NOT_SERVING
        again = client.watch("signet.Health")
        assert [status async for status in again] == [Told.NOT_SERVING]


def test_no_service_has_the_status_of_those_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="SERVICE_UNKNOWN"):
        Health().set("a.B", ServingStatus.SERVICE_UNKNOWN)


async def test_a_server_that_drains_is_not_held_by_who_watches(tmp_path: Path) -> None:
    server = Server([Health], accept=[account_file(tmp_path)])
    async with anyio.create_task_group() as group:
        address = str(await group.start(server.serve, "tcp://127.0.0.1:0"))
        async with connect(address, credentials=ALICE) as channel:
            async with HealthClient(channel).watch() as stream:
                assert await anext(stream) is Told.SERVING
                with anyio.fail_after(20):
                    group.start_soon(partial(server.drain, grace=3600))
                    assert [status async for status in stream] == [Told.NOT_SERVING]
