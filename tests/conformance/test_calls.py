"""Golden calls: what both ends say, and once more by hand from docs/wire.md alone."""

from typing import Any

import pytest

from tests.conformance.conversations import CALLS, SCRIPTS, load_calls, played

KINDS = "CALL PART ITEM END REPLY STATUS CANCEL CREDIT HEADERS PING PONG GOAWAY".split()
CALL, PART, ITEM, END, REPLY, STATUS, CANCEL, CREDIT, HEADERS, PING, PONG, GOAWAY = (
    range(1, 13)
)
FROM_CLIENT = {CALL, PART, ITEM, END, CANCEL, CREDIT, PING, PONG}
FROM_SERVER = {PART, ITEM, REPLY, STATUS, CREDIT, HEADERS, PING, PONG, GOAWAY}


def test_each_conversation_is_listed() -> None:
    assert {path.stem for path in CALLS.iterdir()} == set(SCRIPTS)


@pytest.mark.anyio
@pytest.mark.parametrize("name", SCRIPTS)
async def test_this_is_what_the_ends_say(name: str) -> None:
    assert await played(name) == load_calls(name)


def test_each_kind_of_message_is_said() -> None:
    said = {entry["says"][0] for name in SCRIPTS for entry in load_calls(name)}
    assert said == set(range(1, 13))


# By hand.


def _size(value: dict[str, Any]) -> int:
    held = value["bin"]
    return len(held) // 2 if isinstance(held, str) else int(held["bytes"])


class _Way:
    """What one end has said of a call, and may say."""

    def __init__(self) -> None:
        self.window = 262144
        self.half = False
        self.over = False

    def body(self, more: bool, part: bool) -> None:
        """Take a body's piece."""
        assert self.half == part and not self.over
        self.half = more


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_order_and_the_windows_are_those_of_the_document(name: str) -> None:
    ways: dict[tuple[str, int], _Way] = {}
    whole = {"client": 1048576, "server": 1048576}
    other = {"client": "server", "server": "client"}
    levels: dict[int, str] = {}
    for entry in load_calls(name):
        by, (kind, number, *rest) = entry["from"], entry["says"]
        assert kind in (FROM_CLIENT if by == "client" else FROM_SERVER)
        if kind in (PING, PONG, GOAWAY) or number == 0:
            assert entry["level"] == "SIGN"
            if kind == CREDIT:
                whole[other[by]] += rest[0]
            continue
        if kind == CALL:
            levels[number] = entry["level"]
            ways[by, number], ways[other[by], number] = _Way(), _Way()
        assert "SIGN SEAL".index(entry["level"]) >= "SIGN SEAL".index(levels[number])
        way = ways[by, number]
        counts = 0
        match kind:
            case 1:  # CALL
                way.body(rest[3], part=False)
            case 2:  # PART
                counts = _size(rest[1])
                way.body(rest[0], part=True)
            case 3:  # ITEM
                counts = _size(rest[1]) + 32
                way.body(rest[0], part=False)
            case 5:  # REPLY
                way.body(rest[1], part=False)
            case 6:  # STATUS
                assert rest[0] or not way.half
                way.over = True
            case 8:  # CREDIT
                ways[other[by], number].window += rest[0]
            case 4 | 7:  # END, CANCEL
                assert not way.over
                way.over = True
            case _:
                assert kind == HEADERS and not way.half
        if counts:
            assert way.window > 0 and whole[by] > 0
            way.window -= counts
            whole[by] -= counts
    assert levels
