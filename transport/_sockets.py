"""Sockets become pipes: connecting, binding, accepting, on asyncio and trio."""

import asyncio
import errno
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import anyio
import anyio.lowlevel

from ._addresses import Address, TcpAddress, UnixAddress
from ._loops import on_trio
from ._pipes import Pipe
from ._pipes_asyncio import AsyncioPipe
from .errors import ConnectFailed

__all__ = ["accept_forever", "bind", "connect_pipe", "pipe_over"]

_log = logging.getLogger("signetrpc.transport")

_BACKLOG: Final = 1024
_OUT_OF_DESCRIPTORS: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_SECONDS: Final = 0.1
_RACE_SECONDS: Final = 0.25
"""How long one address is tried alone."""


async def connect_pipe(address: Address) -> Pipe:
    """Connect to an address.  All addresses of a host name are tried.

    Raises:
        ConnectFailed: Nobody answered.
    """
    try:
        if on_trio():
            return await _connect_trio(address)
        return await _connect_asyncio(address)
    except OSError as error:
        raise ConnectFailed(f"cannot connect to {address}: {_reason(error)}") from error
    except UnicodeError as error:
        raise ConnectFailed(f"cannot connect to {address}: not a host name") from error


def _reason(error: OSError) -> str:
    # What the system said: asyncio puts its own words in place of it, and trio hides
    # the errors of all addresses behind one without a number.
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[-1]
    if isinstance(cause, OSError):
        error = cause
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)


async def _connect_asyncio(address: Address) -> Pipe:
    match address:
        case TcpAddress(host, port):
            return await pipe_over(await _race(host, port))
        case UnixAddress(path):
            loop = asyncio.get_running_loop()
            _, pipe = await loop.create_unix_connection(AsyncioPipe, path)
            return pipe


async def _race(host: str, port: int) -> socket.socket:
    """Try the addresses of a host, the next when one fails or is slow (RFC 8305).

    asyncio has this too, but loses a socket that connects in the turn in which its
    caller is cancelled, and uvloop has it not.
    """
    loop = asyncio.get_running_loop()
    won: list[socket.socket] = []
    errors: list[OSError] = []

    async def attempt(family: int, place: Any, over: anyio.Event) -> None:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, place)
        except OSError as error:
            errors.append(error)
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            won.append(sock)
            group.cancel_scope.cancel()
        over.set()

    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        async with anyio.create_task_group() as group:
            for family, _, _, _, place in dict.fromkeys(found):
                over = anyio.Event()
                group.start_soon(attempt, family, place, over)
                with anyio.move_on_after(_RACE_SECONDS):
                    await over.wait()
        await anyio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        for sock in won:
            sock.close()
        raise
    if not won:
        raise errors[-1]
    for sock in won[1:]:  # both in one turn
        sock.close()
    return won[0]


async def _connect_trio(address: Address) -> Pipe:
    import trio

    from ._pipes_trio import TrioPipe

    match address:
        case TcpAddress(host, port):
            stream = await trio.open_tcp_stream(host, port)
        case UnixAddress(path):
            stream = await trio.open_unix_socket(path)
    # The stream's own descriptor goes with the stream; the pipe keeps a duplicate.
    sock = socket.socket(fileno=os.dup(stream.socket.fileno()))
    stream.socket.close()  # not aclose, in which one may be cancelled
    _tune(sock)
    return TrioPipe(sock)


async def pipe_over(sock: socket.socket) -> Pipe:
    """Make a pipe of a connected socket, which it then owns.

    Raises:
        OSError: The peer is gone already; the socket is closed.
    """
    try:
        sock.setblocking(False)
        _tune(sock)
    except OSError:
        sock.close()
        raise
    if on_trio():
        from ._pipes_trio import TrioPipe

        return TrioPipe(sock)
    loop = asyncio.get_running_loop()
    _, pipe = await loop.connect_accepted_socket(AsyncioPipe, sock)
    return pipe


def _tune(sock: socket.socket) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def bind(address: Address) -> list[socket.socket]:
    """Return listening, non-blocking sockets for an address.

    Raises:
        OSError: It cannot be listened on; the message names the address.
    """
    sockets: list[socket.socket] = []
    try:
        match address:
            case UnixAddress(path):
                _remove_stale(path)
                sockets.append(_listening(socket.AF_UNIX, path))
            case TcpAddress(host, port):
                found = await anyio.getaddrinfo(
                    host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
                )
                for family, _, _, _, place in dict.fromkeys(found):
                    if port == 0 and sockets:  # one port for all families
                        place = (place[0], sockets[0].getsockname()[1])
                    sockets.append(_listening(family, place))
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise OSError(
            error.errno, f"cannot listen on {address}: {_reason(error)}"
        ) from error
    except UnicodeError as error:
        raise OSError(
            errno.EINVAL, f"cannot listen on {address}: not a host name"
        ) from error
    return sockets


def _listening(family: int, place: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(place)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket that a server which is gone has left behind."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:
            pass  # somebody is there, and busy


async def accept_forever(
    sock: socket.socket, handle: Callable[[socket.socket], Awaitable[None]]
) -> None:
    """Accept connections until cancelled.

    Running out of descriptors does not end the loop: it pauses and tries again.

    Args:
        sock: A listening socket.
        handle: Awaited for each connection; must return quickly.
    """
    while True:
        try:
            connection = await _accept(sock)
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                _log.error("cannot accept: %s; trying again", _reason(error))
                await anyio.sleep(_PAUSE_SECONDS)
            elif sock.fileno() < 0:
                raise
            continue  # else: the peer was gone before it was accepted
        await handle(connection)


async def _accept(sock: socket.socket) -> socket.socket:
    # asyncio's sock_accept loses a connection that comes in the turn in which it is
    # cancelled.
    while True:
        if sock.fileno() < 0:
            raise OSError(errno.EBADF, "the listener is closed")
        await anyio.wait_readable(sock)
        try:
            return sock.accept()[0]
        except (BlockingIOError, InterruptedError):
            continue
