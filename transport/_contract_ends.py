"""Contract of connectors, second part: how connections end and whom they refuse."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from ._contract_pair import Connected, ConnectorPair, connected, secured, settle
from ._driver import Link
from ._pipes import Pipe
from ._protection import Protection
from ._stream import SecureStream
from .errors import (
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
)

__all__ = ["END_CHECKS", "named"]

_GARBAGE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(64),
    b"\xff" * 64,
    bytes(64),
)


async def _ending(stream: SecureStream) -> tuple[list[bytes], TransportError]:
    """Receive until the end; return what came before it, and the end."""
    got: list[bytes] = []
    while True:
        try:
            got.append((await stream.receive()).data)
        except TransportError as error:
            return got, error


async def clean_close(pair: ConnectorPair) -> None:
    """What was sent before an orderly end arrives, and the end is known as one."""
    for way in (0, 1):
        async with connected(pair) as ends:
            sender, receiver = ends.directions[way]
            for number in range(3):
                await sender.send(b"%d" % number)
            got: list[bytes] = []
            end: TransportError | None = None
            async with anyio.create_task_group() as group:
                group.start_soon(sender.aclose)
                got, end = await _ending(receiver)
                await receiver.aclose()
            assert got == [b"0", b"1", b"2"], f"before the end arrived {got}"
            clean = isinstance(end, ConnectionClosed) and end.clean
            assert clean, f"an orderly end is reported as {end!r}"


async def closed_stream(pair: ConnectorPair) -> None:
    """A closed stream refuses everything; closing it again is harmless."""
    async with connected(pair) as ends:
        async with anyio.create_task_group() as group:  # both at once
            group.start_soon(ends.client.aclose)
            group.start_soon(ends.server.aclose)
        for stream in (ends.client, ends.server):
            await stream.aclose()
            await _refuses_all(stream)


async def _refuses_all(stream: SecureStream) -> None:
    try:
        await stream.send(b"too late")
    except (LocalProtocolError, ConnectionClosed):
        pass
    else:
        raise AssertionError("a closed stream took a message")
    got, end = await _ending(stream)
    assert not got, f"a closed stream gave {got}"
    assert isinstance(end, ConnectionClosed), f"a closed stream says {end!r}"


async def truncation(pair: ConnectorPair) -> None:
    """A connection that is cut is never taken for one that ended in order."""
    for way in (0, 1):
        async with connected(pair) as ends:
            sender, receiver = ends.directions[way]
            pipe = (ends.client_pipe, ends.server_pipe)[way]
            await sender.send(b"before")
            message = await receiver.receive()
            assert message.data == b"before"
            pipe.abort()
            await pipe.aclose()
            got, end = await _ending(receiver)
            assert not got, f"after the cut arrived {got}"
            cut = isinstance(end, ConnectionClosed) and not end.clean
            assert cut, f"a cut is reported as {end!r}"


async def close_to_a_dead_peer(pair: ConnectorPair) -> None:
    """Closing ends although the peer takes nothing and says nothing."""
    async with connected(pair) as ends:
        size = 64 * 1024
        async with anyio.create_task_group() as group:
            group.start_soon(_fill, ends.client, size)
            before = -1
            while ends.client_pipe.written != before:  # until it waits for room
                before = ends.client_pipe.written
                await settle()
            group.cancel_scope.cancel()
        await ends.client.aclose()
        got, end = await _ending(ends.server)
        assert all(data == bytes(size) for data in got), "a message came in pieces"
        assert isinstance(end, ConnectionClosed), f"the peer's end is {end!r}"


async def _fill(stream: SecureStream, size: int) -> None:
    while True:
        await stream.send(bytes(size))


async def garbage_first(pair: ConnectorPair) -> None:
    """A peer that speaks something else is refused, and its connection closed."""
    for garbage in _GARBAGE:
        for handshake, far in await _half(pair):
            outcome: list[Link | TransportError] = []
            async with anyio.create_task_group() as group:
                group.start_soon(_note, handshake, outcome)
                await _put(far, garbage)
                await _until_closed(far)
                await far.aclose()
            assert isinstance(outcome[0], TransportError), (
                f"garbage {garbage[:8]!r} made a session"
            )


async def silence_then_end(pair: ConnectorPair) -> None:
    """A peer that goes away in the handshake ends it."""
    for handshake, far in await _half(pair):
        outcome: list[Link | TransportError] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_note, handshake, outcome)
            await settle()
            await far.aclose()
        assert isinstance(outcome[0], TransportError), "nobody made a session"


async def cancelled_handshake(pair: ConnectorPair) -> None:
    """A handshake that is cancelled leaves no connection behind."""
    for handshake, far in await _half(pair):
        outcome: list[Link | TransportError] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_note, handshake, outcome)
            await settle()
            group.cancel_scope.cancel()
        assert not outcome, f"cancelled, a handshake made {outcome[0]!r} of it"
        await _until_closed(far)
        await far.aclose()


async def _half(
    pair: ConnectorPair,
) -> list[tuple[Callable[[], Awaitable[Link]], Pipe]]:
    """Return each side's handshake, and the far end of its pipe."""
    start = anyio.current_time()
    to_server, server = await pair.pipes()
    client, to_client = await pair.pipes()
    return [
        (lambda: pair.acceptor.secure(server, start=start), to_server),
        (lambda: pair.connector.secure(client, start=start), to_client),
    ]


