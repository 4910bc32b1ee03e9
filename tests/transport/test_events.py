"""Events are values: they compare, cannot be changed, and can be matched."""

from dataclasses import FrozenInstanceError

import pytest

from signetrpc.transport._events import (
    Established,
    Event,
    MessagesReceived,
    PeerClosed,
    StepRequired,
)
from signetrpc.transport._identity import ANONYMOUS
from signetrpc.transport._protection import Protection

ESTABLISHED = Established(
    peer=ANONYMOUS, suite="channel", minimum=Protection.NONE, max_message_bytes=1024
)


def told(event: Event) -> str:
    match event:
        case StepRequired(token=token):
            return f"step {token!r}"
        case Established(suite=suite):
            return f"established {suite}"
        case MessagesReceived(protection, messages):
            return f"{protection.name} {messages!r}"
        case PeerClosed():
            return "closed"


def test_they_can_be_matched() -> None:
    assert [
        told(StepRequired(token=None)),
        told(ESTABLISHED),
        told(MessagesReceived(Protection.SEAL, [b"a"])),
        told(PeerClosed()),
    ] == ["step None", "established channel", "SEAL [b'a']", "closed"]


def test_they_compare_by_value() -> None:
    assert StepRequired(token=b"x") == StepRequired(token=b"x")
    assert PeerClosed() == PeerClosed()
    assert StepRequired(token=b"x") != StepRequired(token=None)


@pytest.mark.parametrize("event", [StepRequired(token=b"x"), ESTABLISHED])
def test_they_cannot_be_changed(event: StepRequired | Established) -> None:
    for field in ("token", "suite"):
        if hasattr(event, field):
            with pytest.raises(FrozenInstanceError):
                setattr(event, field, "changed")
