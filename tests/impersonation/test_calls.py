"""Calls through a process of the caller's are like any other, for both ends."""

import hashlib
import re
from collections.abc import AsyncGenerator, Iterator
from itertools import count
from typing import Any

import anyio
import pytest

from signetrpc.rpc import Channel, DeadlineExceeded, RpcError, StatusCode
from tests.e2e.processes import FLAVOURS
from tests.impersonation.calling import call as call_of
from tests.impersonation.calling import calling_as
from tests.impersonation.errands import CallSeen, Errands
from tests.impersonation.processes import ServerProcess
from tests.support.people import ALICE, BOB, DOMAIN, People

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024
LIMIT = 4 * MEBIBYTE
STYLES = ["", "_in_thread", "_inline"]

_keys = count()


@pytest.fixture(scope="module", params=FLAVOURS)
def server(people: People, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with ServerProcess(
        services=["tests.impersonation.errands:Errands"],
        flavour=request.param,
        plain=True,
        accounts=str(people.accounts),
    ) as server:
        yield server


@pytest.fixture
async def alice(server: ServerProcess, anyio_backend: str) -> AsyncGenerator[Channel]:
    async with calling_as(ALICE, server.address) as channel:
        yield channel


async def call(channel: Channel, name: str, /, **arguments: Any) -> Any:
    return await call_of(channel, Errands, name, **arguments)


async def failure(channel: Channel, name: str, /, **arguments: Any) -> RpcError:
    """Return the error that a call must end with."""
    with pytest.raises(RpcError) as caught:
        await call(channel, name, **arguments)
    return caught.value


@pytest.mark.parametrize("style", [*STYLES, "_sealed"])
async def test_what_a_handler_knows_of_its_call(alice: Channel, style: str) -> None:
    pairs = [("colour", "red"), ("colour", "blue"), ("raw-bin", b"\x00\xff")]
    found: CallSeen = await call(alice, f"seen{style}", timeout=30.0, metadata=pairs)
    assert found.uid == ALICE.uid
    assert found.method == f"impersonation.Errands/seen{style}"
    assert (found.principal, found.mechanism) == (f"{DOMAIN}\\alice", "ntlm")
    assert found.protection == ("SEAL" if style == "_sealed" else "SIGN")
    assert found.metadata == [f"{name}={value!r}" for name, value in pairs]
    assert found.time_left is not None
    assert 0 < found.time_left <= 30


# Time.


async def test_a_call_that_is_given_up_ends_its_handler(alice: Channel) -> None:
    key = str(next(_keys))
    async with anyio.create_task_group() as group:

        async def hold() -> None:
            await call(alice, "hold", key=key)

        group.start_soon(hold)
        assert await call(alice, "until", event=f"held {key}") == ALICE.uid
        group.cancel_scope.cancel()
    assert await call(alice, "until", event=f"dropped {key}") == ALICE.uid


async def test_a_call_whose_time_is_over_ends_its_handler(alice: Channel) -> None:
    key = str(next(_keys))
    assert (await call(alice, "seen")).uid == ALICE.uid  # its process is there
    with pytest.raises(DeadlineExceeded):
        await call(alice, "hold", key=key, timeout=0.05)
    for event in ("held", "dropped"):
        assert await call(alice, "until", event=f"{event} {key}") == ALICE.uid


async def test_a_connection_that_ends_ends_its_handlers(
    server: ServerProcess, alice: Channel
) -> None:
    keys = [str(next(_keys)) for _ in range(5)]
    async with calling_as(ALICE, server.address) as other:
        async with anyio.create_task_group() as group:
            for key in keys:
                group.start_soon(call_hold, other, key)
            for key in keys:
                await call(alice, "until", event=f"held {key}")
            await other.aclose()
    for key in keys:
        assert await call(alice, "until", event=f"dropped {key}") == ALICE.uid


async def call_hold(channel: Channel, key: str) -> None:
    error = await failure(channel, "hold", key=key)
    assert error.status in (StatusCode.CANCELLED, StatusCode.UNAVAILABLE)


async def test_a_thread_goes_on_when_its_call_is_over(alice: Channel) -> None:
    key = str(next(_keys))
    assert (await call(alice, "seen")).uid == ALICE.uid
    with pytest.raises(DeadlineExceeded):
        await call(alice, "block", key=key, timeout=0.05)
    with anyio.move_on_after(0.05) as scope:
        await call(alice, "block", key=key)
    assert scope.cancelled_caught
    found: list[int] = []

    async def block() -> None:
        found.append(await call(alice, "block", key=key))

    async with anyio.create_task_group() as group:
        group.start_soon(block)
        await call(alice, "release", key=key)
    assert found == [ALICE.uid]


async def test_no_caller_meets_anothers_events(
    server: ServerProcess, alice: Channel
) -> None:
    key = str(next(_keys))
    async with (
        calling_as(BOB, server.address) as bob,
        anyio.create_task_group() as group,
    ):
        group.start_soon(call_and_be_cancelled, bob, key)
        await call(bob, "until", event=f"held {key}")
        with pytest.raises(DeadlineExceeded):
            await call(alice, "until", event=f"held {key}", timeout=0.05)
        group.cancel_scope.cancel()


async def call_and_be_cancelled(channel: Channel, key: str) -> None:
    await call(channel, "hold", key=key)


# Bodies.


async def test_long_bodies_there_and_back(server: ServerProcess) -> None:
    """Of two callers at once, in parts that are not mixed up."""
    sizes = [0, 1, 65_536, 1_000_003, LIMIT - 100]

    async def there(channel: Channel, size: int, fill: int) -> None:
        data = bytes([fill]) * size
        found = await call(channel, "digest", data=data)
        assert found == hashlib.sha256(data).hexdigest()

    async def back(channel: Channel, size: int, fill: int) -> None:
        assert await call(channel, "blob", size=size, fill=fill) == bytes([fill]) * size

    async def both(channel: Channel, size: int, fill: int) -> None:
        data = bytes([fill]) * size
        assert await call(channel, "echo", data=data) == data

    async with (
        calling_as(ALICE, server.address) as alice,
        calling_as(BOB, server.address) as bob,
        anyio.create_task_group() as group,
    ):
        for fill, channel in enumerate((alice, bob)):
            for size in sizes:
                for way in (there, back, both):
                    group.start_soon(way, channel, size, fill)


async def test_bodies_that_are_too_long(alice: Channel) -> None:
    for name, what, arguments in (
        ("echo", "arguments", {"data": bytes(LIMIT)}),
        ("blob", "reply", {"size": LIMIT, "fill": 0}),
    ):
        error = await failure(alice, name, **arguments)
        assert error.status is StatusCode.RESOURCE_EXHAUSTED
        said = rf"{what} of \d+ bytes, limit {LIMIT}"
        assert re.fullmatch(said, error.message), error.message
        assert (await call(alice, "seen")).uid == ALICE.uid


async def test_the_servers_limits_hold_for_its_processes(
    people: People, anyio_backend: str
) -> None:
    with ServerProcess(
        services=["tests.impersonation.errands:Errands"],
        flavour=anyio_backend,
        accounts=str(people.accounts),
        server={"max_body_bytes": 100_000, "max_metadata_bytes": 10_000},
        impersonation={"max_calls": 3},
    ) as server:
        async with calling_as(ALICE, server.address) as alice:
            most = 99_000
            assert len(await call(alice, "echo", data=bytes(most))) == most
            for name, what, arguments in (
                ("echo", "arguments", {"data": bytes(100_000)}),
                ("blob", "reply", {"size": 100_000, "fill": 0}),
            ):
                error = await failure(alice, name, **arguments)
                assert error.status is StatusCode.RESOURCE_EXHAUSTED
                assert error.message.startswith(f"{what} of ")
                assert error.message.endswith("bytes, limit 100000")
            await call(alice, "say_beside", size=10_000)
            error = await failure(alice, "say_beside", size=10_001)
            assert error.status is StatusCode.RESOURCE_EXHAUSTED
            assert error.message == "trailers of 10001 bytes, limit 10000"
        await too_many_calls(server)


async def too_many_calls(server: ServerProcess) -> None:
    """Three in a process, over whatever connections: one more is refused."""
    async with (
        calling_as(ALICE, server.address) as one,
        calling_as(ALICE, server.address) as other,
        calling_as(BOB, server.address) as bob,
        anyio.create_task_group() as group,
    ):
        for key in ("a", "b"):
            group.start_soon(call_and_be_cancelled, one, key)
            await call(one, "until", event=f"held {key}")
        group.start_soon(call_and_be_cancelled, other, "c")
        await call(bob, "seen")
        error = await failed_when_full(one)
        assert error.message == "3 calls under way as this caller, that is the limit"
        assert (await call(bob, "seen")).uid == BOB.uid
        group.cancel_scope.cancel()


async def failed_when_full(channel: Channel) -> RpcError:
    """Call until it is refused: another call may still be on its way."""
    while True:
        try:
            await call(channel, "seen")
        except RpcError as error:
            assert error.status is StatusCode.RESOURCE_EXHAUSTED
            return error


# Ends.


async def test_errors_of_handlers(alice: Channel) -> None:
    for status in StatusCode:
        if status is StatusCode.OK:
            continue
        error = await failure(alice, "refuse", status=status, text=f"it's {status}")
        assert (error.status, error.message) == (status, f"it's {status}")
        expected = (("who", str(ALICE.uid)), ("raw-bin", b"\x00\xff"))
        assert error.trailers == expected
    error = await failure(alice, "refuse_after")
    assert (error.status, error.message) == (StatusCode.ABORTED, "")
    assert error.trailers == (("set", "before"),)


@pytest.mark.parametrize("style", STYLES)
async def test_what_nobody_expected_is_told_to_the_log_alone(
    server: ServerProcess, alice: Channel, style: str
) -> None:
    secret = f"secret {next(_keys)}"
    error = await failure(alice, f"fail{style}", secret=secret)
    assert (error.status, error.message) == (StatusCode.INTERNAL, "the handler failed")
    assert error.trailers == ()
    # What it logged went ahead of what it prints.
    done = f"after {secret}"
    await call(alice, "chatter", text=done)
    while done not in server.log():
        await call(alice, "seen")
    log = server.log()
    line = f"worker 1 of alice: signetrpc.rpc: impersonation.Errands/fail{style} failed"
    assert line in log
    assert f"    | ValueError: a detail of {ALICE.uid}: {secret}" in log


async def test_arguments_that_do_not_fit(alice: Channel) -> None:
    error = await failure(alice, "refuse", status="seven", text="")
    assert error.status is StatusCode.INVALID_ARGUMENT
    assert (await call(alice, "seen")).uid == ALICE.uid
