"""What a handler can write to the sockets that its process has of the service's."""

import os
import select
import socket
import stat
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import encode_ping, encode_reply, encode_status
from signetrpc.rpc._worker_messages import Log, encode
from signetrpc.transport import Protection
from signetrpc.transport._frames import FrameType, encode_frame

__all__ = ["FORGED_LINE", "FORGERIES", "forge"]

FORGED_LINE: Final = "CRITICAL:signetrpc.rpc:root is impersonated"
"""As the service itself would log it."""

_FLOOD: Final = 20_000
_NO_TRAILERS: Final = encode_value(None)


@contextmanager
def _sockets(kind: socket.SocketKind) -> Generator[list[socket.socket]]:
    """Give those of a kind whose other end is the service's."""
    descriptors = [each for each in range(3, 1024) if _is_socket(each)]
    found = [socket.socket(fileno=os.dup(each)) for each in descriptors]
    try:
        yield [each for each in found if each.type == kind and _is_of_service(each)]
    finally:
        for each in found:
            each.close()


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _is_of_service(sock: socket.socket) -> bool:
    if sock.family != socket.AF_UNIX:
        return False
    size = struct.calcsize("iII")
    peer, _, _ = struct.unpack("iII", sock.getsockopt(*_PEER, size))
    return bool(peer != os.getpid())  # who made the pair


_PEER: Final = (socket.SOL_SOCKET, socket.SO_PEERCRED)


def _record(*messages: bytes) -> bytes:
    run = b"".join(len(each).to_bytes(4, "big") + each for each in messages)
    return encode_frame(FrameType.RECORD, Protection.SEAL, run)


def _send_all(sock: socket.socket, data: bytes) -> None:
    """Send without changing whether the socket blocks, which the worker relies on."""
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            select.select([], [sock], [])


def _to_links(data: bytes) -> str:
    with _sockets(socket.SOCK_STREAM) as links:
        for each in links:
            try:
                _send_all(each, data)
            except OSError as error:
                return type(error).__name__
        return str(len(links))


def _to_control(*packets: bytes, files: tuple[int, ...] = ()) -> str:
    with _sockets(socket.SOCK_SEQPACKET) as (control,):
        for each in packets:
            socket.send_fds(control, [each], files)
    return ""


def forge(call_id: int, text: str) -> None:
    """Answer a call with a text, on every connection of the process."""
    reply = encode_reply(call_id, _NO_TRAILERS, encode_value(text))
    _to_links(_record(reply))


def _garbage() -> bytes:
    return bytes(range(256)) * 16


def _shut() -> str:
    with _sockets(socket.SOCK_STREAM) as links:
        for each in links:
            each.shutdown(socket.SHUT_RDWR)
    return ""


def _send_files() -> str:
    """Send descriptors that are no sockets, with a packet like any other."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    packet = encode(Log("sender", 30, "files come with this"))
    try:
        return _to_control(packet, files=(nowhere,) * 4)
    finally:
        os.close(nowhere)


def _forge_log() -> str:
    nasty = f"a\n{FORGED_LINE}\r\x1b[2K{FORGED_LINE}"
    return _to_control(
        encode(Log("signetrpc.rpc", 50, nasty)),
        encode(Log(f"signetrpc.audit\n{FORGED_LINE}"[:256], 20, nasty)),
    )


FORGERIES: Final[dict[str, Callable[[], str]]] = {
    "garbage": lambda: _to_links(_garbage()),
    "garbage in a record": lambda: _to_links(_record(_garbage())),
    "a frame too long": lambda: _to_links(b"\x10\x02\0\0\xff\xff\xff\xff"),
    "an answer to no call": lambda: _to_links(
        _record(encode_status(0x7FFFFFFF, 5, "forged"))
    ),
    "answers to an old call": lambda: _to_links(
        _record(*[encode_status(1, 5, "forged")] * 100) * (_FLOOD // 100)
    ),
    "pings": lambda: _to_links(_record(*[encode_ping(1)] * 1000)),
    "garbage as control": lambda: _to_control(_garbage()),
    "send files": _send_files,
    "forge log": _forge_log,
    "shut": _shut,
}
