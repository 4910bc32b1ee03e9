"""Services that are told of their server."""

import pytest

from signetrpc.rpc import Server, method, service
from signetrpc.rpc._aware import Served, ServerAware
from signetrpc.rpc.testing import channel_for


@service("test.Aware")
class Aware(ServerAware):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self.drained = 0

    @method
    def nothing(self) -> None:
        return None

    def attach(self, server: Served) -> None:
        self.names.append([schema.name for schema in server.schemas])

    def draining(self) -> None:
        self.drained += 1


@service("test.Other")
class Other:
    """Has a method of that name, and nothing to do with it."""

    @method
    def attach(self, server: str) -> str:
        raise AssertionError

    @method
    def draining(self) -> None:
        raise AssertionError


@service("test.Silent")
class Silent(ServerAware):
    """Does not care."""

    @method
    def nothing(self) -> None:
        return None


def test_it_is_told_when_all_services_are_known() -> None:
    aware = Aware()
    Server([aware, Other, Silent])
    assert aware.names == [["test.Aware", "test.Other", "test.Silent"]]


@pytest.mark.anyio
async def test_it_is_told_before_the_server_waits_for_calls() -> None:
    aware = Aware()
    server = Server([aware, Silent, Other])
    await server.drain()
    assert aware.drained == 1


@pytest.mark.anyio
async def test_one_that_ends_at_once_is_not_told() -> None:
    aware = Aware()
    async with channel_for(aware):
        assert aware.names == [["test.Aware"]]
    assert aware.drained == 0
