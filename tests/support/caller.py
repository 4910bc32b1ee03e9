"""Calls of a client's connection, made in tasks, with a server in the test's hands."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc

from signetrpc.rpc import Protection, RpcError
from signetrpc.rpc._client_connection import ClientConnection
from signetrpc.rpc._codec import Body, encode_value
from tests.support.calls import FarEnd, HeldLoop, client_end
from tests.support.turns import settle

__all__ = ["METHOD", "NIL", "Caller", "Calls", "calls", "keep"]

SEAL = Protection.SEAL
NIL = b"\xc0"
METHOD = encode_value("test.Desk/work")


def keep(body: Body) -> bytes:
    return bytes(body)


class Caller:
    """Makes calls in tasks and notes how each ended."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.ended: dict[str, object] = {}
        self.scopes: dict[str, anyio.CancelScope] = {}

    async def call(
        self,
        name: str,
        *,
        level: Protection = SEAL,
        body: bytes = b"x",
        timeout: float = 60.0,
    ) -> None:
        """Make one call."""
        with anyio.CancelScope() as self.scopes[name]:
            try:
                outcome = await self.connection.call(
                    METHOD, level, body, timeout, NIL, keep
                )
                self.ended[name] = outcome
            except Exception as error:
                self.ended[name] = error
            return
        self.ended[name] = "cancelled"

    def error(self, name: str) -> RpcError:
        """Return the error that a call ended with."""
        error = self.ended[name]
        assert isinstance(error, RpcError)
        return error


class Calls:
    """A caller, the task group of its calls, and what they talk to."""

    def __init__(
        self,
        caller: Caller,
        group: anyio.abc.TaskGroup,
        far: FarEnd,
        loop: HeldLoop,
    ) -> None:
        self.caller = caller
        self.connection = caller.connection
        self.far = far
        self.loop = loop
        self._group = group

    async def start(self, *names: str, **options: Any) -> None:
        """Start calls, whose ids are counted from 1, and let them be written."""

        async def call(name: str) -> None:
            await self.caller.call(name, **options)

        for name in names:
            self._group.start_soon(call, name)
            await settle()


@asynccontextmanager
async def calls(**options: Any) -> AsyncGenerator[Calls]:
    async with client_end(**options) as (connection, far, loop):
        async with anyio.create_task_group() as group:
            yield Calls(Caller(connection), group, far, loop)
            group.cancel_scope.cancel()
