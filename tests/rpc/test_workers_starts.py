"""Workers that do not start, and what those say that did."""

import logging
import math
from typing import Any

import anyio
import pytest

from signetrpc.rpc import StatusCode
from signetrpc.rpc._worker_messages import Log, Refused, Running
from signetrpc.rpc.errors import ImpersonationError
from tests.support.turns import settle
from tests.support.workshop import (
    PlayedTemplate,
    credential,
    hurry,
    refused,
    workshop,
)

pytestmark = pytest.mark.anyio

GONE = "the process to run the call is gone"
NOT_STARTED = "the process to run the call could not be started"


SAFE = "\n    | all is\\x1b[2K well"

# When they do not start.


async def test_a_worker_that_cannot_serve_says_why_to_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch) as shop:
        shop.template.plays = False
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                error = await refused(shop, "a")
                assert error.status is StatusCode.UNAVAILABLE
                assert error.message == NOT_STARTED

            group.start_soon(ask)
            await shop.until(lambda: bool(shop.played))
            shop.played[0].say(Log("app", logging.WARNING, "hm"))
            shop.played[0].say(Refused("enough\nall is\33[2K well"))
        assert "worker 1 of a: app: hm" in caplog.text
        assert f"worker 1 of a cannot serve: enough{SAFE}" in caplog.text
        assert shop.template.killed == [1]
        await settle()
        assert await shop.played[0].link() is None
        # The next call tries again.
        shop.template.plays = True
        assert (await shop.open("a")).running


@pytest.mark.parametrize("what", [b"\xc1", b""], ids=["garbage", "end"])
async def test_a_worker_that_says_nothing_good(
    monkeypatch: pytest.MonkeyPatch, what: bytes
) -> None:
    async with workshop(monkeypatch) as shop:
        shop.template.plays = False
        async with anyio.create_task_group() as group:
            group.start_soon(refused, shop, "a")
            await shop.until(lambda: bool(shop.played))
            if what:
                shop.played[0].control.send(what)
            else:
                shop.played[0].control.close()
        assert shop.template.killed == [1]


async def test_a_worker_that_is_silent_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch) as shop:
        shop.template.plays = False
        shop.users.on_find = lambda _: hurry(shop)
        assert (await refused(shop, "a")).message == NOT_STARTED
        assert "worker 1 of a could not be started: " in caplog.text
        assert shop.template.killed == [1]
        await settle()
        assert await shop.played[0].link() is None


async def test_a_template_that_is_gone_is_started_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch) as shop:
        await shop.open("a")
        gone = shop.template
        gone.running = False
        gone.on_end(1, None)
        async with anyio.create_task_group() as group:
            for name in ("a", "b"):
                group.start_soon(shop.open, name)
        assert len(shop.templates) == 2
        assert gone.closed
        assert len(shop.played) == 2
        assert "is gone: another one" in caplog.text


async def test_a_template_has_its_own_time_to_start_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deadlines: list[float] = []
    start = PlayedTemplate.start

    async def noted(*given: Any) -> None:
        deadlines.append(anyio.current_effective_deadline())
        await start(*given)

    async with workshop(monkeypatch) as shop:
        monkeypatch.setattr(PlayedTemplate, "start", noted)
        shop.template.running = False
        await shop.open("alice")
    # Given up as late as a process would be, one that is slow would never be there.
    assert deadlines == [math.inf]


async def test_a_worker_of_a_template_that_is_gone_costs_nobody_else_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch) as shop:
        before = await shop.open("a")
        shop.template.running = False
        shop.template.on_end(1, None)
        after = await shop.open("b")
        assert (before.number, after.number) == (1, 1)
        before.kill()  # its socket stays its own: it can break rules there
        assert shop.template.killed == []
        after.kill()
        assert shop.template.killed == [1]


async def test_a_template_that_does_not_start_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Any, *_: Any) -> Any:
        raise ImpersonationError("no more")

    async with workshop(monkeypatch) as shop:
        shop.template.running = False
        with monkeypatch.context() as patch:
            patch.setattr(type(shop.template), "start", broken)
            assert (await refused(shop, "a")).message == NOT_STARTED
        assert "worker 0 of a could not be started: no more" in caplog.text
        assert (await shop.open("a")).running


async def test_a_fork_that_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: Any, *_: Any) -> int:
        raise BlockingIOError("full")

    async with workshop(monkeypatch) as shop:
        with monkeypatch.context() as patch:
            patch.setattr(type(shop.template), "fork", full)
            assert (await refused(shop, "a")).message == NOT_STARTED
        assert "could not be started: full" in caplog.text
        assert shop.template.killed == []


async def test_what_nobody_expected_is_logged_and_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(given: object) -> object:
        raise KeyError("odd")

    monkeypatch.setattr("signetrpc.transport._delegation.for_worker", broken)
    async with workshop(monkeypatch) as shop:
        error = await refused(shop, "a", delegated=credential())
        assert error.message == NOT_STARTED
        assert "KeyError: 'odd'" in caplog.text


# What they say later.


async def test_what_a_worker_logs_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch) as shop:
        worker = await shop.open("a")
        shop.played[0].say(Log("app", logging.ERROR, "oh"))
        await shop.until(lambda: "worker 1 of a: app: oh" in caplog.text)
        assert worker.running


@pytest.mark.parametrize(
    ("message", "says", "killed"),
    [
        (Running(), "sent no message: Running at the wrong moment", True),
        (b"\xc1", "sent no message: malformed packet", True),
        (Refused("enough\nall is\33[2K well"), f"gave up: enough{SAFE}", False),
    ],
    ids=["running", "garbage", "refused"],
)
async def test_a_worker_that_says_something_else_is_ended(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    message: object,
    says: str,
    killed: bool,
) -> None:
    async with workshop(monkeypatch) as shop:
        worker = await shop.open("a")
        played = shop.played[0]
        if isinstance(message, bytes):
            played.control.send(message)
        else:
            played.say(message)
        await shop.until(lambda: not worker.running)
        assert says in caplog.text
        assert (shop.template.killed == [1]) is killed
        await shop.until(lambda: played.over)
        # Whoever closes its socket and lives on does not for long.
        shop.loop.advance(2)
        assert shop.template.killed[-1] == 1


async def test_a_flood_of_words_is_left_where_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch) as shop:
        await shop.open("a")
        control = shop.played[0].control
        sent = 0
        for _ in range(5000):
            try:
                shop.played[0].say(Log("app", logging.WARNING, "x" * 100))
                sent += 1
            except BlockingIOError:
                await settle()
                break
        # Two hundred at once; then what is read waits for its time, unread.
        await shop.until(lambda: len(caplog.records) >= 200)
        await settle()
        assert len(caplog.records) == 200
        with pytest.raises(BlockingIOError):
            for _ in range(5000):
                control.send(bytes(100))
