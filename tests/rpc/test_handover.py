"""Items between two tasks: they wait for each other, and learn of the end."""

import anyio
import pytest

from signetrpc.rpc import RpcError, StatusCode
from signetrpc.rpc._handover import Sent
from tests.support.turns import settle

pytestmark = pytest.mark.anyio


async def test_who_sends_waits_for_room_and_learns_of_the_end() -> None:
    sent: Sent[int] = Sent()
    for number in range(16):
        await sent.put(number)
    errors: list[str] = []

    async def more() -> None:
        await sent.put(16)
        with pytest.raises(RpcError) as caught:
            await sent.put(17)
        errors.append(str(caught.value))

    async with anyio.create_task_group() as group:
        group.start_soon(more)
        await settle()
        assert await anext(sent) == 0
        await settle()
        sent.fail(RpcError(StatusCode.UNAVAILABLE, "gone"))
    assert errors == ["UNAVAILABLE: gone"]
    with pytest.raises(RpcError, match="gone"):
        await anext(sent)


async def test_what_waits_is_still_had_after_the_end() -> None:
    sent: Sent[int] = Sent()
    await sent.put(1)
    sent.end()
    assert [item async for item in sent] == [1]
