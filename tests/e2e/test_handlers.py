"""Handlers of each kind at once, what they share and what they must not."""

import random
from itertools import count

import anyio
import pytest

from signetrpc.rpc import Channel, Password, RpcError, StatusCode
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import ServerProcess, connected
from tests.e2e.proxies import proxied
from tests.e2e.trial import call

pytestmark = pytest.mark.anyio

STYLES = ["", "_in_thread", "_inline"]

_keys = count()


async def test_all_kinds_at_once(ntlm_servers: ServerOf, flavour: str) -> None:
    async with connected(ntlm_servers(flavour).address) as channel:
        answers: dict[int, int] = {}

        async def square(number: int) -> None:
            style = STYLES[number % 3]
            if style:
                answer = await call(channel, f"square{style}", number=number)
            else:
                answer = await call(channel, "square", number=number, turns=number % 7)
            answers[number] = answer

        numbers = list(range(600))
        random.Random(1).shuffle(numbers)
        async with anyio.create_task_group() as group:
            for number in numbers:
                group.start_soon(square, number)
        assert answers == {number: number * number for number in numbers}


@pytest.mark.parametrize("style", STYLES)
async def test_no_call_sees_what_another_set(
    ntlm_servers: ServerOf, flavour: str, style: str
) -> None:
    async with connected(ntlm_servers(flavour).address) as channel:
        found: list[str] = []

        async def mark(text: str) -> None:
            found.append(await call(channel, f"mark{style}", text=text))

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(mark, f"mark {number}")
        # One after the other, too.
        await mark("alone")
        assert found == ["unmarked"] * 51


async def test_each_kind_runs_where_it_should(
    ntlm_servers: ServerOf, flavour: str
) -> None:
    async with connected(ntlm_servers(flavour).address) as channel:
        loop = (await call(channel, "seen")).thread
        assert (await call(channel, "seen_inline")).thread == loop
        assert (await call(channel, "seen_in_thread")).thread != loop


async def test_callers_of_two_connections_are_told_apart(
    server: ServerProcess,
) -> None:
    bob = Password(r"CORP\bob", "Bui1der")
    async with (
        connected(server.address) as first,
        connected(server.address, credentials=bob) as second,
    ):
        seen: set[tuple[str, str]] = set()

        async def look(channel: Channel, expected: str, style: str) -> None:
            found = await call(channel, f"seen{style}")
            seen.add((expected, found.principal))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                for style in STYLES:
                    group.start_soon(look, first, "alice", style)
                    group.start_soon(look, second, "bob", style)
        assert seen == {("alice", r"CORP\alice"), ("bob", r"CORP\bob")}


@pytest.mark.parametrize("style", STYLES)
async def test_an_exception_tells_the_log_and_not_the_caller(
    server: ServerProcess, style: str
) -> None:
    secret = f"secret {next(_keys)} of{style or '_async'}"
    async with proxied(server.address) as proxy, connected(proxy.address) as channel:
        with pytest.raises(RpcError) as caught:
            await call(channel, f"fail{style}", secret=secret)
        assert caught.value.status is StatusCode.INTERNAL
        assert caught.value.message == "the handler failed"
        # The call is signed, so what was said can be read.
        assert secret.encode() in proxy.to_server.recorded
        assert b"the handler failed" in proxy.to_client.recorded
        assert secret.encode() not in proxy.to_client.recorded
        assert b"ValueError" not in proxy.to_client.recorded
        # The connection goes on.
        assert await call(channel, "signed", text="x") == "x"
    log = server.log()
    assert f"ValueError: a detail: {secret}" in log
    assert rf"e2e.Trial/fail{style} failed for CORP\alice" in log
