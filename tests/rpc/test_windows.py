"""Both ends of a connection and their windows over long runs: nothing is ever lost."""

# pyright: reportPrivateUsage=false

from collections.abc import AsyncIterator

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signetrpc.rpc import Protection, method, service
from signetrpc.rpc._assembly import Buffers
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._flow import CONNECTION_WINDOW, STREAM_WINDOW
from signetrpc.rpc._schema import CallKind
from signetrpc.rpc._server_connection import ServerConnection
from signetrpc.rpc._serving import Serving
from signetrpc.rpc._stream_call import StreamCall
from signetrpc.transport import ConnectionClosed
from signetrpc.transport._driver import Link
from tests.support.calls import HeldPipe, endpoints
from tests.support.sessions import SUITES, opened
from tests.support.stepping import StepLoop, StepTask, finished

NIL = b"\xc0"
LIMIT = 1 << 21
ECHO = encode_value("test.Echo/echo")


@service("test.Echo", protection=Protection.SIGN)
class Echo:
    @method
    async def echo(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for each in items:
            yield each


class _Client(ClientConnection):
    """A client's end that is not closed when it has ended: there is no pipe."""

    async def _close_when_ended(self) -> None:
        """Leave it."""


class Talk:
    """Client and server, joined in memory."""

    def __init__(self, suite: str) -> None:
        self.loop = StepLoop()
        near, far = opened(suite=suite)
        self.pipes = HeldPipe(), HeldPipe()
        self.client = _Client(
            self.loop,
            Link(self.pipes[0], near),
            max_body_bytes=LIMIT,
            buffers=Buffers(),
        )
        serving = Serving(
            endpoints=endpoints([Echo()]),
            max_body_bytes=LIMIT,
            max_calls=100,
            buffers=Buffers(),
            threads=anyio.CapacityLimiter(1),
        )
        self.server = ServerConnection(self.loop, Link(self.pipes[1], far), serving)
        self.server.start()
        self.client.start()
        self.most_waiting = 0

    def begin(self) -> StreamCall:
        """Begin a call."""
        call = finished(
            self.client.stream(
                ECHO,
                Protection.SIGN,
                encode_value({}),
                None,
                NIL,
                CallKind.BIDIRECTIONAL,
                LIMIT,
            )
        )
        self.pump()
        return call

    def pump(self) -> None:
        """Let the ends talk until neither has more to say."""
        ends = self.client, self.server
        moved = True
        while moved:
            moved = False
            for here, there in ((0, 1), (1, 0)):
                self.loop.run()
                data = bytes(self.pipes[here].sent)
                self.pipes[here].sent.clear()
                if data:
                    moved = True
                    ends[there].data_received(data)

    def check_windows(self, *calls: StreamCall) -> None:
        """See that what one end may send is what the other expects, and much of it."""
        client, server = self.client, self.server
        pairs = [
            (client._window.left, server._arriving.left, CONNECTION_WINDOW),
            (server._window.left, client._arriving.left, CONNECTION_WINDOW),
        ]
        for call in calls:
            running = server._calls[call.id]
            assert running.inbox is not None and running.outbox is not None
            sending, taking = call.outbox, call.inbox
            pairs += [
                (sending._window.left, running.inbox._window.left, STREAM_WINDOW),
                (running.outbox._window.left, taking._window.left, STREAM_WINDOW),
            ]
        for left, expected, size in pairs:
            assert left == expected
            assert size - size // 2 < left <= size

    def end(self) -> None:
        """End the connection, and see that nothing stays."""
        for connection in (self.client, self.server):
            assert connection.ended is None
            connection.pipe_ended(ConnectionClosed("over", clean=False))
        self.loop.run()
        assert self.loop.tasks == [] and not self.client.busy and not self.server.busy


SIZES = st.one_of(
    st.integers(0, 200),
    st.integers(0, 100_000),
    st.sampled_from([65_536, 65_531, 262_144, 1_000_000]),
)


@settings(max_examples=60)
@given(
    st.sampled_from(SUITES),
    st.lists(
        st.tuples(st.integers(0, 2), SIZES | st.sampled_from(["take", "take all"])),
        max_size=60,
    ),
)
def test_all_that_is_sent_comes_back_and_all_room_with_it(
    suite: str,
    steps: list[tuple[int, int | str]],
) -> None:
    talk = Talk(suite)
    calls = [talk.begin() for _ in range(3)]
    senders: list[StepTask | None] = [None] * 3
    sent: list[list[bytes]] = [[], [], []]
    got: list[list[bytes]] = [[], [], []]

    def take(number: int) -> bool:
        if not calls[number].inbox.waiting:
            return False
        got[number].append(finished(calls[number].inbox.take()))
        talk.pump()
        return True

    for number, step in steps:
        sender = senders[number]
        if isinstance(step, int):
            if sender is None or sender.over:
                body = encode_value(bytes(step))
                sent[number].append(body)
                senders[number] = talk.loop.spawn(calls[number].outbox.send(body))
                talk.pump()
        elif step == "take":
            take(number)
        else:
            while take(number):
                pass
    while any([take(number) for number in range(3)]):
        pass
    assert got == sent
    assert all(sender is None or sender.over for sender in senders)
    talk.check_windows(*calls)
    talk.end()


@pytest.mark.parametrize("suite", SUITES)
def test_a_long_run_of_one_stream(suite: str) -> None:
    talk = Talk(suite)
    call = talk.begin()
    body = encode_value(bytes(40_000))
    for _ in range(200):
        sender = talk.loop.spawn(call.outbox.send(body))
        talk.pump()
        assert sender.over
        assert finished(call.inbox.take()) == body
        talk.pump()
    talk.check_windows(call)
    talk.end()


@pytest.mark.parametrize("suite", SUITES)
def test_calls_that_are_given_up_leave_the_connections_windows_whole(
    suite: str,
) -> None:
    talk = Talk(suite)
    for _ in range(60):
        call = talk.begin()
        sender = talk.loop.spawn(call.outbox.send(encode_value(bytes(50_000))))
        talk.pump()
        assert sender.over
        call.cancel()
        talk.pump()
    kept = talk.begin()
    talk.check_windows(kept)
    talk.end()
