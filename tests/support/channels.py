"""A channel whose servers are in the test's hands, and a method to call."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest

from signetrpc.rpc import (
    Channel,
    Protection,
    RpcError,
    StatusCode,
    UnaryMethod,
)
from signetrpc.rpc._client_interceptors import make_channel
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import (
    Call,
    encode_reply,
)
from signetrpc.transport import (
    Connector,
    SecurityPolicy,
)
from signetrpc.transport._addresses import TcpAddress
from signetrpc.transport._driver import Link
from signetrpc.transport._loops import open_loop
from signetrpc.transport._pipes import Pipe
from tests.support.calls import FarEnd, HeldLoop, link
from tests.support.turns import settle

NIL = b"\xc0"
SIGN = Protection.SIGN


class Text(msgspec.Struct, forbid_unknown_fields=True):
    """One argument."""

    text: str


def declared(protection: Protection = SIGN) -> UnaryMethod[Text, int]:
    return UnaryMethod(
        service="test.Desk",
        name="length",
        protection=protection,
        arguments=Text,
        result=int,
    )


LENGTH = declared()


class HeldConnector(Connector):
    """Connects to far ends in the test's hands."""

    def __init__(self) -> None:
        super().__init__(TcpAddress("server", 1), SecurityPolicy(), None)
        self.ends: list[FarEnd] = []
        self.attempts = 0
        self.failure: Exception | None = None
        self.gate = anyio.Event()
        self.gate.set()
        self.options: dict[str, Any] = {}
        self.ends_at_once = False

    async def connect(self) -> Link:
        """Open a session, or fail as told."""
        self.attempts += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        near, far = link(initiator=True, **self.options)
        self.ends.append(far)
        if self.ends_at_once:
            far.session.close()
            near.session.receive_data(far.session.data_to_send())
        return near

    async def secure(self, pipe: Pipe, *, start: float) -> Link:
        """Not used: `connect` is all."""
        raise AssertionError


class Table:
    """A channel, its connector and its clock."""

    def __init__(
        self, channel: Channel, connector: HeldConnector, loop: HeldLoop
    ) -> None:
        self.channel = channel
        self.connector = connector
        self.loop = loop

    @property
    def far(self) -> FarEnd:
        """The last server connected to."""
        return self.connector.ends[-1]

    async def call(self, serve: Callable[[], None], **options: Any) -> int:
        """Call, and let `serve` act when the call is written."""
        async with anyio.create_task_group() as group:

            async def act() -> None:
                await settle()
                serve()

            group.start_soon(act)
            return await self.channel.unary(LENGTH, Text("abc"), **options)
        raise AssertionError

    def answer(self) -> None:
        """Answer all calls with 3."""
        for message in self.far.heard():
            if isinstance(message, Call):
                self.far.say(encode_reply(message.id, NIL, encode_value(3)))


@asynccontextmanager
async def table(**options: Any) -> AsyncGenerator[Table]:
    async with open_loop() as real:
        loop = HeldLoop(real)
        connector = HeldConnector()
        connector.options = options.pop("link", {})
        interceptors = options.pop("interceptors", ())
        channel = make_channel(connector, loop, interceptors, **options)
        await channel.open()
        try:
            yield Table(channel, connector, loop)
        finally:
            await channel.aclose()


async def status_of(call: Any) -> tuple[StatusCode, str]:
    with pytest.raises(RpcError) as caught:
        await call
    return caught.value.status, caught.value.message
