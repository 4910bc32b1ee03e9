"""What one end brings into a session, and what it cannot bring."""

from dataclasses import replace

import pytest

from signetrpc.transport._config import NO_BINDING, Channel, Limits
from signetrpc.transport._identity import ANONYMOUS
from signetrpc.transport._protection import Protection
from tests.support.sessions import config


def test_default_limits() -> None:
    limits = Limits()
    assert limits.max_record_bytes == 256 * 1024
    assert limits.max_message_bytes == 128 * 1024
    assert limits.max_token_bytes == 64 * 1024


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_message_bytes": 1023}, "max_message_bytes 1023 is not from 1024"),
        ({"max_record_bytes": (1 << 30) + 1}, "max_record_bytes 1073741825 is not"),
        ({"max_token_bytes": 1}, "max_token_bytes 1 is not from 1024"),
        (
            {"max_message_bytes": 256 * 1024},
            "must be at least 1024 under max_record_bytes 262144",
        ),
    ],
)
def test_limits_that_no_hello_could_say(changes: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(Limits(), **changes)


@pytest.mark.parametrize("field", ["nonce", "binding"])
@pytest.mark.parametrize("size", [0, 31, 33])
def test_nonce_and_binding_have_32_bytes(field: str, size: int) -> None:
    value = bytes(size)
    with pytest.raises(ValueError, match=f"{field} of {size} bytes, not 32"):
        if field == "nonce":
            replace(config(initiator=True), nonce=value)
        else:
            replace(config(initiator=True), binding=value)


def test_a_channel_is_the_only_suite_where_there_is_one() -> None:
    plain = config(initiator=True)
    assert plain.suites == ["gss"]
    assert plain.binding == NO_BINDING == bytes(32)
    channel = Channel(provides=Protection.SEAL)
    assert channel.peer is ANONYMOUS
    assert replace(plain, channel=channel).suites == ["channel"]
