"""Packets over a socket pair: whole, in order, with files; and nothing is left open."""

import gc
import os
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from signetrpc.rpc._packets import Packets, packet_pair
from signetrpc.rpc._worker_messages import MAX_PACKET_BYTES
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


def descriptors() -> set[str]:
    gc.collect()
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def ends() -> Iterator[tuple[Packets, Packets]]:
    before = descriptors()
    near, far = packet_pair()
    ends = near, Packets(far)
    yield ends
    for each in ends:
        each.close()
    assert descriptors() == before


async def test_packets_arrive_whole_and_in_order(ends: tuple[Packets, Packets]) -> None:
    near, far = ends
    sent = [b"one", bytes(MAX_PACKET_BYTES - 100), b"three"]
    for each in sent:
        near.send(each)
    assert [(await far.receive())[0] for _ in sent] == sent
    far.send(b"back")
    assert await near.receive() == (b"back", [])


async def test_receiving_waits(ends: tuple[Packets, Packets]) -> None:
    near, far = ends
    found: list[bytes] = []

    async def receive() -> None:
        found.append((await far.receive())[0])

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        await settle()
        assert found == []
        near.send(b"late")
    assert found == [b"late"]


def test_without_waiting_there_is_one_or_not(ends: tuple[Packets, Packets]) -> None:
    near, far = ends
    with pytest.raises(BlockingIOError):
        far.receive_now()
    near.send(b"x")
    assert far.receive_now() == (b"x", [])


async def test_receiving_can_be_cancelled_and_loses_nothing(
    ends: tuple[Packets, Packets],
) -> None:
    near, far = ends
    with anyio.CancelScope() as scope:
        scope.cancel()
        await far.receive()
    near.send(b"kept")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await far.receive()
    assert scope.cancelled_caught
    assert await far.receive() == (b"kept", [])


async def test_files_arrive_as_files_of_ones_own(ends: tuple[Packets, Packets]) -> None:
    near, far = ends
    one, two = socket.socketpair()
    with one, two:
        near.send(b"take", one.fileno(), two.fileno())
        data, files = await far.receive()
        assert data == b"take"
        assert {each.fileno() for each in files} & {one.fileno(), two.fileno()} == set()
        with files[0], files[1]:
            files[0].send(b"hello")
            assert files[1].recv(10) == two.recv(0) + b"hello"
            assert not any(each.get_inheritable() for each in files)


async def test_more_files_than_are_taken_make_a_packet_nothing(
    ends: tuple[Packets, Packets],
) -> None:
    near, far = ends
    near.send(b"many", *[near.fileno()] * 30)
    assert await far.receive() == (b"", [])


async def test_the_service_takes_no_files_of_a_worker() -> None:
    before = descriptors()
    near, far = packet_pair()
    worker = Packets(far)
    # The kernel closes them, and what they came with is not whole.
    worker.send(b"take", far.fileno())
    data, files = await near.receive()
    for end in (near, worker):
        end.close()
    for file in files:
        file.close()
    assert (data, files) == (b"", [])
    assert descriptors() == before


def test_a_packet_that_is_not_whole_is_nothing() -> None:
    before = descriptors()
    sock, raw = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        end = Packets(sock)
        socket.send_fds(raw, [bytes(MAX_PACKET_BYTES + 1)], [raw.fileno()])
        assert end.receive_now() == (b"", [])
        end.close()
    assert descriptors() == before


def test_too_long_a_packet_is_not_sent(ends: tuple[Packets, Packets]) -> None:
    near, far = ends
    with pytest.raises(OSError, match=f"of {MAX_PACKET_BYTES + 1} bytes, limit"):
        near.send(bytes(MAX_PACKET_BYTES + 1))
    with pytest.raises(BlockingIOError):
        far.receive_now()


async def test_the_end_comes_after_what_was_sent(ends: tuple[Packets, Packets]) -> None:
    near, far = ends
    near.send(b"last")
    near.close()
    assert await far.receive() == (b"last", [])
    assert await far.receive() == (b"", [])
    with pytest.raises(OSError):
        far.send(b"to nobody")


async def test_an_end_that_was_not_read_to_is_the_end_too(
    ends: tuple[Packets, Packets],
) -> None:
    near, far = ends
    far.send(b"unread")
    near.close()  # the kernel then says that the connection was reset
    assert await far.receive() == (b"", [])


def test_who_only_sends_never_waits(ends: tuple[Packets, Packets]) -> None:
    near, far = ends
    with pytest.raises(BlockingIOError):
        while True:
            near.send(bytes(4096))
    assert far.receive_now() == (bytes(4096), [])


def test_who_may_wait_does_until_there_is_room(
    ends: tuple[Packets, Packets], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = ends
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            near.send(bytes(4096))
            sent += 1
    waits = threading.Event()
    real = select.select

    def noted(*given: Any) -> object:
        waits.set()
        return real(*given)

    monkeypatch.setattr(select, "select", noted)
    waiting = threading.Thread(target=near.send_waiting, args=[b"at last"])
    waiting.start()
    assert waits.wait(10)
    found = [far.receive_now()[0] for _ in range(sent)]
    waiting.join(10)
    assert found == [bytes(4096)] * sent
    assert far.receive_now() == (b"at last", [])


def test_nobody_to_wait_for(ends: tuple[Packets, Packets]) -> None:
    near, far = ends
    far.close()
    with pytest.raises(OSError):
        near.send_waiting(b"x")
