"""Packets over a local socket pair, with open files among them."""

import os
import select
import socket
from array import array
from typing import Final

import anyio
import anyio.lowlevel

from ._worker_messages import MAX_PACKET_BYTES

__all__ = ["Packets", "packet_pair"]

_MOST_FILES: Final = 4
_FILES_TYPE: Final = "i"


class Packets:
    """One end of a pair of SOCK_SEQPACKET sockets: each packet arrives whole or not.

    Who only sends may do so from anywhere: it never waits.
    """

    def __init__(self, sock: socket.socket, *, files: bool = True) -> None:
        """Take a socket.

        Args:
            sock: One of a pair.
            files: False to get packets without descriptors alone.  One that has some
                is not whole then, and the kernel closes them unseen.
        """
        sock.setblocking(False)
        self._socket = sock
        most = _MOST_FILES * array(_FILES_TYPE).itemsize
        self._files_bytes = socket.CMSG_LEN(most) if files else 0

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def send(self, data: bytes, *files: int) -> None:
        """Send a packet with descriptors, which the receiver gets duplicates of.

        Raises:
            BlockingIOError: The receiver has too much unread.
            OSError: The receiver is gone.
        """
        if len(data) > MAX_PACKET_BYTES:
            raise OSError(f"a packet of {len(data)} bytes, limit {MAX_PACKET_BYTES}")
        socket.send_fds(self._socket, [data], list(files), socket.MSG_NOSIGNAL)

    def send_waiting(self, data: bytes) -> None:
        """Send a packet, and block while the receiver has too much unread.

        Raises:
            OSError: The receiver is gone.
        """
        while True:
            try:
                return self.send(data)
            except BlockingIOError:
                select.select([], [self._socket], [])

    async def receive(self) -> tuple[bytes, list[socket.socket]]:
        """Wait for a packet; an empty one is the end.

        Returns:
            The packet, and the sockets that came with it, now the caller's to close.
        """
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                return self.receive_now()
            except BlockingIOError:
                await anyio.wait_readable(self._socket)

    def receive_now(self) -> tuple[bytes, list[socket.socket]]:
        """Return the next packet, or the end.

        Raises:
            BlockingIOError: There is none yet.
        """
        try:
            # Not socket.recv_fds, which forgets the flags it is given.
            data, more, flags, _ = self._socket.recvmsg(
                MAX_PACKET_BYTES, self._files_bytes, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            return b"", []
        files = array(_FILES_TYPE)
        for level, kind, content in more:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files.frombytes(
                    content[: len(content) // files.itemsize * files.itemsize]
                )
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            for each in files:
                os.close(each)
            return b"", []  # a packet that is not whole is worth nothing
        return data, [socket.socket(fileno=each) for each in files]

    def close(self) -> None:
        """Close this end.  Nobody may be receiving."""
        self._socket.close()


def packet_pair() -> tuple[Packets, socket.socket]:
    """Return this process's end, and the other's, to be given away and closed.

    Whoever gets the other end may send no descriptors.
    """
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Packets(near, files=False), far
