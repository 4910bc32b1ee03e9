"""Calls of every kind to `Acting`: an action in, what it gave out."""

from typing import Any

from signetrpc.rpc import Channel
from signetrpc.rpc._schema import CallKind
from tests.impersonation.acting import Acting
from tests.support.kinds import of

__all__ = ["act_by"]


async def act_by(channel: Channel, style: str, action: str, argument: str) -> str:
    """Have an action done by a method of `Acting` and return what it gave.

    Args:
        channel: The way to the server.
        style: The method; what it streams is one item each way.
        action: One of `ACTIONS`.
        argument: The action's.
    """
    method: Any = of(style, Acting)
    found: list[str]
    match method.kind:
        case CallKind.UNARY:
            given = method.arguments(action=action, argument=argument)
            found = [await channel.unary(method, given)]
        case CallKind.CLIENT_STREAM:
            given = method.arguments(action=action)
            found = await channel.client_stream(method, given, [argument])
        case CallKind.SERVER_STREAM:
            given = method.arguments(action=action, argument=argument)
            async with channel.server_stream(method, given) as items:
                found = [item async for item in items]
        case _:
            given = method.arguments(action=action)
            async with channel.bidirectional(method, given, [argument]) as items:
                found = [item async for item in items]
    (one,) = found
    return one
