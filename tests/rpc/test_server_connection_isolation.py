"""A server's end of a connection: what one handler does touches no other call."""

from contextvars import ContextVar

import anyio
import pytest

from signetrpc.rpc import Protection, StatusCode, method, service
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import encode_call, encode_cancel
from signetrpc.transport._session import Session
from tests.support import calls
from tests.support.calls import server_end
from tests.support.desk import NIL, Desk, reply, status
from tests.support.desk import call as desk_call
from tests.support.sessions import plain
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

_tenant: ContextVar[str] = ContextVar("tenant", default="nobody's")


@service("test.House")
class House:
    """Handlers that leave something behind."""

    def __init__(self) -> None:
        self.go = anyio.Event()

    @method(Protection.SIGN)
    async def enter(self) -> str:
        _tenant.set("the first's")
        await self.go.wait()
        return _tenant.get()

    @method(Protection.SIGN)
    async def look(self) -> str:
        return _tenant.get()

    @method(Protection.SIGN)
    async def burn(self) -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(self._fall)
            group.start_soon(anyio.sleep_forever)
        return ""

    async def _fall(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("while it was cleaned up")


def call(call_id: int, name: str) -> bytes:
    wire_name = encode_value(f"test.House/{name}")
    return encode_call(call_id, wire_name, None, NIL, encode_value({}))


async def test_a_call_that_waited_for_room_has_nothing_of_the_one_before_it() -> None:
    house = House()
    async with server_end(house) as (_, far, _):
        far.say(call(1, "enter"))
        await settle()
        far.pipe.full = True
        house.go.set()
        await settle()
        far.say(call(2, "look"))
        far.pipe.make_room()
        await settle()
        assert far.heard() == [reply(1, "the first's"), reply(2, "nobody's")]


async def test_a_handler_whose_tasks_fail_when_cancelled_ends_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server_end(House()) as (connection, far, _):
        far.say(call(1, "burn"))
        await settle()
        far.say(encode_cancel(1))
        await settle()
        assert connection.ended is None
        far.say(call(2, "look"))
        await settle()
        assert far.heard() == [reply(2, "nobody's")]
    assert "test.House/burn failed for alice@EXAMPLE.COM" in caplog.text


async def test_a_denial_that_the_channel_cannot_protect_hurts_no_other_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unprotected(**_: object) -> tuple[Session, Session]:
        return plain()

    monkeypatch.setattr(calls, "opened", unprotected)
    async with server_end(House(), Desk()) as (connection, far, _):
        far.say(call(1, "look"), desk_call(2, "open"), level=Protection.NONE)
        await settle()
        assert connection.ended is None
        denial, answer = far.heard()
        assert status(denial) == (
            1,
            StatusCode.PERMISSION_DENIED,
            "test.House/look demands level SIGN; the call came at NONE",
        )
        assert answer == reply(2, "anonymous")