async def _note(
    handshake: Callable[[], Awaitable[Link]], outcome: list[Link | TransportError]
) -> None:
    outcome.append(await secured(handshake))


async def _put(pipe: Pipe, data: bytes) -> None:
    pipe.write(data)
    try:
        await pipe.drain()
    except ConnectionClosed:
        pass  # it was closed on what came before


async def _until_closed(pipe: Pipe) -> None:
    try:
        while await pipe.receive():
            pass
    except ConnectionClosed:
        pass


async def garbage_later(pair: ConnectorPair) -> None:
    """Bytes that the peer did not write end an open connection; none is a message."""
    for way, garbage in enumerate(_GARBAGE[:2]):
        async with connected(pair) as ends:
            _, receiver = ends.directions[way]
            await _put((ends.client_pipe, ends.server_pipe)[way], garbage)
            await _ends_badly(receiver, "garbage")


async def changed_on_the_way(pair: ConnectorPair) -> None:
    """A changed message never arrives, where anything protects the connection."""
    if not pair.exposed or max(pair.levels) is Protection.NONE:
        return
    for place in (0, 11, -1):  # the header, what follows it, the end

        def change(data: bytes, place: int = place) -> bytes:
            changed = bytearray(data)
            changed[place] ^= 1
            return bytes(changed)

        for level in sorted(pair.levels - {Protection.NONE}):
            async with connected(pair) as ends:
                ends.client_pipe.change = change
                await ends.client.send(b"transfer 100", level)
                ends.client_pipe.change = None
                # A changed length can make the receiver wait for more: until the end.
                ends.client_pipe.abort()
                await ends.client_pipe.aclose()
                await _ends_badly(ends.server, f"byte {place} changed at {level.name}")


async def repeated_on_the_way(pair: ConnectorPair) -> None:
    """A message that somebody repeats does not arrive twice."""
    if not pair.exposed or max(pair.levels) is Protection.NONE:
        return
    for level in sorted(pair.levels - {Protection.NONE}):
        async with connected(pair) as ends:
            ends.client_pipe.change = lambda data: data + data
            await ends.client.send(b"transfer 100", level)
            assert (await ends.server.receive()).data == b"transfer 100"
            await _ends_badly(ends.server, f"repeated at {level.name}")


async def _ends_badly(receiver: SecureStream, what: str) -> None:
    got, end = await _ending(receiver)
    assert not got, f"{what}: arrived {got}"
    closed = isinstance(end, ConnectionClosed) and not end.clean
    assert closed or isinstance(end, RemoteProtocolError), f"{what}: ended by {end!r}"
    again, after = await _ending(receiver)
    assert not again, f"{what}: arrived {again} after the end"
    assert isinstance(after, TransportError)


Check = Callable[[ConnectorPair], Awaitable[None]]

END_CHECKS: tuple[Check, ...] = (
    clean_close,
    closed_stream,
    truncation,
    close_to_a_dead_peer,
    garbage_first,
    silence_then_end,
    cancelled_handshake,
    garbage_later,
    changed_on_the_way,
    repeated_on_the_way,
)
"""Each makes the connections that it needs."""


def named(check: Callable[[Connected], Awaitable[None]] | Check) -> str:
    """Return what a failure calls a check: the first line of its docstring."""
    return (check.__doc__ or check.__name__).splitlines()[0]
