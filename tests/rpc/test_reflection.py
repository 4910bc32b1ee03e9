"""`signet.Reflection`: the interfaces of a running server."""

from pathlib import Path

import anyio
import pytest

from signetrpc.rpc import (
    DeclaredError,
    Impersonation,
    Protection,
    RpcError,
    SchemaError,
    Server,
    StatusCode,
    connect,
    declared_error,
    method,
    service,
)
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc.health import Health
from signetrpc.rpc.reflection import Reflection, ServiceDescription, read_schema
from signetrpc.rpc.reflection_client import ReflectionClient
from signetrpc.rpc.statistics import Statistics
from signetrpc.rpc.testing import channel_for
from tests.idl.services import bank, tricky
from tests.support.negotiation import ALICE, account_file

pytestmark = pytest.mark.anyio

SERVED = [
    made
    for module in (bank, tricky)
    for made in vars(module).values()
    if isinstance(made, type) and "__signet_service__" in vars(made)
]


@declared_error("test.Refused", status=StatusCode.NOT_FOUND)
class Refused(DeclaredError):
    """There is none."""

    wanted: int
    why: str = "gone"


@service("test.Refusing")
class Refusing:
    """Declares an error."""

    @method(errors=[Refused])
    async def get(self, wanted: int) -> int:
        raise AssertionError


@service("signet.Reflection")
class Liar:
    """Answers, but with no interface."""

    @method
    async def describe(self, service: str) -> ServiceDescription:
        return ServiceDescription(name="a.B; import os", methods=())


def test_it_seals_and_runs_as_the_server() -> None:
    for each in service_definition(Reflection).schema.methods:
        assert each.protection is Protection.SEAL
        assert each.impersonate is Impersonation.NOT_ALLOWED


async def test_services_in_the_order_given() -> None:
    async with channel_for(Statistics, Reflection, Health) as channel:
        names = await ReflectionClient(channel).services()
    assert names == ["signet.Statistics", "signet.Reflection", "signet.Health"]


async def test_schemas_come_back_as_they_are() -> None:
    assert len(SERVED) > 1
    given = [*SERVED, Refusing, Health, Statistics, Reflection]
    async with channel_for(*given) as channel:
        for each in given:
            schema = service_definition(each).schema
            assert await read_schema(channel, schema.name) == schema


async def test_the_client_reads_what_it_says() -> None:
    async with channel_for(Reflection, Health) as channel:
        told = await ReflectionClient(channel).describe("signet.Health")
    assert told.name == "signet.Health"
    assert [(each.name, each.kind) for each in told.methods] == [
        ("check", "unary"),
        ("watch", "server stream"),
    ]


async def test_an_unknown_service() -> None:
    async with channel_for(Reflection) as channel:
        with pytest.raises(RpcError) as caught:
            await read_schema(channel, "a.B")
        assert caught.value.status is StatusCode.NOT_FOUND
        assert caught.value.message == "no service 'a.B' here"


async def test_a_server_is_not_believed() -> None:
    async with channel_for(Liar) as channel:
        with pytest.raises(SchemaError, match="is no name"):
            await read_schema(channel, "a.B")


async def test_from_a_server_over_a_network(tmp_path: Path) -> None:
    server = Server([Health, Reflection], accept=[account_file(tmp_path)])
    async with anyio.create_task_group() as group:
        address = str(await group.start(server.serve, "tcp://127.0.0.1:0"))
        async with connect(address, credentials=ALICE) as channel:
            read = await read_schema(channel, "signet.Health", timeout=20)
        assert read == service_definition(Health).schema
        group.cancel_scope.cancel()
