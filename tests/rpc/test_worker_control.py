"""The control socket of a worker, with a test at the other end."""

import logging
import socket
from collections.abc import AsyncIterator

import anyio
import pytest

from signetrpc.rpc._packets import Packets
from signetrpc.rpc._worker_control import WorkerControl
from signetrpc.rpc._worker_messages import (
    Begin,
    Log,
    NewLink,
    Refused,
    Running,
    encode,
    read_to_worker,
)
from signetrpc.transport import Identity, Mechanism, TransportError
from tests.support.workshop import credential

pytestmark = pytest.mark.anyio

CALLER = Identity(
    mechanism=Mechanism.KERBEROS,
    name="alice",
    realm="EXAMPLE.COM",
    delegated=credential(),
)


class Ends:
    """Both ends.

    Attributes:
        near: Under test.
        far: The worker's.
    """

    def __init__(self) -> None:
        self.near = WorkerControl("worker 7 of alice", lambda: 0.0)
        self.far = Packets(self.near.far)

    def say(self, *messages: object) -> None:
        """Have the worker say something."""
        for each in messages:
            self.far.send(encode(each))


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends()
    yield ends
    ends.far.close()
    ends.near.close()


async def test_a_credential_waits_for_the_worker_alone(ends: Ends) -> None:
    ends.near.begin(credential())
    data, files = ends.far.receive_now()
    told = read_to_worker(data)
    assert isinstance(told, Begin)
    assert told.credential is not None
    assert told.credential.token == credential().token
    assert files == []


@pytest.mark.parametrize(
    ("word", "serves", "says"),
    [
        (Running(), True, ""),
        (Refused("not\nme"), False, "worker 7 of alice cannot serve: not\n    | me"),
    ],
    ids=["running", "refused"],
)
async def test_its_first_word_is_whether_it_serves(
    ends: Ends,
    caplog: pytest.LogCaptureFixture,
    word: object,
    serves: bool,
    says: str,
) -> None:
    ends.say(Log("app", logging.WARNING, "hm"), word)
    assert await ends.near.first_word() is serves
    assert "worker 7 of alice: app: hm" in caplog.text
    assert says in caplog.text


async def test_one_that_ends_at_once_does_not_serve(ends: Ends) -> None:
    ends.far.close()
    assert await ends.near.first_word() is False


async def test_what_it_says_is_logged_until_it_ends(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    ends.say(*(Log("app", logging.WARNING, text) for text in ("one", "two")))
    ends.far.close()
    await ends.near.listen()
    assert [each.getMessage() for each in caplog.records] == [
        "worker 7 of alice: app: one",
        "worker 7 of alice: app: two",
    ]


async def test_one_that_gives_up_is_heard_no_further(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    ends.say(Refused("enough"), Log("app", logging.WARNING, "more"))
    await ends.near.listen()
    assert "worker 7 of alice gave up: enough" in caplog.text
    assert "more" not in caplog.text


@pytest.mark.parametrize("garbage", [encode(Running()), b"\xc1"])
async def test_what_no_worker_says_is_an_error(ends: Ends, garbage: bytes) -> None:
    ends.far.send(garbage)
    with pytest.raises(ValueError, match="wrong moment|malformed packet"):
        await ends.near.listen()


# Links.


async def test_a_link_is_told_with_its_caller_and_no_credential(ends: Ends) -> None:
    found: list[NewLink] = []

    async def refuse() -> None:
        data, (sock,) = await ends.far.receive()
        sock.close()
        message = read_to_worker(data)
        assert isinstance(message, NewLink)
        found.append(message)

    async with anyio.create_task_group() as group:
        group.start_soon(refuse)
        with pytest.raises(TransportError):
            await ends.near.link(CALLER, 60.0)
    (told,) = found
    assert told.caller.principal == CALLER.principal
    assert told.caller.delegated is None


async def test_a_worker_that_answers_nothing_takes_no_link(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        await ends.near.link(CALLER, 0.05)
    _, (sock,) = ends.far.receive_now()
    with sock:
        assert sock.type == socket.SOCK_STREAM


async def test_nor_does_one_that_has_ended(ends: Ends) -> None:
    ends.far.close()
    with pytest.raises(OSError):
        await ends.near.link(CALLER, 60.0)
