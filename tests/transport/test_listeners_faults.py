"""A listener outlives whatever goes wrong in one handshake."""

from functools import partial

import anyio
import pytest

from signetrpc.transport import PlainConnector, Protection
from signetrpc.transport._acceptors import PlainAcceptor
from signetrpc.transport._driver import Link
from signetrpc.transport._listeners import listen_with
from signetrpc.transport._pipes import Pipe
from signetrpc.transport._stream import SecureStream
from signetrpc.transport.errors import ConnectionClosed

pytestmark = pytest.mark.anyio


class Faulty(PlainAcceptor):
    """Fails once as no acceptor should."""

    sound = False

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Fail, the first time."""
        if self.sound:
            return await super().secure(pipe, start=start)
        self.sound = True
        pipe.abort()
        raise KeyError("a bug")


async def test_a_bug_in_one_handshake_leaves_the_listener_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def echo(stream: SecureStream) -> None:
        await stream.send((await stream.receive()).data)

    listener = await listen_with("tcp://127.0.0.1:0", Faulty())
    async with listener, anyio.create_task_group() as group:
        group.start_soon(partial(listener.serve, echo, protection=Protection.NONE))
        connector = PlainConnector(listener.address)
        with pytest.raises(ConnectionClosed):
            await connector.connect()
        link = await connector.connect()
        async with SecureStream(link.pipe, link.session, Protection.NONE) as stream:
            await stream.send(b"hello")
            assert (await stream.receive()).data == b"hello"
        group.cancel_scope.cancel()
    assert "a bug" in caplog.text
