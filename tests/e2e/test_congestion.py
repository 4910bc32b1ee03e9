"""One side does not read: the other keeps a bounded amount, and no deadline suffers."""

import anyio
import pytest

from signetrpc.rpc import DeadlineExceeded, Protection
from signetrpc.rpc._messages import Reply, decode_message, encode_call
from signetrpc.transport import SecureStream, connect_stream
from tests.e2e.conftest import ServerOf
from tests.e2e.processes import PATIENCE, ServerProcess, connected
from tests.e2e.proxies import proxied
from tests.e2e.trial import METHODS, call
from tests.support.negotiation import ALICE

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024


async def flood(stream: SecureStream, name: str, calls: int, size: int) -> None:
    """Make calls and read no answer."""
    method = METHODS[name]
    body = method.encode_arguments(method.arguments(size=size))
    for number in range(1, calls + 1):
        message = encode_call(number, method.wire_name, PATIENCE, b"\xc0", body)
        await stream.send(message, method.protection)


async def answers_of(stream: SecureStream, calls: int) -> set[int]:
    """Read until so many calls have ended well, and return their ids."""
    ended: set[int] = set()
    while len(ended) < calls:
        match decode_message((await stream.receive()).data):
            case Reply(id=call_id, more=False):
                ended.add(call_id)
            case other:
                raise AssertionError(other)
    return ended


@pytest.mark.parametrize("name", ["blob_inline", "blob"])
async def test_a_client_that_does_not_read_its_answers(
    ntlm_servers: ServerOf, flavour: str, name: str
) -> None:
    server = ntlm_servers(flavour)
    calls, size = 1000, 60_000
    with anyio.fail_after(PATIENCE):
        async with connected(server.address) as observer:
            before = await call(observer, "stats")
            stream = await connect_stream(server.address, credentials=ALICE)
            async with stream, anyio.create_task_group() as group:
                group.start_soon(flood, stream, name, calls, size)
                # Other callers are served, and see that it does not pile up.
                for _ in range(50):
                    assert await call(observer, "signed", text="x") == "x"
                after = await call(observer, "stats")
                grown = after.resident_bytes - before.resident_bytes
                # Handlers in tasks of their own may all have their result in hand.
                assert grown < (16 if name == "blob_inline" else 128) * MEBIBYTE
                # When it reads after all, it gets every answer.
                ended = await answers_of(stream, calls)
                assert ended == set(range(1, calls + 1))


async def test_one_record_that_asks_for_a_thousand_times_its_size(
    ntlm_servers: ServerOf, flavour: str
) -> None:
    server = ntlm_servers(flavour)
    calls, size = 3000, 60_000  # 180 MB for about 150 KB
    method = METHODS["blob_inline"]
    body = method.encode_arguments(method.arguments(size=size))
    with anyio.fail_after(PATIENCE):
        async with connected(server.address) as observer:
            before = await call(observer, "stats")
            stream = await connect_stream(server.address, credentials=ALICE)
            async with stream:
                session = stream._session  # pyright: ignore[reportPrivateUsage]
                for number in range(1, calls + 1):
                    session.send(
                        encode_call(number, method.wire_name, PATIENCE, b"\xc0", body),
                        method.protection,
                    )
                pipe = stream._pipe  # pyright: ignore[reportPrivateUsage]
                pipe.write(session.data_to_send())
                await pipe.drain()
                for _ in range(50):
                    assert await call(observer, "signed", text="x") == "x"
                after = await call(observer, "stats")
                grown = after.resident_bytes - before.resident_bytes
                assert grown < 16 * MEBIBYTE
                assert await answers_of(stream, calls) == set(range(1, calls + 1))


async def test_a_client_that_never_reads_and_goes(server: ServerProcess) -> None:
    async with connected(server.address) as observer:
        before = await call(observer, "stats")
        for _ in range(3):
            stream = await connect_stream(server.address, credentials=ALICE)
            await flood(stream, "blob_inline", 300, 60_000)
            stream._pipe.abort()  # pyright: ignore[reportPrivateUsage]
        after = await call(observer, "quiet", descriptors=before.descriptors)
        assert after.resident_bytes - before.resident_bytes < 64 * MEBIBYTE


async def test_deadlines_of_calls_to_a_server_that_does_not_read(
    server: ServerProcess,
) -> None:
    async with proxied(server.address) as proxy, connected(proxy.address) as channel:
        assert await call(channel, "signed", text="x") == "x"
        proxy.stop()
        data = bytes(3 * MEBIBYTE)
        for _ in range(6):  # from some point on the connection takes no more
            with pytest.raises(DeadlineExceeded):
                await call(channel, "length", data=data, timeout=0.1)
        proxy.resume()
        assert await call(channel, "length", data=data) == len(data)
        assert proxy.connections == 1


async def test_cancelling_a_call_that_waits_for_room_hurts_no_other(
    server: ServerProcess,
) -> None:
    async with proxied(server.address) as proxy, connected(proxy.address) as channel:
        assert await call(channel, "signed", text="x") == "x"
        proxy.stop()
        data = bytes(3 * MEBIBYTE)
        sizes: list[int] = []

        async def send() -> None:
            sizes.append(await call(channel, "length", data=data))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(send)
            for _ in range(3):
                with anyio.move_on_after(0.1) as scope:
                    await call(channel, "length", data=data)
                assert scope.cancelled_caught
            proxy.resume()
        assert sizes == [len(data)] * 3
        assert proxy.connections == 1


async def test_bulk_both_ways_at_once(server: ServerProcess) -> None:
    """Neither end stops reading because it cannot write."""
    async with connected(server.address) as channel:

        async def there_and_back() -> None:
            text = "x" * (3 * MEBIBYTE)
            answer = await call(
                channel, "signed", text=text, protection=Protection.SIGN
            )
            assert answer == text

        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(there_and_back)
