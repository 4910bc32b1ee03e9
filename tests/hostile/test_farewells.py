"""Who can send a client away, and what it does with its calls then."""

import anyio
import pytest

from signetrpc.rpc import Protection
from signetrpc.rpc._assembly import Buffers
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Call,
    GoAway,
    Ping,
    encode_go_away,
    encode_pong,
    encode_reply,
)
from signetrpc.rpc._server_connection import ServerConnection
from signetrpc.rpc._serving import Serving
from signetrpc.transport import Link
from signetrpc.transport._loops import open_loop
from tests.support.calls import FarEnd, HeldPipe
from tests.support.channels import NIL, Text, declared, table
from tests.support.desk import desk
from tests.support.sessions import plain
from tests.support.turns import settle

pytestmark = pytest.mark.anyio

NONE, SIGN, SEAL = Protection
ANY = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("call_level", "level", "again"),
    [
        (SEAL, NONE, False),
        (SIGN, NONE, False),
        (SEAL, SIGN, True),
        (NONE, NONE, True),
    ],
)
async def test_what_nobody_signed_has_no_protected_call_made_again(
    call_level: Protection, level: Protection, again: bool
) -> None:
    # Anybody on the path can say it in a session that has level NONE; the server, who
    # did not, has carried the call out.
    async with table(link={"minimum": NONE}) as held:
        found: list[int] = []

        async def make() -> None:
            method = declared(call_level)
            found.append(await held.channel.unary(method, Text("abc")))

        async with anyio.create_task_group() as group:
            group.start_soon(make)
            await settle()
            (made,) = held.far.heard()
            assert isinstance(made, Call)
            first = held.far
            first.say(encode_go_away(30.0, 0), level=level)
            await settle()
            assert len(held.connector.ends) == (2 if again else 1)
            if again:
                held.answer()
            else:
                first.say(encode_reply(1, NIL, encode_value(3)))
            await settle()
        assert found == [3]


@pytest.mark.parametrize(
    ("minimum", "level"), [(NONE, SIGN), (SIGN, SIGN), (SEAL, SEAL)]
)
async def test_a_farewell_is_signed_wherever_it_can_be(
    minimum: Protection, level: Protection
) -> None:
    async with desk(minimum=minimum) as (_, connection, far, _):
        connection.retire(5.0)
        said = [(level, each) for level, all in far.records() for each in all]
        assert said == [(level, GoAway(5_000, ANY)), (minimum, Ping(1))]
        far.say(encode_pong(1), level=minimum)
        assert far.records() == [(level, [GoAway(5_000, 0)])]


async def test_a_farewell_where_nothing_can_be_signed() -> None:
    client, near = plain()
    pipe = HeldPipe()
    far = FarEnd(pipe, client)
    async with open_loop() as loop:
        serving = Serving(
            endpoints={},
            max_body_bytes=1,
            max_calls=1,
            buffers=Buffers(),
            threads=anyio.CapacityLimiter(1),
        )
        connection = ServerConnection(loop, Link(pipe, near, ends_at=None), serving)
        connection.start()
        connection.retire(5.0)
        assert far.records() == [(NONE, [GoAway(5_000, ANY), Ping(1)])]
        await connection.aclose()


async def test_one_farewell_is_logged_of_a_flood(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with table() as held:

        def flood() -> None:
            for number in range(100):
                held.far.say(encode_go_away(0.0, 1, f"go, {number}"))
            held.answer()

        assert await held.call(flood) == 3
    said = [each for each in caplog.messages if "sends this client away" in each]
    assert said == ["the server sends this client away: 'go, 0'"]
