"""Suites `gss` and `channel`: what a frame says, what its protection proves."""

from struct import pack

import pytest

from signetrpc.transport import _suites
from signetrpc.transport._frames import Frame, FrameType
from signetrpc.transport._protection import Protection, Suite
from signetrpc.transport._security import Unwrapped
from signetrpc.transport._suites import ChannelSuite, GssSuite
from signetrpc.transport.errors import (
    ConnectionClosed,
    InsufficientProtection,
    IntegrityError,
    RemoteProtocolError,
)
from signetrpc.transport.testing import ScriptedContext
from tests.support.sessions import NONE, SEAL, SIGN, frames, raw

RECORD, CLOSE = FrameType.RECORD, FrameType.CLOSE


def ends() -> tuple[GssSuite, GssSuite]:
    client = GssSuite(ScriptedContext(initiator=True))
    return client, GssSuite(ScriptedContext(initiator=False))


def frame(encoded: bytes) -> Frame:
    (only,) = frames(encoded)
    return only


class Clear(ScriptedContext):
    """Wraps without any protection, and says so; every signature is `mic`."""

    def wrap(self, data: bytes) -> bytes:
        return data

    def unwrap(self, token: bytes) -> Unwrapped:
        return Unwrapped(token, True)

    def sign(self, data: bytes) -> bytes:
        self.signed = data
        return b"mic"

    def verify(self, data: bytes, mic: bytes) -> None:
        assert (data, mic) == (self.signed, b"mic")


def test_layout_of_each_level() -> None:
    suite = GssSuite(context := Clear(initiator=True))
    assert suite.protect(RECORD, NONE, b"abc") == raw(16, b"abc")
    prefix = bytes.fromhex("10 01 0000 00000003 0000000000000001")
    assert suite.protect(RECORD, SIGN, b"abc") == (
        raw(16, b"\0\3mic" + b"abc", level=1)
    )
    assert context.signed == prefix + b"abc"
    prefix = bytes.fromhex("12 02 0000 00000000 0000000000000002")
    assert suite.protect(CLOSE, SEAL, b"") == raw(18, prefix, level=2)


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_a_level_given_as_int_protects_as_much(level: Protection) -> None:
    asked: Protection = int(level)  # type: ignore[assignment]  # pyright: ignore
    sent = ends()[0].protect(RECORD, asked, b"plaintext")
    assert sent == ends()[0].protect(RECORD, level, b"plaintext")


@pytest.mark.parametrize("level", Protection)
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_plaintext_comes_back(level: Protection, size: int) -> None:
    here, there = ends()
    for _ in range(3):
        sent = here.protect(RECORD, level, b"m" * size)
        assert there.unprotect(frame(sent)) == b"m" * size
        assert len(sent) - 8 - size <= here.overhead


def test_levels_mix_in_one_count() -> None:
    here, there = ends()
    for level in (NONE, SIGN, SEAL, NONE, NONE, SEAL, SIGN):
        sent = here.protect(RECORD, level, level.name.encode())
        assert there.unprotect(frame(sent)) == level.name.encode()


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_a_frame_dropped_repeated_or_made_up_is_found(level: Protection) -> None:
    here, there = ends()
    first = here.protect(RECORD, NONE, b"one")
    second = here.protect(RECORD, level, b"two")
    with pytest.raises(IntegrityError):
        there.unprotect(frame(second))  # the first was dropped

    here, there = ends()
    first = here.protect(RECORD, level, b"one")
    there.unprotect(frame(first))
    with pytest.raises(IntegrityError):
        there.unprotect(frame(first))

    here, there = ends()
    there.unprotect(frame(raw(16, b"made up, unprotected")))
    with pytest.raises(IntegrityError):
        there.unprotect(frame(here.protect(RECORD, level, b"one")))


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_the_count_is_in_the_frame_even_if_the_mechanism_has_none(
    level: Protection,
) -> None:
    class Forgetful(ScriptedContext):
        def _nonce(self, *, sending: bool) -> bytes:
            return b"the same nonce"[:12]

    here = GssSuite(Forgetful(initiator=True))
    there = GssSuite(Forgetful(initiator=False))
    first = frame(here.protect(RECORD, level, b"one"))
    assert there.unprotect(first) == b"one"
    with pytest.raises(IntegrityError):
        there.unprotect(first)


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_type_and_level_are_authenticated(level: Protection) -> None:
    here, there = ends()
    sent = frame(here.protect(RECORD, level, b""))
    with pytest.raises(IntegrityError):
        there.unprotect(sent._replace(kind=CLOSE))
    here, there = ends()
    sent = frame(here.protect(RECORD, level, b""))
    other = SIGN if level is SEAL else SEAL
    with pytest.raises(IntegrityError):
        there.unprotect(sent._replace(level=other))


def test_an_unencrypted_wrap_token_is_refused() -> None:
    class Plain(Clear):
        def unwrap(self, token: bytes) -> Unwrapped:
            return Unwrapped(token, False)

    here, there = GssSuite(Plain(initiator=True)), GssSuite(Plain(initiator=False))
    with pytest.raises(IntegrityError, match="not encrypted"):
        there.unprotect(frame(here.protect(RECORD, SEAL, b"x")))


