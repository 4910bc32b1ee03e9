"""A socket under trio: non-blocking calls first, parking only when they would block.

Imported only where trio runs.
"""

import socket

import trio

from ._pipes import CHUNK, BufferedPipe, broken
from .errors import ConnectionClosed

__all__ = ["TrioPipe"]


class TrioPipe(BufferedPipe):
    """A connected, non-blocking socket under trio."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        sock.setblocking(False)
        self._sock = sock

    def write(self, data: bytes) -> None:
        """Send what the socket takes now and keep the rest."""
        if self._broken is None and not self._backlog and not self._sending.locked():
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._break(broken(error))
                return
            else:
                if sent == len(data):
                    return
                data = data[sent:]
        super().write(data)

    async def _receive_some(self) -> bytes:
        sock = self._sock
        while True:
            # Waiting first makes this a checkpoint even on a busy connection.
            try:
                await trio.lowlevel.wait_readable(sock)
                return sock.recv(CHUNK)
            except (BlockingIOError, InterruptedError):
                continue
            except (OSError, trio.ClosedResourceError) as error:
                raise broken(error) from error

    async def _send_backlog(self) -> None:
        # What the socket took leaves the backlog at once: a cancelled send loses
        # nothing, and the next one goes on where it stopped.
        sock, backlog = self._sock, self._backlog
        while backlog:
            try:
                del backlog[: sock.send(backlog)]
            except (BlockingIOError, InterruptedError):
                await self._writable()
            except OSError as error:
                raise broken(error) from error

    async def _writable(self) -> None:
        try:
            await trio.lowlevel.wait_writable(self._sock)
        except (OSError, trio.ClosedResourceError) as error:
            raise broken(error) from error

    async def _end(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise broken(error) from error

    async def _close(self) -> None:
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._break(ConnectionClosed("closed by this end", clean=False))
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
