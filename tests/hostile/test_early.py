"""Callers who say much with the end of their handshake, and read nothing."""

import socket

import anyio
import pytest

from signetrpc.rpc import Protection, method, service
from signetrpc.rpc._assembly import Buffers
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import Reply, decode_message, encode_call, encode_end
from signetrpc.rpc._server_connection import ServerConnection
from signetrpc.rpc._serving import Serving
from signetrpc.transport._driver import Link
from signetrpc.transport._events import MessagesReceived
from signetrpc.transport._loops import open_loop
from signetrpc.transport._pipes import CHUNK
from signetrpc.transport._session import Session
from signetrpc.transport._sockets import pipe_over
from tests.support.calls import endpoints
from tests.support.sessions import AEAD, opened
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NIL = b"\xc0"
CALLS = 100
"""Whose answers are more than a socket and its pipe take."""


@service("test.Loud", protection=Protection.SIGN)
class Loud:
    @method(inline=True)
    def shout(self) -> bytes:
        return bytes(60_000)


def calls(client: Session) -> bytes:
    name = encode_value("test.Loud/shout")
    for number in range(1, CALLS + 1):
        client.send(encode_call(number, name, None, NIL, b"\x80"), Protection.SIGN)
    return client.data_to_send()


class Caller:
    """Sends as much as anybody takes, and reads when the test says."""

    def __init__(self, far: socket.socket, client: Session) -> None:
        self.sent = self.answered = 0
        self._far = far
        self._client = client
        self._left = b""

    async def send_all_that_is_taken(self) -> None:
        idle = False
        while True:
            if not self._left:
                for _ in range(1000):  # of a call that has ended by then
                    self._client.send(encode_end(CALLS), Protection.SIGN)
                self._left = self._client.data_to_send()
            try:
                taken = self._far.send(self._left)
            except BlockingIOError:
                if idle:
                    return
                await settle()
                idle = True
            else:
                idle = False
                self.sent, self._left = self.sent + taken, self._left[taken:]
                assert self.sent < 16 << 20, "somebody takes all there is"

    async def read(self) -> None:
        """Read what there is."""
        try:
            self._client.receive_data(self._far.recv(1 << 20))
        except BlockingIOError:
            await settle()
        while (event := self._client.next_event()) is not None:
            assert isinstance(event, MessagesReceived)
            said = map(decode_message, event.messages)
            self.answered += sum(isinstance(each, Reply) for each in said)


async def test_a_caller_who_never_reads_is_not_read_from_from_the_beginning() -> None:
    near, far = socket.socketpair()
    client, server = opened(minimum=Protection.SIGN, suite=AEAD)
    far.setblocking(False)
    serving = Serving(
        endpoints=endpoints([Loud()]),
        max_body_bytes=1 << 20,
        max_calls=1024,
        threads=anyio.CapacityLimiter(4),
        buffers=Buffers(),
    )
    with far:
        async with open_loop() as loop:
            pipe = await pipe_over(near)
            server.receive_data(calls(client))
            caller = Caller(far, client)
            await caller.send_all_that_is_taken()
            connection = ServerConnection(loop, Link(pipe, server), serving)
            connection.start()
            await caller.send_all_that_is_taken()
            try:
                # What the pipe had when it was started, and one chunk at the most.
                assert connection.counts.received_bytes <= 2 * CHUNK
                # It goes on where it was when the answers are read.
                with anyio.fail_after(30):
                    while connection.counts.received_bytes < caller.sent:
                        await caller.read()
                    while caller.answered < CALLS:
                        await caller.read()
                assert connection.ended is None
            finally:
                await connection.aclose()
