"""A socket in the file system that tells everybody who knocks who the kernel says."""

import socket
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["Door"]

_SO_PEERGROUPS: Final = 59  # uapi/asm-generic/socket.h; Python has no name for it
_MOST_GROUPS: Final = 64


class Door:
    """Answers each connection with `UID GID (GROUP, ...)` of the other end.

    A context manager.
    """

    def __init__(self, path: Path) -> None:
        """Open it at a path, for everybody."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        path.chmod(0o777)
        self._socket.listen(64)
        self._thread = threading.Thread(target=self._answer)

    def _answer(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return  # closed
            with sock:
                sock.sendall(_peer_of(sock).encode())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # which wakes the thread
        self._thread.join()
        self._socket.close()


def _peer_of(sock: socket.socket) -> str:
    size = struct.calcsize("iII")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, gid = struct.unpack("iII", credentials)
    most = _MOST_GROUPS * struct.calcsize("I")
    groups = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, most)
    ids = struct.unpack(f"{len(groups) // struct.calcsize('I')}I", groups)
    return f"{uid} {gid} {tuple(sorted(ids))}"
