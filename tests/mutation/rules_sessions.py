"""Open sessions: the frames of both suites, and the change of keys."""

from typing import Final

from tests.mutation.edits import Edit
from tests.mutation.rule import Rule, edit, off

__all__ = ["RULES"]

_H_REC = "hostile/test_records.py::test_"
_SESSION = "transport/test_session.py::test_"
_S_HOSTILE = "transport/test_session_hostile.py::test_"
_H_HOSTILE = "transport/test_handshake_hostile.py::test_"
_AEAD = "transport/test_aead.py::test_"
_SUITES = "transport/test_suites.py::test_"

RULES: Final = (
    edit(
        "An unprotected call or message in an authenticated session",
        "transport._session:Session._receive_record",
        f"{_H_REC}an_unprotected_record_sent_by_the_peer_itself",
        "if level < self._minimum:",
        "if False:",
    ),
    edit(
        "A CLOSE that nobody signed",
        "transport._session:Session._receive_frame",
        f"{_S_HOSTILE}what_no_key_vouches_for_is_an_integrity_error",
        "if frame.level != self._suite.control_level:",
        "if False:",
    ),
    edit(
        "A stream that is cut off, passed for a clean end",
        "transport._session:Session._end_of_stream",
        f"{_SESSION}the_end_of_the_stream_is_a_truncation_unless_close_came",
        "if self._state is SessionState.CLOSED and not held:",
        "if not held:",
    ),
    edit(
        "A record after CLOSE",
        "transport._session:Session._receive_record",
        f"{_SESSION}nothing_comes_after_close",
        "if self._state is SessionState.CLOSED:",
        "if False:",
    ),
    edit(
        "Another try after a failed check",
        "transport._session:Session._fail",
        f"{_SESSION}an_error_parks_the_session_for_good",
        "self._error = error",
        "pass",
    ),
    edit(
        "A handshake begun again in an open session",
        "transport._session:Session._receive_frame",
        f"{_H_HOSTILE}nothing_of_the_handshake_comes_after_it",
        'raise self._not_sent_so(f"{frame.kind.name} frame in state '
        '{self._state.name}")',
        "pass",
    ),
    edit(
        "A wrap token that is not encrypted in a sealed record",
        "transport._suites:GssSuite._open",
        f"{_H_REC}an_unencrypted_wrap_token_in_a_sealed_record",
        "if not encrypted:",
        "if False:",
    ),
    edit(
        "A Kerberos wrap token with a changed rotation count",
        "transport._negotiate_kerberos:KerberosContext.messages",
        f"{_H_REC}a_wrap_token_with_another_rotation",
        r' or token[6:8] != b"\0\0"',
        "",
    ),
    edit(
        "Suite gss: a sealed frame out of its place",
        "transport._suites:GssSuite._open",
        f"{_SUITES}the_sealed_prefix_must_match_exactly",
        "if data[:16] != prefix:",
        "if False:",
    ),
    Rule(
        "Suite gss: one frame's signature under another frame type",
        "transport._suites:GssSuite.unprotect",
        f"tests/{_H_REC}one_frame_s_protection_under_another_type",
        (
            Edit(
                "transport._suites:GssSuite.protect",
                "_PREFIX.pack(kind, level,",
                "_PREFIX.pack(0, level,",
            ),
            Edit(
                "transport._suites:GssSuite.unprotect",
                "_PREFIX.pack(frame.kind, level,",
                "_PREFIX.pack(0, level,",
            ),
        ),
    ),
    Rule(
        "Suite gss: a frame repeated where the mechanism does not count",
        "transport._suites:GssSuite.unprotect",
        f"tests/{_SUITES}the_count_is_in_the_frame_even_if_the_mechanism_has_none",
        (
            Edit(
                "transport._suites:GssSuite.protect",
                "self._sent += 1",
                "self._sent += 0",
            ),
            Edit(
                "transport._suites:GssSuite.unprotect",
                "self._received += 1",
                "self._received += 0",
            ),
        ),
    ),
    Rule(
        "Suite aes256gcm: one frame's signature under another frame type",
        "transport._aead:AeadSuite.unprotect",
        f"tests/{_H_REC}one_frame_s_protection_under_another_type",
        (
            Edit(
                "transport._aead:AeadSuite._protect",
                'out.sign.encrypt(nonce, b"", signed)',
                'out.sign.encrypt(nonce, b"", plaintext)',
            ),
            Edit(
                "transport._aead:AeadSuite.unprotect",
                "body[-_TAG:], signed)",
                "body[-_TAG:], signed[len(header) :])",
            ),
        ),
    ),
    Rule(
        "Suite aes256gcm: a sealed frame under another header",
        "transport._aead:AeadSuite.unprotect",
        f"tests/{_AEAD}the_header_is_authenticated",
        (
            Edit(
                "transport._aead:AeadSuite._protect",
                "out.seal.encrypt(nonce, plaintext, header)",
                "out.seal.encrypt(nonce, plaintext, None)",
            ),
            Edit(
                "transport._aead:AeadSuite.unprotect",
                "into.seal.decrypt(nonce, body, header)",
                "into.seal.decrypt(nonce, body, None)",
            ),
        ),
    ),
    edit(
        "Suite aes256gcm: frames repeated, dropped or moved; a nonce used twice",
        "transport._aead:_Direction._count",
        f"{_AEAD}repeated_dropped_moved_and_reflected_frames_are_found",
        "self.counter += 1",
        "self.counter += 0",
    ),
    edit(
        "Suite aes256gcm: an unprotected frame in the place of a protected one",
        "transport._aead:_Direction.next_nonce",
        f"{_AEAD}an_unprotected_frame_in_the_place_of_a_protected_one_is_found",
        "self.unprotected & 0xFFFFFFFF",
        "0",
    ),
    edit(
        "Suite aes256gcm: a frame sent back to its sender",
        "transport._aead:AeadSuite.__init__",
        f"{_AEAD}repeated_dropped_moved_and_reflected_frames_are_found",
        'for way in (b"c2s", b"s2c")',
        'for way in (b"c2s", b"c2s")',
    ),
    edit(
        "Suite aes256gcm: keys without the mechanism's session key",
        "transport._aead:_extract",
        f"{_AEAD}everything_derives_from_everything",
        "+ session_key +",
        "+",
    ),
    edit(
        "Suite aes256gcm: keys of another handshake",
        "transport._aead:_extract",
        f"{_AEAD}everything_derives_from_everything",
        "hmac.digest(transcript,",
        "hmac.digest(bytes(32),",
    ),
    edit(
        "Suite aes256gcm: a recording opened with a password that leaks later",
        "transport._aead:_extract",
        f"{_AEAD}everything_derives_from_everything",
        "+ shared",
        "",
    ),
    edit(
        "An early REKEY",
        "transport._aead:AeadSuite.rekey",
        f"{_H_REC}a_rekey_that_comes_early",
        "if taken < _FEWEST_FRAMES:",
        "if False:",
    ),
    edit(
        "A REKEY that does not come",
        "transport._aead:AeadSuite.unprotect",
        f"{_H_REC}a_rekey_that_does_not_come",
        "if into.worn and kind is not FrameType.REKEY:",
        "if False:",
    ),
    edit(
        "A REKEY that nobody signed",
        "transport._aead:AeadSuite.rekey",
        f"{_AEAD}a_rekey_is_signed",
        "if frame.level != _SIGN:",
        "if False:",
    ),
    off(
        "A REKEY in suite gss",
        "transport._suites:GssSuite.rekey",
        f"{_H_REC}a_rekey_that_somebody_makes_up",
    ),
)
