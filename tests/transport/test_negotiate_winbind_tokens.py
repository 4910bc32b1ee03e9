"""The client's NTLM messages as they are read before winbind is asked."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spnego._ntlm_raw.messages import Authenticate as Message
from spnego._ntlm_raw.messages import Challenge, Negotiate, NegotiateFlags, Version

from signetrpc.transport._negotiate_winbind_tokens import (
    check_negotiate,
    flags_of_challenge,
    read_authenticate,
)
from signetrpc.transport.errors import AuthenticationFailed, FailureReason

FLAGS = NegotiateFlags.unicode | NegotiateFlags.version | NegotiateFlags.key_exch
PROOF = bytes(range(16))
MIC = bytes(range(100, 116))
KEY = bytes(range(200, 216))
BINDINGS = b"\0" + bytes(range(1, 16))


def pair(number: int, value: bytes) -> bytes:
    return struct.pack("<HH", number, len(value)) + value


WITH_MIC = pair(6, b"\2\0\0\0")
END = pair(0, b"")


def response(*pairs: bytes, kind: bytes = b"\1\1") -> bytes:
    return PROOF + kind + bytes(26) + b"".join(pairs)


GOOD = response(pair(1, b"x"), WITH_MIC, pair(10, BINDINGS), END, bytes(4))


def build(**changes: Any) -> bytes:
    given: dict[str, Any] = {
        "flags": FLAGS,
        "lm_challenge_response": bytes(24),
        "nt_challenge_response": GOOD,
        "domain_name": "CORP",
        "username": "älice",
        "workstation": "HERE",
        "encrypted_session_key": KEY,
        "version": Version(10),
        "mic": MIC,
    }
    return Message(**given | changes).pack()


def refusal(token: bytes) -> AuthenticationFailed:
    with pytest.raises(AuthenticationFailed) as caught:
        read_authenticate(token)
    return caught.value


def test_a_good_message() -> None:
    token = build()
    found = read_authenticate(token)
    assert (found.domain, found.user, found.flags) == ("CORP", "älice", FLAGS)
    assert (found.encrypted_key, found.mic, found.bindings) == (KEY, MIC, BINDINGS)
    assert found.covered == token.replace(MIC, bytes(16))
    for secret in (KEY, MIC):
        assert repr(secret) not in repr(found)


def test_names_and_bindings_may_be_left_out() -> None:
    nothing = response(WITH_MIC, pair(10, bytes(16)), END)
    token = build(domain_name="", workstation=None, nt_challenge_response=nothing)
    assert read_authenticate(token).domain == ""
    assert read_authenticate(token).bindings == b""
    assert read_authenticate(build(lm_challenge_response=b"")).user == "älice"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"nt_challenge_response": bytes(24)}, "not NTLMv2"),
        ({"nt_challenge_response": b""}, "not NTLMv2"),
        ({"nt_challenge_response": response(kind=b"\2\1")}, "not NTLMv2"),
        ({"nt_challenge_response": response(END)}, "no message integrity code"),
        (
            {"nt_challenge_response": response(pair(6, b"\1\0\0\0"), END)},
            "no message integrity code",
        ),
        (
            {"nt_challenge_response": response(pair(6, b"\2"), END)},
            "no message integrity code",
        ),
        ({"lm_challenge_response": b"\1" * 24}, "LM response"),
        ({"username": ""}, "names no user"),
    ],
)
def test_weak_forms(changes: dict[str, Any], what: str) -> None:
    error = refusal(build(**changes))
    assert error.reason is FailureReason.REFUSED
    assert what in str(error)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"encrypted_session_key": None}, "session key has 0 bytes"),
        ({"encrypted_session_key": KEY[:15]}, "session key has 15 bytes"),
        ({"flags": NegotiateFlags.version}, "not Unicode"),
        ({"username": "alice\0mallory"}, "NUL"),
        ({"nt_challenge_response": response(WITH_MIC)}, "does not end"),
        ({"nt_challenge_response": response(WITH_MIC, b"\1\0\5\0ab")}, "does not end"),
        ({"nt_challenge_response": response(WITH_MIC, WITH_MIC, END)}, "twice"),
    ],
)
def test_malformed_messages(changes: dict[str, Any], what: str) -> None:
    error = refusal(build(**changes))
    assert error.reason is FailureReason.MALFORMED
    assert what in str(error)


def test_a_message_without_a_version_has_its_code_elsewhere() -> None:
    token = build(version=None)
    assert refusal(token).reason is FailureReason.MALFORMED


def test_a_name_of_half_a_character() -> None:
    token = bytearray(build(username="ab", workstation=None))
    struct.pack_into("<HH", token, 36, 3, 3)
    assert "not UTF-16" in str(refusal(bytes(token)))


@pytest.mark.parametrize("at", range(12, 60, 8))
@pytest.mark.parametrize("start", [0, 64, 87, 1 << 20, 0xFFFFFFFF])
def test_no_field_lies_in_the_head_or_outside(at: int, start: int) -> None:
    token = bytearray(build())
    struct.pack_into("<I", token, at + 4, start)
    assert "outside" in str(refusal(bytes(token)))


def test_cut_at_each_byte() -> None:
    token = build()
    for length in range(len(token)):
        refusal(token[:length])


@given(st.data())
def test_changed_bytes_are_read_or_refused(data: st.DataObject) -> None:
    token = bytearray(build())
    for _ in range(data.draw(st.integers(1, 4))):
        token[data.draw(st.integers(0, len(token) - 1))] = data.draw(
            st.integers(0, 255)
        )
    try:
        assert read_authenticate(bytes(token)).user
    except AuthenticationFailed:
        pass


@given(st.binary(max_size=200))
def test_garbage_is_refused(token: bytes) -> None:
    refusal(token)
    with pytest.raises(AuthenticationFailed):
        check_negotiate(token)


def test_the_first_message() -> None:
    good = Negotiate(FLAGS, version=Version(10)).pack()
    check_negotiate(good)
    datagram = Negotiate(FLAGS | NegotiateFlags.datagram, version=Version(10)).pack()
    for token, what in (
        (datagram, "datagrams"),
        (build(), "another kind"),
        (good[:31], "31 bytes"),
        (b"X" + good[1:], "another kind"),
    ):
        with pytest.raises(AuthenticationFailed, match=what):
            check_negotiate(token)


def test_the_flags_of_a_challenge() -> None:
    assert flags_of_challenge(Challenge(FLAGS, bytes(8)).pack()) == FLAGS
