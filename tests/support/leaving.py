"""Streams to a server that goes before it takes them."""

from typing import Any

import msgspec

from signetrpc.rpc import (
    BidirectionalMethod,
    ClientStreamMethod,
    Protection,
    ServerStreamMethod,
)
from signetrpc.rpc._codec import encode_value
from signetrpc.rpc._messages import Item, Message, encode_go_away, encode_item
from tests.support.calls import FarEnd

__all__ = ["COUNT", "ECHO", "TOTAL", "Long", "go_away", "items", "sent"]


class Long(msgspec.Struct):
    """Arguments of any length."""

    data: bytes = b""


_NAMES: dict[str, Any] = {
    "service": "test.River",
    "protection": Protection.SIGN,
    "arguments": Long,
    "result": int,
}
COUNT = ServerStreamMethod[Long, int](name="count", **_NAMES)
TOTAL = ClientStreamMethod[Long, int, int](name="total", item=int, **_NAMES)
ECHO = BidirectionalMethod[Long, int, int](name="echo", item=int, **_NAMES)


def items(*values: int) -> list[bytes]:
    return [encode_item(1, encode_value(each)) for each in values]


def sent(*values: int) -> list[Message]:
    return [Item(1, False, encode_value(each)) for each in values]


def go_away(far: FarEnd) -> list[Message]:
    """Take nothing of what was called; return what it was."""
    heard = far.heard()
    far.say(encode_go_away(30.0, 0))
    return heard
