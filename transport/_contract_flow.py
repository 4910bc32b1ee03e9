"""Contract of connectors, first part: what data may expect of an open connection.

Each check gets a connection of its own or leaves the one it was given as it found it:
open, with nothing on its way.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import anyio.lowlevel

from ._contract_pair import Connected, settle
from ._protection import Protection
from ._stream import Message, SecureStream, SecureStreamAttribute
from .errors import (
    BusyError,
    ConnectionClosed,
    FrameTooLarge,
    InsufficientProtection,
    LocalProtocolError,
)

__all__ = ["FLOW_CHECKS"]

_MANY: Final = 500
_SENDERS: Final = 8
_EACH: Final = 25
# No power of 2 of them: bytes that went astray would not look right.
_NUMBERS: Final = bytes(range(251))


async def _expect(
    receiver: SecureStream, data: bytes, level: Protection, what: str
) -> None:
    message = await receiver.receive()
    assert message.protection is level, (
        f"{what}: arrived at level {message.protection!r}, expected {level!r}"
    )
    assert message.data == data, (
        f"{what}: {len(message.data)} bytes arrived, not the {len(data)} that were sent"
    )


async def facts(ends: Connected) -> None:
    """Both ends say the same of the connection, and who the other one is."""
    client, server = ends.client, ends.server
    for name in ("suite", "minimum_protection"):
        attribute = getattr(SecureStreamAttribute, name)
        ours, theirs = client.extra(attribute), server.extra(attribute)
        assert ours == theirs, f"{name}: client says {ours!r}, server {theirs!r}"
    for end in (client, server):
        assert end.extra(SecureStreamAttribute.peer) == end.peer, (
            "the attribute `peer` is not the stream's peer"
        )
        assert end.extra(SecureStreamAttribute.max_message_bytes) > 0
    expected = ends.pair.mechanism
    assert server.peer.mechanism is expected, (
        f"the server knows the client by {server.peer.mechanism!r}, not {expected!r}"
    )
    assert server.peer.anonymous or server.peer.name, "the client's name is empty"


async def levels(ends: Connected) -> None:
    """A message arrives at its level, or the next higher one; else it is refused."""
    given = sorted(ends.pair.levels)
    for sender, receiver in ends.directions:
        await sender.send(b"by default")
        await _expect(receiver, b"by default", given[-1], "the connection's default")
        for asked in Protection:
            arrives = next((level for level in given if level >= asked), None)
            what = f"a message of level {asked.name}"
            try:
                await sender.send(b"override", asked)
            except InsufficientProtection:
                assert arrives is None, f"{what} was refused"
            except LocalProtocolError:
                assert asked < given[0], f"{what} was refused"
            else:
                assert arrives is not None, f"{what} was taken; {given[-1].name} is all"
                await _expect(receiver, b"override", arrives, what)


async def sizes(ends: Connected) -> None:
    """Every size from 1 byte to the limit arrives whole."""
    for sender, receiver in ends.directions:
        most = sender.extra(SecureStreamAttribute.max_message_bytes)
        tried = {1, 2, 255, 256, 4095, 4096, 4097, 16384, 16385, most - 1, most}
        for size in sorted(size for size in tried if 0 < size <= most):
            data = (_NUMBERS * (size // len(_NUMBERS) + 1))[:size]
            async with anyio.create_task_group() as group:
                group.start_soon(sender.send, data)
                await _expect(
                    receiver, data, max(ends.pair.levels), f"a message of {size} bytes"
                )


async def limit(ends: Connected) -> None:
    """A message that is too long, or empty, is refused before a byte is written."""
    pipes = (ends.client_pipe, ends.server_pipe)
    for (sender, receiver), pipe in zip(ends.directions, pipes, strict=True):
        most = sender.extra(SecureStreamAttribute.max_message_bytes)
        before = pipe.written
        try:
            await sender.send(bytes(most + 1))
        except FrameTooLarge as error:
            assert (error.size, error.limit) == (most + 1, most), (
                f"FrameTooLarge says size {error.size}, limit {error.limit}"
            )
        else:
            raise AssertionError(f"{most + 1} bytes were taken; the limit is {most}")
        try:
            await sender.send(b"")
        except LocalProtocolError:
            pass
        else:
            raise AssertionError("an empty message was taken")
        assert pipe.written == before, "bytes of a refused message were written"
        await sender.send(b"next")
        await _expect(receiver, b"next", max(ends.pair.levels), "the message after it")


async def order(ends: Connected) -> None:
    """A thousand messages, both ways at once and at all levels, keep their order."""
    given = sorted(ends.pair.levels)

    async def send(sender: SecureStream) -> None:
        for number in range(_MANY):
            data = b"%d" % number
            await sender.send(data * (1 + number % 40), given[number % len(given)])

    async def receive(receiver: SecureStream) -> None:
        for number in range(_MANY):
            data, level = b"%d" % number, given[number % len(given)]
            await _expect(receiver, data * (1 + number % 40), level, f"no. {number}")

    async with anyio.create_task_group() as group:
        for sender, receiver in ends.directions:
            group.start_soon(send, sender)
            group.start_soon(receive, receiver)


async def _numbered(receiver: SecureStream, due: list[int]) -> tuple[int, bytes]:
    words = (await receiver.receive()).data.split(b" ", 2)
    task, number = int(words[0]), int(words[1])
    assert number == due[task], f"task {task}: message {number}, not {due[task]}"
    return task, words[2]


async def senders(ends: Connected) -> None:
    """Messages of tasks that send at once arrive whole, each task's in order."""

    async def send(sender: SecureStream, task: int) -> None:
        for number in range(_EACH):
            await sender.send(b"%d %d " % (task, number) + bytes(number * 31))
            await anyio.lowlevel.checkpoint()

    for sender, receiver in ends.directions:
        due = [0] * _SENDERS
        async with anyio.create_task_group() as group:
            for task in range(_SENDERS):
                group.start_soon(send, sender, task)
            for _ in range(_SENDERS * _EACH):
                task, rest = await _numbered(receiver, due)
                assert rest == bytes(due[task] * 31), "a message came in pieces"
                due[task] += 1