@pytest.mark.parametrize(
    "inner",
    [
        b"",
        b"x" * 15,
        pack(">BBHIQ", 16, 2, 0, 1, 0),
        pack(">BBHIQ", 16, 2, 0, 2, 0) + b"x",
        pack(">BBHIQ", 16, 2, 1, 1, 0) + b"x",
        pack(">BBHIQ", 16, 1, 0, 1, 0) + b"x",
        pack(">BBHIQ", 18, 2, 0, 1, 0) + b"x",
        pack(">BBHIQ", 16, 2, 0, 1, 1) + b"x",
    ],
)
def test_the_sealed_prefix_must_match_exactly(inner: bytes) -> None:
    there = GssSuite(Clear(initiator=False))
    with pytest.raises(IntegrityError, match="not the next frame of its kind"):
        there.unprotect(frame(raw(16, inner, level=2)))


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\1", b"\xff\xff" + b"x" * 100])
def test_signed_bodies_too_short_for_their_signature(body: bytes) -> None:
    with pytest.raises(IntegrityError):
        ends()[1].unprotect(frame(raw(16, body, level=1)))


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_ended_at_each_byte(level: Protection) -> None:
    here = ends()[0]
    body = bytes(frame(here.protect(RECORD, level, b"plaintext")).body)
    for at in range(len(body)):
        with pytest.raises(IntegrityError):
            ends()[1].unprotect(frame(raw(16, body[:at], level=level)))
    with pytest.raises(IntegrityError):
        ends()[1].unprotect(frame(raw(16, body + b"\0", level=level)))


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_whatever_the_mechanism_raises_is_an_integrity_error(
    level: Protection,
) -> None:
    class Fragile(ScriptedContext):
        def unwrap(self, token: bytes) -> Unwrapped:
            raise StopIteration

        def verify(self, data: bytes, mic: bytes) -> None:
            raise AttributeError("no such thing")

    with pytest.raises(IntegrityError):
        GssSuite(Fragile(initiator=False)).unprotect(
            frame(raw(16, b"\0\1xy", level=level))
        )


@pytest.mark.parametrize("level", [SIGN, SEAL])
def test_whatever_it_raises_on_sending_ends_the_connection(level: Protection) -> None:
    class Expired(ScriptedContext):
        def wrap(self, data: bytes) -> bytes:
            raise RuntimeError("expired")

        def sign(self, data: bytes) -> bytes:
            return b"x" * 65536  # longer than its length field can say

    with pytest.raises(ConnectionClosed, match="could not protect a frame") as caught:
        GssSuite(Expired(initiator=True)).protect(RECORD, level, b"x")
    assert not caught.value.clean


@pytest.mark.parametrize(("frame_limit", "byte_limit"), [(3, 1 << 40), (1 << 40, 30)])
def test_keys_are_exhausted_and_then_used_up(
    monkeypatch: pytest.MonkeyPatch, frame_limit: int, byte_limit: int
) -> None:
    monkeypatch.setattr(_suites, "_MOST_FRAMES", frame_limit)
    monkeypatch.setattr(_suites, "_LAST_FRAME", 2 * frame_limit)
    monkeypatch.setattr(_suites, "_MOST_BYTES", byte_limit)
    suite = ends()[0]
    said: list[bool] = []
    for _ in range(6):
        suite.protect(RECORD, SIGN, b"x" * 10)
        said.append(suite.exhausted)
    assert said == [False, False, True, True, True, True]
    with pytest.raises(ConnectionClosed, match="used up"):
        suite.protect(RECORD, SIGN, b"x")


def test_gss_gives_every_level_as_itself() -> None:
    suite = ends()[0]
    assert [suite.effective(level) for level in Protection] == list(Protection)
    assert suite.control_level is SIGN
    assert suite.guards


@pytest.mark.parametrize("provides", Protection)
def test_channel_gives_what_it_gives(provides: Protection) -> None:
    suite = ChannelSuite(provides)
    for level in Protection:
        if level <= provides:
            assert suite.effective(level) is provides
        else:
            with pytest.raises(InsufficientProtection) as caught:
                suite.effective(level)
            assert str(caught.value) == (
                f"level {level.name} asked for; this connection gives {provides.name}"
            )
    sent = suite.protect(RECORD, provides, b"abc")
    assert sent == raw(16, b"abc", level=provides)
    assert suite.unprotect(frame(sent)) == b"abc"
    assert suite.control_level is provides
    assert (suite.exhausted, suite.overhead, suite.guards) == (False, 0, False)


@pytest.mark.parametrize("provides", Protection)
def test_channel_refuses_another_level(provides: Protection) -> None:
    for level in set(Protection) - {provides}:
        with pytest.raises(RemoteProtocolError, match="this connection gives"):
            ChannelSuite(provides).unprotect(frame(raw(16, b"x", level=level)))


@pytest.mark.parametrize("provides", Protection)
def test_a_channel_can_keep_levels_up_to_what_it_gives(provides: Protection) -> None:
    suite = ChannelSuite(provides, keeps_levels=True)
    for level in Protection:
        sent = raw(16, b"abc", level=level)
        if level <= provides:
            assert suite.effective(level) is level
            assert suite.protect(RECORD, level, b"abc") == sent
            assert suite.unprotect(frame(sent)) == b"abc"
        else:
            with pytest.raises(InsufficientProtection):
                suite.effective(level)
            with pytest.raises(RemoteProtocolError, match="this connection gives"):
                suite.unprotect(frame(sent))
    assert suite.control_level is provides


def test_both_are_suites() -> None:
    suites: list[Suite] = [ends()[0], ChannelSuite(SEAL)]
    assert [suite.name for suite in suites] == ["gss", "channel"]
