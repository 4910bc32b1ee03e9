"""Interceptors around calls at the client: each kind, in order, as at the server."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from signetrpc.rpc import (
    CallInfo,
    Channel,
    ClientCall,
    DeadlineExceeded,
    Interceptor,
    Protection,
    RpcError,
    StatusCode,
    current_call,
    method,
    service,
)
from signetrpc.rpc._client_interceptors import InterceptedChannel
from signetrpc.rpc._streams import BidirectionalStream, ServerStream
from signetrpc.rpc.testing import SERVER, channel_for
from tests.support.around import (
    PATIENCE,
    Changing,
    Ending,
    Next,
    NextItems,
    Noting,
    Slow,
    slowly,
)
from tests.support.kinds import (
    CHANGED,
    EACH,
    GIVING,
    KINDS,
    ONE,
    RESULTS,
    TAKING,
    Numbers,
    call,
    of,
)

pytestmark = pytest.mark.anyio

FIRST = ("twice", "total", "count", "scaled")
"""A method of each kind."""


# In order.


@pytest.mark.parametrize("name", FIRST)
async def test_the_first_is_the_outermost_at_either_end(name: str) -> None:
    served = Numbers()
    events = served.shown.events
    async with channel_for(
        served,
        client_interceptors=[Noting("a", events), Noting("b", events)],
        interceptors=[Noting("c", events)],
    ) as channel:
        assert await call(channel, name) == RESULTS[name]
    begun = ["start a", "start b", "start c", "handler"]
    assert events == [*begun, "end c", "end b", "end a"]


@pytest.mark.parametrize("name", KINDS)
async def test_what_goes_in_and_comes_out_can_be_changed(name: str) -> None:
    async with channel_for(Numbers(), client_interceptors=[Changing()]) as channel:
        assert await call(channel, name) == CHANGED[name]


async def test_channels_without_any_are_plain() -> None:
    class UnaryAlone:
        async def intercept_unary(
            self, call_next: Next, request: Any, context: ClientCall
        ) -> int:
            return 0

    async with channel_for(Numbers()) as channel:
        assert type(channel) is Channel
    async with channel_for(Numbers(), client_interceptors=[UnaryAlone()]) as channel:
        assert type(channel) is InterceptedChannel
        for name in FIRST:
            expected = [0] if name in ONE else RESULTS[name]
            assert await call(channel, name) == expected
        counting: Any = of("count")
        assert type(channel.server_stream(counting, None)) is ServerStream
        scaling: Any = of("scaled")
        stream: BidirectionalStream[int, int]
        stream = channel.bidirectional(scaling, scaling.arguments(number=1))
        assert type(stream) is BidirectionalStream


async def test_calls_of_another_kind_are_made_as_they_would_be() -> None:
    class StreamsAlone:
        async def intercept_server_stream(
            self, call_next: NextItems, request: Any, context: ClientCall
        ) -> AsyncIterator[int]:
            async for item in call_next(request):
                yield item

    around = [StreamsAlone()]
    async with channel_for(Numbers(), client_interceptors=around) as channel:
        for name in KINDS:
            assert await call(channel, name) == RESULTS[name]


async def test_what_intercepts_nothing_is_refused() -> None:
    around: Any = [object()]
    with pytest.raises(TypeError, match="^object intercepts nothing$"):
        async with channel_for(Numbers(), client_interceptors=around):
            raise AssertionError


# What they say to the server.


class Telling:
    """Changes what goes beside the arguments."""

    def __init__(self, timeout: float | None = 60.0) -> None:
        self.timeout = timeout

    async def on_start(self, context: ClientCall) -> None:
        """Change it."""
        context.set_metadata([("token", "new"), ("more-bin", b"\x00")])
        context.protection = Protection.SEAL
        context.timeout = self.timeout

    async def on_end(self, *_: object) -> None:
        """Leave it."""


@service("test.Listening", protection=Protection.SIGN)
class Listening:
    """Hears what comes beside the arguments."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def _hear(self) -> None:
        current = current_call()
        left = current.time_left()
        within = left is not None and 30.0 < left <= 60.0
        self.heard = [*current.metadata, current.protection, within]
        current.send_headers({"h": "1"})
        current.set_trailers({"t": "2"})

    @method
    async def one(self, number: int) -> int:
        self._hear()
        return number

    @method
    async def taking(self, number: int, numbers: AsyncIterator[int]) -> int:
        self._hear()
        return number

    @method
    async def giving(self, number: int) -> AsyncIterator[int]:
        self._hear()
        yield number

    @method
    async def each(
        self, number: int, numbers: AsyncIterator[int]
    ) -> AsyncIterator[int]:
        self._hear()
        yield number

    @method
    async def failing(self, number: int) -> int:
        self._hear()
        raise RpcError(StatusCode.NOT_FOUND, "nothing", trailers={"t": "3"})

    @method
    async def failing_later(self, number: int) -> AsyncIterator[int]:
        self._hear()
        yield number
        raise RpcError(StatusCode.NOT_FOUND, "nothing", trailers={"t": "3"})


