"""The workers of a server: one for each user, so many and no more, ended when idle."""

import threading
from typing import Any

import anyio
import pytest

from signetrpc.rpc import LocalUser, RpcError, StatusCode
from signetrpc.rpc._local_users import NotImpersonated
from signetrpc.transport import Identity
from tests.support.turns import settle
from tests.support.workshop import (
    as_it_is,
    caller,
    credential,
    hurry,
    refused,
    workshop,
)

pytestmark = pytest.mark.anyio

GONE = "the process to run the call is gone"
NOT_STARTED = "the process to run the call could not be started"


# Whose they are.


async def test_callers_have_workers_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch) as shop:
        alice, bob = await shop.open("alice"), await shop.open("bob")
        assert await shop.open("alice") is alice
        assert alice is not bob
        assert [each.request.user.name for each in shop.played] == ["alice", "bob"]
        assert [len(each.told) for each in shop.played] == [2, 1]
        assert str(alice) == "worker 1 of alice"
        assert len({each.request.folder for each in shop.played}) == 2


async def test_a_link_is_good_until_the_caller_has_to_be_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch, recheck_seconds=30.0) as shop:
        _, link, until = await shop.workers.open(shop.loop, caller("alice"))
        await link.pipe.aclose()
        assert until == shop.loop.now + 30
        assert shop.users.asked == ["alice"]
        await shop.open("alice")
        assert shop.users.asked == ["alice", "alice"]


