"""A caller that no longer wants its answer, and time that runs out, at both ends."""

from itertools import count

import anyio
import pytest

from signetrpc.rpc import DeadlineExceeded, RpcError, StatusCode
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import ServerProcess, connected
from tests.e2e.proxies import proxied
from tests.e2e.trial import call

pytestmark = pytest.mark.anyio

_keys = count()


def key() -> str:
    return f"cancelled {next(_keys)}"


async def test_cancelling_the_caller_cancels_the_handler(
    ntlm_servers: ServerOf, flavour: str
) -> None:
    name = key()
    async with connected(ntlm_servers(flavour).address) as channel:
        async with anyio.create_task_group() as group:

            async def hold() -> None:
                await call(channel, "hold", key=name)
                raise AssertionError("it returned")

            group.start_soon(hold)
            await call(channel, "until", event=f"held {name}")
            assert not await call(channel, "happened", event=f"dropped {name}")
            group.cancel_scope.cancel()
        await call(channel, "until", event=f"dropped {name}")


async def test_a_time_limit_of_the_caller(server: ServerProcess) -> None:
    name = key()
    async with connected(server.address) as channel:
        with anyio.move_on_after(0.2) as scope:
            await call(channel, "hold", key=name)
        assert scope.cancelled_caught
        await call(channel, "until", event=f"dropped {name}")


async def test_the_deadline_at_both_ends(ntlm_servers: ServerOf, flavour: str) -> None:
    name = key()
    async with connected(ntlm_servers(flavour).address) as channel:
        with pytest.raises(DeadlineExceeded) as caught:
            await call(channel, "hold", key=name, timeout=0.2)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.status is StatusCode.DEADLINE_EXCEEDED
        await call(channel, "until", event=f"dropped {name}")


async def test_the_deadline_at_the_client_alone(server: ServerProcess) -> None:
    """The server hears nothing: neither of the end of the call nor of the caller."""
    name = key()
    async with (
        connected(server.address) as observer,
        proxied(server.address) as proxy,
        connected(proxy.address) as channel,
    ):
        async with anyio.create_task_group() as group:

            async def hold() -> None:
                with pytest.raises(DeadlineExceeded):
                    await call(channel, "hold", key=name, timeout=0.5)

            group.start_soon(hold)
            await call(observer, "until", event=f"held {name}")
            proxy.stop()
        # The server counts for itself.
        await call(observer, "until", event=f"dropped {name}")
        proxy.resume()
        assert await call(channel, "signed", text="x") == "x"


async def test_no_time_at_all(server: ServerProcess) -> None:
    async with connected(server.address) as channel:
        for seconds in (0, -1.0):
            with pytest.raises(DeadlineExceeded):
                await call(channel, "signed", text="x", timeout=seconds)
        assert await call(channel, "signed", text="x") == "x"


async def test_the_default_timeout(server: ServerProcess) -> None:
    async with connected(server.address, default_timeout=0.2) as channel:
        with pytest.raises(DeadlineExceeded):
            await call(channel, "hold", key=key())
        assert await call(channel, "signed", text="x") == "x"


async def test_many_deadlines(server: ServerProcess) -> None:
    async with connected(server.address) as channel:
        ended: list[int] = []

        async def hold(number: int) -> None:
            with pytest.raises(DeadlineExceeded):
                await call(channel, "hold", key=key(), timeout=0.1 + number * 0.002)
            ended.append(number)

        async with anyio.create_task_group() as group:
            for number in reversed(range(100)):
                group.start_soon(hold, number)
        assert sorted(ended) == list(range(100))
        assert await call(channel, "signed", text="x") == "x"


async def test_answers_that_arrive_as_their_callers_leave(
    server: ServerProcess,
) -> None:
    """Whatever the order in which answer and cancellation meet, others go on."""
    async with connected(server.address) as channel:
        answered = 0

        async def short(turns: int) -> None:
            nonlocal answered
            async with anyio.create_task_group() as group:

                async def ask() -> None:
                    nonlocal answered
                    await call(channel, "square_inline", number=turns)
                    answered += 1

                group.start_soon(ask)
                for _ in range(turns):
                    await anyio.sleep(0)
                group.cancel_scope.cancel()

        async def steady() -> None:
            for number in range(300):
                assert await call(channel, "square", number=number, turns=1) == (
                    number * number
                )

        async with anyio.create_task_group() as group:
            group.start_soon(steady)
            for number in range(1500):
                await short(number % 50)
        assert answered
        # Still the first connection: none was lost to it.
        assert await call(channel, "signed", text="x") == "x"


async def test_a_caller_that_leaves_as_its_answer_is_read(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled in the turn of the event loop in which the answer arrives."""
    async with proxied(server.address) as proxy, connected(proxy.address) as channel:
        connection = channel._connection  # pyright: ignore[reportPrivateUsage]
        assert connection is not None
        received = connection.data_received
        scopes: list[anyio.CancelScope] = []

        def leave_and_read(data: bytes) -> None:
            while scopes:
                scopes.pop().cancel()
            received(data)

        monkeypatch.setattr(connection, "data_received", leave_and_read)
        for _ in range(20):
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await call(channel, "signed", text="x")
            assert scope.cancelled_caught
            assert await call(channel, "signed", text="x") == "x"
        assert proxy.connections == 1


async def test_a_thread_cannot_be_cancelled_but_its_call_can(
    server: ServerProcess,
) -> None:
    name = key()
    async with connected(server.address) as channel:
        with pytest.raises(DeadlineExceeded):
            await call(channel, "block", key=name, timeout=0.2)
        assert await call(channel, "blocked") == 1
        assert await call(channel, "release", key=name, at=1) == 1


async def test_an_error_leaves_the_block_as_itself(server: ServerProcess) -> None:
    cause = KeyError("its cause")
    with pytest.raises(ValueError) as caught:
        async with connected(server.address) as channel:
            await call(channel, "signed", text="x")
            raise ValueError("the body's") from cause
    assert caught.value.__cause__ is cause


async def test_an_error_of_a_call_leaves_the_block_with_its_cause(
    server: ServerProcess,
) -> None:
    with pytest.raises(RpcError) as caught:
        async with connected(server.address) as channel:
            await call(channel, "blob", size=5 * 1024 * 1024)
    assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
