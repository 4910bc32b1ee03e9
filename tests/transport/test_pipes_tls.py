"""TLS over a pipe, by hand: what comes together, and what is asked for too often."""

import ssl
from pathlib import Path
from typing import cast

import pytest

from signetrpc.transport._pipes_tls import PipeOverTls
from signetrpc.transport.errors import ConnectionClosed
from tests.support.calls import HeldLoop, HeldPipe
from tests.support.certificates import Authority
from tests.support.pipes import Noted

pytestmark = pytest.mark.anyio


class Brought(HeldPipe):
    """A pipe that brings what the test put in."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: list[bytes] = []

    async def receive(self) -> bytes:
        """Give the next chunk; there must be one."""
        return self.chunks.pop(0)


class Client:
    """A client in the test's hands."""

    def __init__(self, authority: Authority) -> None:
        context = ssl.create_default_context(cafile=str(authority.file))
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, False, "localhost")

    def hello(self) -> bytes:
        """Begin the handshake."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._out.read()

    def finish(self, answer: bytes, data: bytes) -> bytes:
        """End the handshake and say something in the same breath."""
        self._in.write(answer)
        self._tls.do_handshake()
        self._tls.write(data)
        return self._out.read()


async def shaken(folder: Path) -> tuple[PipeOverTls, Brought]:
    """Return a server's end whose peer ended the handshake and said "hello" at once."""
    authority = Authority(folder)
    issued = authority.issue()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.file, issued.key)
    client = Client(authority)

    class Answered(Brought):
        async def receive(self) -> bytes:
            if not self.chunks:
                self.chunks.append(client.finish(bytes(self.sent), b"hello"))
            return await super().receive()

    pipe = Answered()
    pipe.chunks.append(client.hello())
    over = PipeOverTls(pipe, context, server_side=True)
    await over.shake_hands()
    return over, pipe


async def test_what_came_with_the_end_of_the_handshake_is_received(
    tmp_path: Path,
) -> None:
    over, _ = await shaken(tmp_path)
    assert await over.receive() == b"hello"


async def test_what_came_with_the_end_of_the_handshake_is_pushed(
    tmp_path: Path,
) -> None:
    over, pipe = await shaken(tmp_path)
    noted = Noted()
    over.start_receiving(cast("HeldLoop", None), noted)
    assert noted.data == b"hello" and pipe.receiver is over


class Asked:
    """A TLS that answers every byte with two, as if each asked for new keys."""

    def __init__(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self._in, self._out = incoming, outgoing

    def read(self, size: int) -> bytes:
        """Answer, and have nothing for the user."""
        self._out.write(2 * self._in.read())
        raise ssl.SSLWantReadError


class AskedContext(ssl.SSLContext):
    """Makes one."""

    def wrap_bio(  # type: ignore[override]
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *_: object
    ) -> Asked:
        """Return it."""
        return Asked(incoming, outgoing)


def asked() -> tuple[PipeOverTls, HeldPipe, Noted]:
    pipe, noted = HeldPipe(), Noted()
    context = AskedContext(ssl.PROTOCOL_TLS_SERVER)
    over = PipeOverTls(pipe, context, server_side=True)
    over.start_receiving(cast("HeldLoop", None), noted)
    return over, pipe, noted


async def test_a_peer_that_asks_and_does_not_read_is_left() -> None:
    over, pipe, noted = asked()
    pipe.full = True
    for _ in range(100):
        over.data_received(bytes(1024))
    assert len(pipe.sent) < 128 * 1024
    (error,) = noted.ends
    assert isinstance(error, ConnectionClosed) and "does not read" in str(error)


async def test_a_peer_that_asks_and_reads_is_answered() -> None:
    over, pipe, noted = asked()
    for _ in range(100):
        over.data_received(bytes(1024))
    assert len(pipe.sent) == 200 * 1024 and not noted.ends
