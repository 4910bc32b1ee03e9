"""No field of either HELLO can be changed on its way: both ends fail.

Scripted handshakes of 2 to 5 legs, and real ones, over each suite and both together.
"""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from signetrpc.transport._agreement import BINDING
from signetrpc.transport._frames import Frame, FrameType, encode_frame
from tests.support.mechanisms import Real
from tests.support.paths import LEGS, assert_both_fail, attacked, ends
from tests.support.sessions import AEAD, GSS, SUITES, Tamper, answer, frames, hello_of

HELLO = FrameType.HELLO
OFFERS = [(GSS,), (AEAD,), (AEAD, GSS)]

CHANGES: list[tuple[bool, str, object]] = [
    (True, "magic", "signetrpd"),
    (True, "versions", [1, 2]),
    (True, "versions", [2]),
    (True, "suites", ["gss", "aes256gcm"]),
    (True, "suites", ["channel"]),
    (True, "suites", ["aes256gcm", "gss", "new"]),
    (True, "levels", [0, 1, 2]),
    (True, "levels", [2]),
    (True, "levels", [0]),
    (True, "max_record", 1024),
    (True, "max_message", 1024),
    (True, "protocol", "ntlm"),
    (True, "protocol", "other"),
    (True, "target", ""),
    (True, "target", "host/other"),
    (True, "impersonation", 2),
    (True, "impersonation", 0),
    (True, "nonce", b"N" * 32),
    (True, "key", b"K" * 32),
    (True, "key", bytes(32)),
    (True, "features", ["f"]),
    (True, "features", [BINDING]),
    (True, "unknown", 1),
    (False, "magic", "signetrpd"),
    (False, "version", 2),
    (False, "suite", "channel"),
    (False, "suite", "other suite"),
    (False, "minimum", 0),
    (False, "minimum", 2),
    (False, "max_record", 1024),
    (False, "max_message", 1024),
    (False, "nonce", b"N" * 32),
    (False, "key", b"K" * 32),
    (False, "key", bytes(32)),
    (False, "features", ["f"]),
    (False, "features", [BINDING]),
    (False, "unknown", 1),
]


def changing(field: str, value: object) -> Tamper:
    """Return what changes one field of each HELLO that passes."""

    def change(frame: Frame) -> list[bytes]:
        if frame.kind is not HELLO:
            return [frame.encoded]
        body: dict[str, Any] = msgspec.msgpack.decode(frame.body)
        if value == "other suite":
            body["suite"] = GSS if body["suite"] == AEAD else AEAD
        else:
            assert field == "unknown" or body[field] != value
            body[field] = value
        return [encode_frame(HELLO, 0, msgspec.msgpack.encode(body))]

    return change


def test_every_field_of_both_hellos_is_changed_below() -> None:
    for of_client, data in [(True, hello_of()), (False, answer())]:
        body: dict[str, Any] = msgspec.msgpack.decode(frames(data)[0].body)
        changed = {field for client, field, _ in CHANGES if client is of_client}
        assert set(body) <= changed


@pytest.mark.parametrize("legs", LEGS)
@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize(("of_client", "field", "value"), CHANGES)
def test_a_changed_field_of_a_hello_fails_both_ends(
    of_client: bool, field: str, value: object, offer: tuple[str, ...], legs: int
) -> None:
    pair_of = ends(offer, legs=legs)
    outcomes = attacked(pair_of, changing(field, value), to_server=of_client)
    assert_both_fail(pair_of, outcomes)


@pytest.mark.parametrize(("of_client", "field", "value"), CHANGES)
def test_a_changed_field_over_a_real_mechanism(
    of_client: bool, field: str, value: object, real: Real, suite: str
) -> None:
    if (field, value) == ("protocol", real.form):
        value = "kerberos"
    # Large, so that 1024 is a change; both suites, so that either can be chosen.
    offered = (suite, *(other for other in SUITES if other != suite))
    policy = replace(real.policy, suites=offered)
    pair_of = real.client(suite, policy=policy), real.server(suite, policy=policy)
    if (field, value) == ("suites", list(offered)):
        value = [*offered, "new"]
    outcomes = attacked(pair_of, changing(field, value), to_server=of_client)
    assert_both_fail(pair_of, outcomes)


@pytest.mark.parametrize("legs", LEGS)
@pytest.mark.parametrize("to_server", [True, False])
def test_no_suite_can_be_taken_out_of_the_offer(to_server: bool, legs: int) -> None:
    # Both ends would take aes256gcm; the path tries to lead them to gss.
    pair_of = ends((AEAD, GSS), legs=legs)
    field, value = ("suites", [GSS]) if to_server else ("suite", GSS)
    outcomes = attacked(pair_of, changing(field, value), to_server=to_server)
    assert_both_fail(pair_of, outcomes)


@pytest.mark.parametrize("legs", LEGS)
@pytest.mark.parametrize("to_server", [True, False])
def test_no_channel_binding_can_be_taken_out_of_the_offer(
    to_server: bool, legs: int, suite: str
) -> None:
    pair_of = ends((suite,), legs=legs, binding=b"B" * 32)
    outcomes = attacked(pair_of, changing("features", []), to_server=to_server)
    assert_both_fail(pair_of, outcomes)
