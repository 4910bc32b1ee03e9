"""Handlers: decoded arguments become a call."""

from collections.abc import Coroutine
from typing import Any

import pytest

from signetrpc.rpc._decorators import method, service, service_definition
from signetrpc.rpc._handlers import HandlerStyle


@service("test.Echo")
class Echo:
    def __init__(self, name: str) -> None:
        self.name = name

    @method
    def nothing(self) -> str:
        return self.name

    @method
    def plain(self, a: int, b: int = 2, /, c: int = 3) -> list[int]:
        return [a, b, c]

    @method
    def named(self, a: int, *, b: int = 2, c: int) -> list[int]:
        return [a, b, c]

    @method
    async def later(self, a: int) -> int:
        return a

    @method(inline=True)
    def at_once(self, *, only: int) -> int:
        return only


HANDLERS = service_definition(Echo).handlers


def call(name: str, body: bytes) -> object:
    handler = HANDLERS[f"test.Echo/{name}"]
    arguments = handler.method.decode_arguments(body)
    return handler.bind(Echo("echo"))(arguments)


def test_calls() -> None:
    assert call("nothing", b"\x80") == "echo"
    assert call("plain", b"\x81\xa1a\x01") == [1, 2, 3]
    assert call("plain", b"\x82\xa1c\x05\xa1a\x01") == [1, 2, 5]
    assert call("named", b"\x82\xa1c\x05\xa1a\x01") == [1, 2, 5]
    assert call("named", b"\x83\xa1c\x05\xa1a\x01\xa1b\x07") == [1, 7, 5]
    assert call("at_once", b"\x81\xa4only\x05") == 5


def test_async_methods_return_awaitables() -> None:
    awaitable: Any = call("later", b"\x81\xa1a\x05")
    steps: Coroutine[Any, Any, int] = awaitable
    with pytest.raises(StopIteration) as end:
        steps.send(None)
    assert end.value.value == 5


def test_styles() -> None:
    styles = {name.partition("/")[2]: each.style for name, each in HANDLERS.items()}
    assert styles == {
        "nothing": HandlerStyle.THREAD,
        "plain": HandlerStyle.THREAD,
        "named": HandlerStyle.THREAD,
        "later": HandlerStyle.ASYNC,
        "at_once": HandlerStyle.INLINE,
    }


def test_definition_has_the_name() -> None:
    assert service_definition(Echo).name == "test.Echo"
