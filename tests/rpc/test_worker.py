"""A worker from inside: its user and nobody else, with what it needs and no more."""

import logging
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from signetrpc.rpc import RpcError, StatusCode
from signetrpc.rpc._worker import CACHE_NAME
from signetrpc.rpc._worker_messages import NewLink, encode
from signetrpc.transport import Identity, Mechanism
from tests.support.chores import Chores, Fussy
from tests.support.crew import MEMORY, Crew, alive, crew, until, user_of
from tests.support.parts import Part, require

pytestmark = pytest.mark.anyio

ALICE = user_of("alice")


@pytest.fixture
async def team(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Crew]:
    require(Part.ROOT)
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("SECRET_OF_THE_SERVICE", "42")
    monkeypatch.setenv("NTLM_USER_FILE", "/etc/passwords")
    monkeypatch.setenv("ALLOWED", "yes")
    environment = ["ALLOWED", "NTLM_USER_FILE"]
    async with crew([Chores], environment=environment) as team:
        yield team


async def fails(team: Crew, method: str, **arguments: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await team.call("alice", method, **arguments)
    return caught.value


@asynccontextmanager
async def waiting(team: Crew, caplog: pytest.LogCaptureFixture) -> AsyncGenerator[None]:
    """Have a call under way that ends with its process, by the end of the block."""
    visit = await team.visit("alice")
    ends: list[StatusCode] = []

    async def wait() -> None:
        with pytest.raises(RpcError) as caught:
            await visit.call("wait")
        ends.append(caught.value.status)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await until(lambda: "waiting" in caplog.text)
        yield
    assert ends == [StatusCode.UNAVAILABLE]


@pytest.mark.parametrize("method", ["facts", "in_thread"])
async def test_a_handler_runs_as_its_caller(team: Crew, method: str) -> None:
    facts = await team.call("alice", method)
    assert facts["uids"] == [ALICE.uid] * 3
    assert facts["gids"] == [ALICE.gid] * 3
    assert facts["groups"] == list(ALICE.groups)
    assert (facts["caller"], facts["user"]) == ("alice@EXAMPLE.COM", "alice")
    assert facts["delegated"] is False
    assert facts["dumpable"] == 0
    assert facts["cwd"] == "/"
    bob = await team.call("bob", method)
    assert bob["uids"] == [user_of("bob").uid] * 3
    assert bob["pid"] != facts["pid"]
    assert bob["parent"] == facts["parent"]


async def test_it_is_a_process_as_any_other(team: Crew) -> None:
    facts = await team.call("alice", "facts")
    # Python ignores SIGPIPE, and the event loop has signals that wake it.
    assert set(facts["signals"]) - {13, 2} == set()
    assert facts["blocked"] == 0
    assert facts["gc"] is True
    assert await team.call("alice", "child") == str(ALICE.uid)


async def test_of_the_environment_it_has_what_it_needs(team: Crew) -> None:
    found = (await team.call("alice", "facts"))["environment"]
    assert "SECRET_OF_THE_SERVICE" not in found
    assert found["ALLOWED"] == "yes"
    assert found["PATH"] == os.environ["PATH"]
    assert (found["USER"], found["LOGNAME"], found["HOME"]) == ("alice", "alice", "/")
    assert found["SHELL"] == "/bin/sh"
    # No accounts of the service's, and no tickets of anybody's.
    assert "NTLM_USER_FILE" not in found
    folder = Path(found["KRB5CCNAME"].removeprefix("FILE:")).parent
    assert found["KRB5CCNAME"] == f"FILE:{folder}/{CACHE_NAME}"
    for name in ("KRB5_KTNAME", "KRB5_CLIENT_KTNAME"):
        assert found[name] == f"FILE:{folder}/none"
    assert not folder.exists()


async def test_it_has_its_own_descriptors_and_no_others(team: Crew) -> None:
    with Path("/etc/hostname").open() as secret:
        os.set_inheritable(secret.fileno(), True)
        one = await team.visit("alice")
        first = (await one.call("facts"))["descriptors"]
        two = await team.visit("alice")
        second = (await two.call("facts"))["descriptors"]
    assert [first[each] for each in "012"] == ["device"] * 3
    kinds = list(first.values())
    assert kinds.count("SOCK_SEQPACKET") == 1
    assert "file" not in kinds and "pipe" not in kinds and "SOCK_DGRAM" not in kinds
    assert len(second) == len(first) + 1  # the second link
    await one.connection.aclose()
    await two.connection.aclose()


async def test_it_lives_from_call_to_call(team: Crew) -> None:
    assert [await team.call("alice", "again") for _ in range(3)] == [1, 2, 3]
    assert await team.call("bob", "again") == 1


async def test_what_does_not_run_as_its_caller_is_not_there(team: Crew) -> None:
    assert (await fails(team, "own")).status is StatusCode.UNIMPLEMENTED


async def test_its_memory_has_a_limit(team: Crew) -> None:
    error = await fails(team, "allocate", size=MEMORY)
    assert (error.status, error.message) == (StatusCode.INTERNAL, "the handler failed")
    assert await team.call("alice", "allocate", size=1000) == 1000


async def test_what_it_says_is_logged_as_its_words(
    team: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    await team.call("alice", "say", text="one\n2026 ERROR forged")
    await until(lambda: "chores" in caplog.text)
    messages = [each.getMessage() for each in caplog.records]
    found = [each for each in messages if each.startswith("worker 1 of alice: ")]
    assert found == [
        "worker 1 of alice: stdout: one",
        "worker 1 of alice: stdout: 2026 ERROR forged",
        "worker 1 of alice: chores: one\n    | 2026 ERROR forged",
    ]
    names = {each.name for each in caplog.records if "forged" in each.getMessage()}
    assert names == {"signetrpc.worker"}


@pytest.mark.parametrize(
    ("how", "logged"),
    [
        ("killed", "ended by signal 9"),
        ("crashed", "ended by signal 11"),
        ("ended", "ended with status 3"),
        ("stopped", "ended by signal 9"),
    ],
)
async def test_however_it_ends_its_calls_fail_and_the_next_is_served(
    team: Crew, caplog: pytest.LogCaptureFixture, how: str, logged: str
) -> None:
    async with waiting(team, caplog):
        error = await fails(team, "die", how=how)
        assert error.status is StatusCode.UNAVAILABLE
    await until(lambda: logged in caplog.text)
    assert await team.call("alice", "again") == 1
    assert f"worker 1 of alice {logged}" in caplog.text


@pytest.mark.parametrize(
    ("packet", "says"),
    [
        (b"\xc1", "sent no message: malformed packet"),
        (b"\x91\xa7running", "Running at the wrong moment"),
        (b"\x92\xa7refused\xa3why", "gave up: why"),
    ],
)
async def test_forged_packets_end_it(
    team: Crew, caplog: pytest.LogCaptureFixture, packet: bytes, says: str
) -> None:
    facts = await team.call("alice", "facts")
    async with waiting(team, caplog):
        # It may be dead before it has answered.
        with suppress(RpcError):
            await team.call("alice", "forge", packet=packet)
    await until(lambda: not alive(facts["pid"]))
    assert says in caplog.text
    assert await team.call("alice", "again") == 1


async def test_a_user_for_whom_the_service_cannot_be_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    require(Part.ROOT)
    async with crew([Fussy]) as team:
        assert await team.call("alice", "test.Fussy/work") is None
        with pytest.raises(RpcError) as caught:
            await team.call("bob", "test.Fussy/work")
        assert caught.value.status is StatusCode.UNAVAILABLE
        assert "not for" not in caught.value.message
    assert "worker 2 of bob cannot serve: Traceback" in caplog.text
    assert "PermissionError: not for 61002" in caplog.text


async def test_a_link_that_nobody_opens_is_dropped(team: Crew) -> None:
    visit = await team.visit("alice")
    before = await visit.call("facts")
    assert visit.worker.control is not None
    near, far = socket.socketpair()
    with near, far:
        told = NewLink(Identity(mechanism=Mechanism.KERBEROS, name="alice"))
        visit.worker.control.packets.send(encode(told), far.fileno())
    while (after := await visit.call("facts"))["descriptors"] != before["descriptors"]:
        assert len(after["descriptors"]) <= len(before["descriptors"]) + 1
    assert after["pid"] == before["pid"]