@pytest.mark.parametrize(
    "changed",
    [
        {"uid": 70000},
        {"gid": 70000, "groups": (70000,)},
        {"groups": (1, 2)},
        {"name": "other"},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_whoever_is_somebody_else_meanwhile_gets_another(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {"name": "alice", "uid": 1, "gid": 2, "groups": (2,)}
    async with workshop(monkeypatch) as shop:
        shop.users.on_find = lambda _: LocalUser(**fields)
        first = await shop.open("alice")
        assert await shop.open("alice") is first
        fields |= changed
        assert await shop.open("alice") is not first


async def test_a_delegated_credential_is_one_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signetrpc.transport._delegation.for_worker", as_it_is)
    async with workshop(monkeypatch) as shop:
        plain = await shop.open("alice", session_id="a")
        first = await shop.open("alice", session_id="b", delegated=credential())
        second = await shop.open("alice", session_id="c", delegated=credential())
        assert len({plain, first, second}) == 3
        assert await shop.open("alice", session_id="d") is plain
        found = [each.begin.credential is not None for each in shop.played]
        assert found == [False, True, True]
        # It is told once, and not with each link.
        assert {each.caller.delegated for one in shop.played for each in one.told} == {
            None
        }


async def test_two_calls_at_once_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workshop(monkeypatch) as shop:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(shop.open, "alice")
        assert len(shop.played) == 1
        assert len(shop.played[0].told) == 5


# Who is nobody.


async def test_a_caller_without_a_user_learns_no_more_than_that(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nobody(_: Identity) -> LocalUser:
        raise NotImpersonated("user 'alice' is root")

    async with workshop(monkeypatch) as shop:
        shop.users.on_find = nobody
        error = await refused(shop, "alice")
        assert error.status is StatusCode.PERMISSION_DENIED
        assert error.message == "the caller has no local user to run as"
        assert str(error.__cause__) == "user 'alice' is root"
        assert "alice@EXAMPLE.COM cannot be impersonated: user 'alice'" in caplog.text
        assert shop.played == []


async def test_a_mapping_that_hangs_is_given_up_and_holds_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()

    def slow(who: Identity) -> LocalUser | None:
        if who.name == "slow":
            assert go.wait(10)
        return None

    try:
        async with workshop(monkeypatch, start_seconds=0.05) as shop:
            shop.users.on_find = slow
            error = await refused(shop, "slow")
            assert error.status is StatusCode.UNAVAILABLE
            assert error.message == "the caller's local user cannot be looked up"
            assert "looking slow@EXAMPLE.COM up takes too long" in caplog.text
    finally:
        go.set()
    async with workshop(monkeypatch) as shop:
        assert (await shop.open("alice")).running


# How many there are.


async def test_no_more_processes_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workshop(monkeypatch, max_workers=2) as shop:
        workers = [await shop.open(name) for name in ("a", "b")]
        assert all(each.enter() for each in workers)
        error = await refused(shop, "c")
        assert error.status is StatusCode.RESOURCE_EXHAUSTED
        assert error.message == "2 processes run for callers, limit 2"
        assert await shop.open("a") is workers[0]
        # The one that has been idle for longest goes.
        workers[0].leave()
        shop.loop.advance(1)
        workers[1].leave()
        shop.loop.advance(1)
        async with anyio.create_task_group() as group:
            group.start_soon(shop.open, "c")
            await shop.until(lambda: shop.played[0].over)
            shop.template.on_end(1, 0)
        assert [each.over for each in shop.played] == [True, False, False]
        assert [each.running for each in workers] == [False, True]


async def test_no_more_of_one_user_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signetrpc.transport._delegation.for_worker", as_it_is)
    async with workshop(monkeypatch, max_user_workers=2) as shop:
        for session in ("s", "t"):
            worker = await shop.open("a", session_id=session, delegated=credential())
            assert worker.enter()
        error = await refused(shop, "a", session_id="u", delegated=credential())
        assert error.status is StatusCode.RESOURCE_EXHAUSTED
        assert error.message == "2 processes run for this caller, limit 2"
        assert (await shop.open("b")).running


async def test_whoever_takes_the_place_of_another_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch, max_workers=2) as shop:
        await shop.open("a")
        shop.loop.advance(1)
        await shop.open("b")
        opened: list[str] = []

        async def ask(name: str) -> None:
            await shop.open(name)
            opened.append(name)

        async with anyio.create_task_group() as group:
            group.start_soon(ask, "c")
            await shop.until(lambda: shop.played[0].over)
            group.start_soon(ask, "c")
            await shop.until(lambda: shop.users.asked == ["a", "b", "c", "c"])
            # The one that goes is enough, and whose process it still is has no room.
            assert len(shop.played) == 2
            assert not shop.played[1].over
            shop.template.on_end(1, 0)
        assert opened == ["c", "c"]
        assert len(shop.played) == 3


async def test_a_process_that_does_not_end_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch, max_workers=1) as shop:
        await shop.open("a")
        hurry(shop)
        error = await refused(shop, "b")
        assert error.status is StatusCode.UNAVAILABLE
        assert error.message == "there is no room for a process to run the call"
        assert "worker 1 of a does not end" in caplog.text
        assert len(shop.played) == 1
        shop.template.on_end(1, 0)
        assert (await shop.open("b")).running


async def test_a_place_that_is_taken_again_is_not_given_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workshop(monkeypatch, max_workers=1) as shop:
        await shop.open("a")
        ends: list[str] = []

        async def ask(name: str) -> None:
            try:
                worker = await shop.open(name)
                worker.enter()
                ends.append("served")
            except RpcError as error:
                ends.append(error.message)

        async with anyio.create_task_group() as group:
            for name in ("b", "c"):
                group.start_soon(ask, name)
            await shop.until(lambda: len(shop.users.asked) == 3)
            shop.template.on_end(1, 0)
        assert sorted(ends) == ["1 processes run for callers, limit 1", "served"]


async def test_one_that_starts_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workshop(monkeypatch, max_workers=1) as shop:
        shop.template.plays = False
        async with anyio.create_task_group() as group:
            group.start_soon(shop.open, "a")
            await shop.until(lambda: bool(shop.played))
            assert (await refused(shop, "b")).status is StatusCode.RESOURCE_EXHAUSTED
            group.start_soon(shop.played[0].play)
            await shop.until(lambda: bool(shop.played[0].told))
            await settle()
            await shop.workers.aclose()
            group.cancel_scope.cancel()


async def test_calls_of_one_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workshop(monkeypatch, max_calls=2) as shop:
        worker = await shop.open("a")
        assert [worker.enter() for _ in range(3)] == [True, True, False]
        worker.leave()
        assert worker.enter()
        assert worker.busy


# When they end.


async def test_an_idle_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workshop(monkeypatch, idle_seconds=10.0) as shop:
        worker = await shop.open("a")
        shop.loop.advance(9)
        assert worker.enter()
        shop.loop.advance(5)
        await settle()
        assert worker.running
        worker.leave()
        shop.loop.advance(9)
        await settle()
        assert worker.running and not shop.played[0].over
        shop.loop.advance(1)
        await settle()
        assert not worker.running
        assert shop.played[0].over
        assert await shop.open("a") is not worker
        # It has two seconds to go by itself.
        assert shop.template.killed == []
        shop.loop.advance(2)
        assert shop.template.killed == [1]


async def test_one_that_went_in_time_is_not_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workshop(monkeypatch, idle_seconds=10.0) as shop:
        await shop.open("a")
        shop.loop.advance(10)
        shop.template.on_end(1, 0)
        await settle()
        shop.loop.advance(2)
        assert shop.template.killed == []
        shop.template.on_end(1, 0)  # and nobody asks twice
        assert caplog.text == ""


async def test_one_timer_watches_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workshop(monkeypatch, idle_seconds=10.0) as shop:
        worker = await shop.open("a")
        for _ in range(100):
            worker.enter()
            worker.leave()
        assert len(shop.loop.armed) == 1


@pytest.mark.parametrize(
    ("status", "how"),
    [(9, "ended by signal 9"), (3 << 8, "ended with status 3"), (None, "template")],
)
async def test_an_end_that_nobody_asked_for_is_logged(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int | None,
    how: str,
) -> None:
    async with workshop(monkeypatch) as shop:
        worker = await shop.open("a")
        shop.template.on_end(1, status)
        assert not worker.running
        assert f"worker 1 of a ended {how}"[:20] in caplog.text
        assert how in caplog.text
        assert await shop.open("a") is not worker
