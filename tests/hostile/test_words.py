"""A peer's words where people read them: in a terminal and in a log."""

import json
import logging
from typing import Any

import anyio
import pytest

from signetrpc.idl.cli._arguments import printed_item, printed_result
from signetrpc.idl.cli._exits import printable
from signetrpc.rpc import Mechanism, RpcError, StatusCode, method, service
from signetrpc.rpc.testing import channel_for
from signetrpc.transport import Identity
from tests.support.kinds import of

COMMANDS = {
    "escape": "\x1b]0;title\x07",
    "C1": "\x9b31m",
    "delete": "\x7f\x7f",
    "right to left": "\u202egnp.exe",
    "a line of its own": "x\u2028y\x85z\r",
    "a tag": "\U000e0041",
}


@pytest.mark.parametrize("text", COMMANDS.values(), ids=COMMANDS)
def test_nothing_of_an_answer_commands_a_terminal(text: str) -> None:
    for value in (text, {text: [text]}, [text, "plain ä€😀"]):
        for printed in (printed_result(value), printed_item(value)):
            assert printed.replace("\n", "").isprintable()
            assert json.loads(printed) == value


def test_what_is_plain_is_printed_as_it_is() -> None:
    assert printed_item(["ä€😀", 'a "b" \\', 1]) == '["ä€😀","a \\"b\\" \\\\",1]'


@pytest.mark.parametrize("text", COMMANDS.values(), ids=COMMANDS)
def test_nothing_of_an_error_does(text: str) -> None:
    assert printable(f"INTERNAL: {text}").isprintable()


@service("test.Failing")
class Failing:
    @method
    async def fail(self) -> None:
        raise ValueError("of its own")


@pytest.mark.anyio
@pytest.mark.parametrize("mechanism", Mechanism)
async def test_no_name_makes_a_line_of_a_log(
    mechanism: Mechanism, caplog: pytest.LogCaptureFixture
) -> None:
    forged = "alice\nERROR root did it\x1b[2J"
    caller = Identity(mechanism=mechanism, name=forged, realm="R\x9b")
    failing: Any = of("fail", Failing)
    with caplog.at_level(logging.DEBUG), anyio.fail_after(10):
        async with channel_for(Failing, caller=caller) as channel:
            with pytest.raises(RpcError) as caught:
                await channel.unary(failing, failing.arguments())
            if mechanism is not Mechanism.ANONYMOUS:
                assert caught.value.status is StatusCode.INTERNAL
    assert caplog.messages
    for line in caplog.messages:
        assert line.isprintable()


def test_a_name_that_can_be_printed_is_itself() -> None:
    plain = Identity(mechanism=Mechanism.NTLM, name="alïce", realm="CORP")
    assert str(plain) == plain.principal == r"CORP\alïce"
