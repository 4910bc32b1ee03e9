"""A template that is killed takes along what it made, whatever that is at.

As root, who might kill anybody, and as a plain user, who may kill nobody.
"""

import os
import secrets
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from signetrpc.rpc import Channel, RpcError, StatusCode
from signetrpc.rpc._decorators import service_definition
from signetrpc.rpc._methods import ServerStreamMethod
from tests.e2e.processes import PATIENCE
from tests.impersonation.besieged import VARIANTS
from tests.impersonation.calling import call, calling_as
from tests.impersonation.lingering import Lingering
from tests.impersonation.processes import ServerProcess
from tests.impersonation.watching import children_of, running, settled, template_of
from tests.support.people import ALICE, BOB, People

pytestmark = pytest.mark.anyio

_HANDLERS = service_definition(Lingering).handlers


@pytest.fixture(scope="module", params=VARIANTS)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    flavour, plain = request.param
    before = running()
    with ServerProcess(
        services=["tests.impersonation.lingering:Lingering"],
        flavour=flavour,
        plain=plain,
        accounts=str(people.accounts),
    ) as server:
        yield server
    assert running() - before == set()


@pytest.fixture
def sign(people: People) -> Path:
    """A file that any caller's process can make."""
    return people.square / secrets.token_hex(8)


def told(sign: Path) -> bool:
    return sign.exists() and bool(sign.read_text())


async def last_word(channel: Channel, name: str, sign: Path) -> StatusCode:
    """Call a method that does not end, and return how the call did."""
    method = next(
        each.method for each in _HANDLERS.values() if each.method.name == name
    )
    with pytest.raises(RpcError) as caught:
        if isinstance(method, ServerStreamMethod):
            given = method.arguments(sign=str(sign))
            async with channel.server_stream(method, given) as items:
                async for _ in items:
                    pass
        else:
            await call(channel, Lingering, name, sign=str(sign))
    return caught.value.status


@asynccontextmanager
async def under_way(channel: Channel, name: str, sign: Path) -> AsyncGenerator[int]:
    """Have a call be under way that ends with its process; give that one's id."""
    ends: list[StatusCode] = []

    async def wait() -> None:
        ends.append(await last_word(channel, name, sign))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await settled(lambda: told(sign))
        yield int(sign.read_text())
    # That its handler was cancelled says nothing true of the call.
    assert ends == [StatusCode.UNAVAILABLE]


async def next_call(channel: Channel, name: str, **given: Any) -> Any:
    """Call until the service has another template.

    Until it has noticed that the last one is gone, a call may be told so.
    """
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                return await call(channel, Lingering, name, **given)
            except RpcError as error:
                assert error.status is StatusCode.UNAVAILABLE


METHODS = ["waiting", "giving", "deaf", "giving_deaf"]


@pytest.mark.parametrize("name", METHODS)
async def test_the_template_is_killed(
    server: ServerProcess, sign: Path, name: str, anyio_backend: str
) -> None:
    async with (
        calling_as(ALICE, server.address) as alice,
        calling_as(BOB, server.address) as bob,
    ):
        other = await call(bob, Lingering, "process")
        template = template_of(server.pid)
        async with under_way(alice, name, sign) as worker:
            os.kill(template, signal.SIGKILL)
        await settled(lambda: not {worker, other} & running())
        # The next call gets another, of another template.
        after = await next_call(bob, "process")
        assert after in children_of(template_of(server.pid))
        assert template_of(server.pid) != template


async def test_what_a_worker_has_left_goes_too(
    server: ServerProcess, sign: Path, anyio_backend: str
) -> None:
    async with calling_as(ALICE, server.address) as alice:
        second = sign.with_name(f"{sign.name}-2")
        async with under_way(alice, "deaf", sign) as worker:
            os.kill(worker, signal.SIGSTOP)
            os.kill(template_of(server.pid), signal.SIGKILL)
        await settled(lambda: worker not in running())
        await next_call(alice, "leave", sign=str(second))
        await settled(lambda: told(second))
        os.kill(template_of(server.pid), signal.SIGKILL)
        await settled(lambda: int(second.read_text()) not in running())


@pytest.mark.parametrize("name", METHODS)
async def test_the_warden_is_killed(
    server: ServerProcess, sign: Path, name: str, anyio_backend: str
) -> None:
    async with calling_as(ALICE, server.address) as alice:
        await next_call(alice, "process")  # there is a template again
        template = template_of(server.pid)
        async with under_way(alice, name, sign) as worker:
            (warden,) = children_of(server.pid)
            os.kill(warden, signal.SIGKILL)
        await settled(lambda: not {worker, template} & running())
        assert await next_call(alice, "process") != worker