async def congestion(ends: Connected) -> None:
    """More than all buffers hold gets through, both ways, once it is received."""
    most = ends.client.extra(SecureStreamAttribute.max_message_bytes)
    size = min(most, 64 * 1024)

    async def send(sender: SecureStream) -> None:
        for number in range(16):
            await sender.send(bytes((number,)) * size)

    async with anyio.create_task_group() as group:
        for sender, _ in ends.directions:
            group.start_soon(send, sender)
        for number in range(16):
            for _, receiver in ends.directions:
                await _expect(
                    receiver,
                    bytes((number,)) * size,
                    max(ends.pair.levels),
                    "a message that waited for room",
                )


async def cancelled_receive(ends: Connected) -> None:
    """A `receive` that is cancelled loses nothing, whenever that happens."""
    for sender, receiver in ends.directions:
        got: list[bytes] = []

        async def take(receiver: SecureStream, got: list[bytes]) -> None:
            got.append((await receiver.receive()).data)

        for turns in range(12):
            async with anyio.create_task_group() as group:
                group.start_soon(take, receiver, got)
                await anyio.lowlevel.checkpoint()
                await sender.send(b"%d" % turns)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            if len(got) <= turns:
                got.append((await receiver.receive()).data)
            assert got[-1] == b"%d" % turns, f"message {turns} was lost"


async def busy(ends: Connected) -> None:
    """Two tasks cannot receive at once; the first one is not disturbed."""
    for sender, receiver in ends.directions:
        got: list[Message] = []

        async def take(receiver: SecureStream, got: list[Message]) -> None:
            got.append(await receiver.receive())

        async with anyio.create_task_group() as group:
            group.start_soon(take, receiver, got)
            await settle()
            try:
                await receiver.receive()
            except BusyError:
                pass
            else:
                raise AssertionError("two tasks could receive at once")
            await sender.send(b"for the first")
        assert got[0].data == b"for the first", "the first task lost its message"


async def cancelled_send(ends: Connected) -> None:
    """A `send` that is cancelled leaves no hole: all arrives in order, or it ends."""
    sender, receiver = ends.directions[0]
    size = min(sender.extra(SecureStreamAttribute.max_message_bytes), 64 * 1024)
    begun = 0

    async def fill() -> None:
        nonlocal begun
        while True:
            begun += 1
            await sender.send(bytes((begun % 256,)) * size)

    async with anyio.create_task_group() as group:
        group.start_soon(fill)
        before = -1
        while begun != before:  # until it waits for room
            before = begun
            await settle()
        group.cancel_scope.cancel()
    # What was handed over before goes on its way as others drain.
    arrived = 0

    async def last() -> None:
        try:
            await sender.send(b"last")
        except ConnectionClosed:
            await sender.aclose()

    async with anyio.create_task_group() as group:
        group.start_soon(last)
        try:
            while (data := (await receiver.receive()).data) != b"last":
                arrived += 1
                assert data == bytes((arrived % 256,)) * size, (
                    f"message {arrived} was lost or came in pieces"
                )
            assert arrived == begun, f"{begun} messages were sent, {arrived} arrived"
        except ConnectionClosed as error:
            assert not error.clean, "a message was lost, and the end says it is clean"


FLOW_CHECKS: tuple[Callable[[Connected], Awaitable[None]], ...] = (
    facts,
    levels,
    sizes,
    limit,
    order,
    senders,
    congestion,
    cancelled_receive,
    busy,
    cancelled_send,  # the last: it may end the connection
)
"""In the order in which they can share a connection."""
