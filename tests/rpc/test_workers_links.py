"""Links to workers, and workers that are gone."""

import anyio
import pytest

from signetrpc.rpc import StatusCode
from signetrpc.rpc._worker_handle import Worker
from signetrpc.rpc._worker_messages import Running
from tests.support.turns import settle
from tests.support.workshop import (
    Workshop,
    hurry,
    refused,
    workshop,
)

pytestmark = pytest.mark.anyio

GONE = "the process to run the call is gone"
NOT_STARTED = "the process to run the call could not be started"


# Links.


async def no_link(shop: Workshop, number: int) -> None:
    """Start as that worker, and end when a link is made."""
    await shop.until(lambda: len(shop.played) >= number)
    played = shop.played[number - 1]
    played.say(Running())
    sock = await played.link()
    assert sock is not None
    sock.close()


async def test_a_worker_that_ends_while_a_link_is_made_has_one_successor(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch) as shop:
        shop.template.plays = False
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                error = await refused(shop, "a")
                assert (error.status, error.message) == (StatusCode.UNAVAILABLE, GONE)

            group.start_soon(ask)
            await no_link(shop, 1)
            await no_link(shop, 2)
        assert len(shop.played) == 2
        assert "worker 1 of a takes no connection: " in caplog.text
        assert shop.template.killed == [1, 2]


async def test_the_successor_serves_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workshop(monkeypatch) as shop:
        shop.template.plays = False
        found: list[Worker] = []
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                found.append(await shop.open("a"))

            group.start_soon(ask)
            await shop.until(lambda: bool(shop.played))
            shop.template.plays = True
            await no_link(shop, 1)
        assert str(found[0]) == "worker 2 of a"
        assert shop.template.killed == [1]


async def test_a_worker_that_takes_no_link_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch) as shop:
        shop.template.plays = False
        async with anyio.create_task_group() as group:
            group.start_soon(shop.open, "a")
            await shop.until(lambda: bool(shop.played))
            hurry(shop)
            shop.template.plays = True
            shop.played[0].say(Running())
            socks = [await shop.played[0].link()]
            await shop.until(lambda: bool(shop.template.killed))
            for sock in socks:
                assert sock is not None
                sock.close()
        assert shop.template.killed == [1]


async def test_a_worker_whose_control_is_closed_takes_no_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch) as shop:
        worker = await shop.open("a")
        worker.control = None
        assert await shop.open("a") is not worker
        assert shop.template.killed == [1]


async def test_a_link_that_is_being_made_keeps_its_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch, idle_seconds=1.0, max_workers=1) as shop:
        shop.template.plays = False
        async with anyio.create_task_group() as group:
            group.start_soon(shop.open, "a")
            await shop.until(lambda: bool(shop.played))
            played = shop.played[0]
            played.say(Running())
            await settle()
            shop.loop.advance(5)
            await settle()
            assert not played.over
            assert (await refused(shop, "b")).status is StatusCode.RESOURCE_EXHAUSTED
            group.start_soon(played.play)  # which serves the link that waits there
            await shop.until(lambda: bool(played.told))
            await settle()
            group.cancel_scope.cancel()


async def test_closing_ends_the_template_and_logs_no_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch) as shop:
        await shop.open("a")
        await shop.workers.aclose()
        assert shop.template.closed
        shop.template.on_end(1, 9)
        assert caplog.text == ""


async def test_who_is_killed_is_forgotten_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch) as shop:
        worker = await shop.open("a")
        worker.kill()
        assert not worker.running
        assert shop.template.killed == [1]
        other = await shop.open("a")
        assert other is not worker
        worker.kill()  # late: the new one stays
        assert await shop.open("a") is other