LISTENING = ("one", "taking", "giving", "each")


@pytest.mark.parametrize("name", LISTENING)
async def test_they_add_metadata_raise_the_level_and_bound_the_time(name: str) -> None:
    served = Listening()
    async with channel_for(served, client_interceptors=[Telling()]) as channel:
        pairs = {"token": "old", "k": "v"}
        assert await call(channel, name, served=Listening, metadata=pairs) == [2]
    tokens = [("k", "v"), ("token", "new"), ("more-bin", b"\x00")]
    assert served.heard == [*tokens, Protection.SEAL, True]


@pytest.mark.parametrize("name", LISTENING)
async def test_a_call_whose_time_is_up_is_not_made(name: str) -> None:
    served = Listening()
    around = [Telling(timeout=0.0)]
    async with channel_for(served, client_interceptors=around) as channel:
        with pytest.raises(DeadlineExceeded):
            await call(channel, name, served=Listening, timeout=5.0)
    assert served.heard == []


async def test_a_unary_call_has_the_channels_time_if_it_names_none() -> None:
    left: list[float | None] = []

    class Looking:
        async def on_start(self, context: ClientCall) -> None:
            left.append(context.timeout)

        async def on_end(self, *_: object) -> None:
            """Know nothing."""

    async with channel_for(
        Numbers(), client_interceptors=[Looking()], default_timeout=7.0
    ) as channel:
        for name in FIRST:
            await call(channel, name)
        await call(channel, "twice", timeout=3.0)
        await call(channel, "count", timeout=3.0)
    assert left == [7.0, None, None, None, 3.0, 3.0]


async def test_the_methods_level_is_never_lowered() -> None:
    class Lowering:
        async def on_start(self, context: ClientCall) -> None:
            context.protection = Protection.NONE

        async def on_end(self, *_: object) -> None:
            """Know nothing."""

    served = Listening()
    async with channel_for(served, client_interceptors=[Lowering()]) as channel:
        for name in LISTENING:
            await call(channel, name, served=Listening)
            assert Protection.SIGN in served.heard


@pytest.mark.parametrize("name", LISTENING)
async def test_metadata_that_breaks_a_rule_is_refused_at_once(name: str) -> None:
    async with channel_for(Listening(), client_interceptors=[Telling()]) as channel:
        with pytest.raises(ValueError, match="has other characters"):
            await call(channel, name, served=Listening, metadata={"K": "v"})


# What they learn from it.


class Learning:
    """Notes what came with the answer."""

    def __init__(self) -> None:
        self.learned: list[object] = []
        self.call: ClientCall | None = None

    async def on_start(self, context: ClientCall) -> None:
        """Note who answers."""
        assert context.peer.name == SERVER.name and context.status is None
        self.call = context

    async def on_end(
        self, token: None, context: ClientCall, error: Exception | None
    ) -> None:
        """Note how."""
        status, headers = context.status, context.headers
        self.learned = [status, *headers, *context.trailers]


@pytest.mark.parametrize("name", LISTENING)
async def test_they_learn_status_headers_and_trailers(name: str) -> None:
    learning = Learning()
    async with channel_for(Listening(), client_interceptors=[learning]) as channel:
        await call(channel, name, served=Listening)
    assert learning.learned == [StatusCode.OK, ("h", "1"), ("t", "2")]


