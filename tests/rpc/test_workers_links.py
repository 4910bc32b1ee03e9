"""Links to workers, and workers that are gone."""

import socket

import anyio
import pytest

from signetrpc.rpc import StatusCode
from signetrpc.rpc._worker_messages import Running
from tests.support.turns import settle
from tests.support.workshop import (
    hurry,
    refused,
    workshop,
)

pytestmark = pytest.mark.anyio

GONE = "the process to run the call is gone"
NOT_STARTED = "the process to run the call could not be started"


# Links.


async def test_a_worker_that_ends_while_a_link_is_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch) as shop:
        shop.template.plays = False
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                error = await refused(shop, "a")
                assert (error.status, error.message) == (StatusCode.UNAVAILABLE, GONE)

            group.start_soon(ask)
            await shop.until(lambda: bool(shop.played))
            shop.played[0].say(Running())
            sock = await shop.played[0].link()
            assert sock is not None
            sock.close()
        assert "worker 1 of a takes no connection: " in caplog.text
        assert shop.template.killed == [1]


async def test_a_worker_that_takes_no_link_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch) as shop:
        shop.template.plays = False
        socks: list[socket.socket | None] = []
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                assert (await refused(shop, "a")).message == GONE

            group.start_soon(ask)
            await shop.until(lambda: bool(shop.played))
            hurry(shop)
            shop.played[0].say(Running())
            socks.append(await shop.played[0].link())
        assert shop.template.killed == [1]
        for sock in socks:
            assert sock is not None
            sock.close()


async def test_a_worker_whose_control_is_closed_takes_no_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch) as shop:
        worker = await shop.open("a")
        worker.control = None
        assert (await refused(shop, "a")).message == GONE
        assert await shop.open("a") is not worker


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
