"""Streams through a process of the caller's: each item is handled as the caller."""

import os
import secrets
import signal
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from signetrpc.rpc import Channel, RpcError, StatusCode
from signetrpc.rpc._decorators import service_definition
from tests.e2e.processes import FLAVOURS
from tests.impersonation.calling import call, calling_as
from tests.impersonation.currents import Currents, Drop
from tests.impersonation.processes import ServerProcess
from tests.impersonation.watching import IdentityWatch
from tests.support.people import ALICE, BOB, People, Person

pytestmark = pytest.mark.anyio

STYLES = ["", "_in_thread"]
# Enough that both directions have to wait for room.
LINES = [f"{number} {'x' * 3000}" for number in range(500)]

_METHODS: dict[str, Any] = {
    handler.method.name: handler.method
    for handler in service_definition(Currents).handlers.values()
}


@pytest.fixture(
    scope="module",
    params=[(flavour, plain) for flavour in FLAVOURS for plain in (False, True)],
    ids=lambda param: f"{param[0]}-{'plain' if param[1] else 'root'}",
)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    flavour, plain = request.param
    with (
        ServerProcess(
            services=["tests.impersonation.currents:Currents"],
            flavour=flavour,
            plain=plain,
            accounts=str(people.accounts),
        ) as server,
        IdentityWatch(server.pid),
    ):
        yield server


def drop_of(person: Person, text: str) -> Drop:
    return Drop(text, [person.uid] * 3, [person.gid] * 3)


async def lines_of(channel: Channel, style: str, path: str) -> list[Drop]:
    method = _METHODS[f"lines{style}"]
    async with channel.server_stream(method, method.arguments(path=path)) as drops:
        return [drop async for drop in drops]


async def write_and_read(
    people: People, channel: Channel, person: Person, style: str
) -> None:
    """Send a file, which is then the caller's, and have it sent back."""
    path = people.square / secrets.token_hex(8)
    method = _METHODS[f"write{style}"]
    arguments = method.arguments(path=str(path))
    lines = [f"{person.name} {line}" for line in LINES]
    wrote = await channel.client_stream(method, arguments, lines)
    assert wrote == drop_of(person, str(path))
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (person.uid, person.gid)
    assert status.st_mode & 0o777 == 0o600
    expected = [drop_of(person, line) for line in lines]
    assert await lines_of(channel, style, str(path)) == expected


async def talk(channel: Channel, person: Person, style: str) -> None:
    """Send items, and have each back before the next."""
    method = _METHODS[f"echo{style}"]
    async with channel.bidirectional(method, method.arguments()) as stream:
        for line in LINES[:50]:
            await stream.send(line)
            assert await anext(stream) == drop_of(person, line)
        await stream.end()
        assert [drop async for drop in stream] == []


async def test_streams_of_two_callers_at_once(
    people: People, server: ServerProcess, anyio_backend: str
) -> None:
    async with (
        calling_as(ALICE, server.address) as alice,
        calling_as(BOB, server.address) as bob,
        anyio.create_task_group() as group,
    ):
        for person, channel in ((ALICE, alice), (BOB, bob)):
            for style in STYLES:
                group.start_soon(write_and_read, people, channel, person, style)
                group.start_soon(talk, channel, person, style)


@pytest.mark.parametrize("style", STYLES)
async def test_streams_of_what_is_anothers(
    server: ServerProcess, anyio_backend: str, style: str
) -> None:
    for person, other in ((ALICE, BOB), (BOB, ALICE)):
        async with calling_as(person, server.address) as channel:
            own = await lines_of(channel, style, str(person.secret))
            assert own == [drop_of(person, f"of {person.name}")]
            with pytest.raises(RpcError) as caught:
                await lines_of(channel, style, str(other.secret))
        assert caught.value.status is StatusCode.PERMISSION_DENIED
        assert caught.value.message == str(other.secret)


async def test_a_stream_that_is_given_up_ends_its_handler(
    server: ServerProcess, anyio_backend: str
) -> None:
    method = _METHODS["endless"]
    key = secrets.token_hex(8)
    async with calling_as(ALICE, server.address) as channel:
        async with channel.server_stream(method, method.arguments(key=key)) as drops:
            for _ in range(20):
                assert await anext(drops) == drop_of(ALICE, key)
        assert await call(channel, Currents, "ended", key=key) == ALICE.uid


@pytest.mark.parametrize("style", STYLES)
async def test_items_longer_than_any_window(
    server: ServerProcess, anyio_backend: str, style: str
) -> None:
    method = _METHODS[f"echo{style}"]
    items = [letter * (3 * 1024 * 1024 // 2) for letter in "abc"]
    async with (
        calling_as(BOB, server.address) as channel,
        channel.bidirectional(method, method.arguments(), items) as stream,
    ):
        assert [drop async for drop in stream] == [drop_of(BOB, item) for item in items]


async def test_a_stream_ends_with_its_process_and_no_other_does(
    server: ServerProcess, anyio_backend: str
) -> None:
    endless, echo = _METHODS["endless"], _METHODS["echo"]
    key = secrets.token_hex(8)
    async with (
        calling_as(ALICE, server.address) as alice,
        calling_as(BOB, server.address) as bob,
        alice.server_stream(endless, endless.arguments(key=key)) as drops,
        bob.bidirectional(echo, echo.arguments()) as stream,
    ):
        await stream.send("before")
        assert await anext(stream) == drop_of(BOB, "before")
        assert await anext(drops) == drop_of(ALICE, key)
        os.kill(await call(alice, Currents, "process"), signal.SIGKILL)
        # What came before is whole.
        with pytest.raises(RpcError) as caught:
            async for drop in drops:
                assert drop == drop_of(ALICE, key)
        assert caught.value.status is StatusCode.UNAVAILABLE
        await stream.send("after")
        assert await anext(stream) == drop_of(BOB, "after")
        # And the next call has another process.
        assert await lines_of(alice, "", str(ALICE.secret)) == [
            drop_of(ALICE, f"of {ALICE.name}")
        ]