@pytest.mark.parametrize("name", ["failing", "failing_later"])
async def test_they_learn_how_a_call_failed(name: str) -> None:
    learning = Learning()
    async with channel_for(Listening(), client_interceptors=[learning]) as channel:
        with pytest.raises(RpcError, match="nothing"):
            await call(channel, name, served=Listening)
    assert learning.learned == [StatusCode.NOT_FOUND, ("h", "1"), ("t", "3")]


async def test_headers_are_known_with_the_first_item() -> None:
    learning = Learning()
    async with channel_for(Listening(), client_interceptors=[learning]) as channel:
        giving: Any = of("giving", Listening)
        async with channel.server_stream(giving, giving.arguments(number=1)) as items:
            assert await anext(items) == 1
            assert learning.call is not None
            assert learning.call.headers == (("h", "1"),)


@pytest.mark.parametrize("name", ["one", "taking"])
async def test_the_caller_learns_it_too(name: str) -> None:
    info = CallInfo()
    async with channel_for(Listening(), client_interceptors=[Learning()]) as channel:
        await call(channel, name, served=Listening, call_info=info)
    assert (info.headers, info.trailers) == ((("h", "1"),), (("t", "2"),))


# Instead of the server, and again.


@pytest.mark.parametrize("name", FIRST)
async def test_an_error_before_keeps_the_call_from_being_made(name: str) -> None:
    class Refusing:
        async def on_start(self, context: ClientCall) -> None:
            raise LookupError("no token")

        async def on_end(self, *_: object) -> None:
            raise AssertionError("it never began")

    served = Numbers()
    async with channel_for(served, client_interceptors=[Refusing()]) as channel:
        with pytest.raises(LookupError, match="^no token$"):
            await call(channel, name)
    assert served.shown.events == []


@pytest.mark.parametrize("name", FIRST)
async def test_an_error_after_takes_the_place_of_the_answer(name: str) -> None:
    class Late:
        async def on_start(self, context: ClientCall) -> None:
            """Begin."""

        async def on_end(self, *_: object) -> None:
            raise RpcError(StatusCode.DATA_LOSS, "it is gone")

    async with channel_for(Numbers(), client_interceptors=[Late()]) as channel:
        with pytest.raises(RpcError, match="it is gone"):
            await call(channel, name)


async def test_a_call_can_be_made_again() -> None:
    statuses: list[StatusCode | None] = []

    class Again:
        async def intercept_unary(
            self, call_next: Next, request: Any, context: ClientCall
        ) -> object:
            for _ in range(2):
                try:
                    await call_next(request)
                except RpcError:
                    statuses.append(context.status)
            return 5

        async def intercept_server_stream(
            self, call_next: NextItems, request: Any, context: ClientCall
        ) -> AsyncIterator[object]:
            for _ in range(2):
                try:
                    async for item in call_next(request):
                        yield item
                except RpcError:
                    statuses.append(context.status)

    around: list[Interceptor] = [Again(), Telling()]
    served = Listening()
    async with channel_for(served, client_interceptors=around) as channel:
        assert await call(channel, "failing", served=Listening) == [5]
        assert len(served.heard) == 4
        assert await call(channel, "failing_later", served=Listening) == [2, 2]
    assert statuses == [StatusCode.NOT_FOUND] * 4


async def test_they_learn_that_the_caller_gave_up() -> None:
    served, ending = Slow(), Ending()
    async with channel_for(served, client_interceptors=[ending]) as channel:
        async with anyio.create_task_group() as group:
            group.start_soon(channel.unary, *slowly("wait"))
            await served.started.wait()
            group.cancel_scope.cancel()
        assert ending.status is StatusCode.CANCELLED


async def test_no_task_outlives_its_call() -> None:
    events: list[str] = []
    around = [Noting("a", events), Noting("b", events)]
    async with channel_for(Slow(), Numbers(), client_interceptors=around) as channel:
        await call(channel, "twice")
        before = len(anyio.get_running_tasks())
        for name in (*ONE, *TAKING, *GIVING, *EACH):
            await call(channel, name)
        async with channel.server_stream(*slowly("drip")) as items:
            assert await anext(items) == 0
        with anyio.fail_after(PATIENCE):
            while len(anyio.get_running_tasks()) > before:
                await anyio.sleep(0)
    assert len(events) == 4 * len(KINDS) + 8
