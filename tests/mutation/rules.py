"""The table of docs/security.md: attack, rule, test, and how the rule is taken out.

python -m tests.mutation.rules        prints the document's table
"""

from dataclasses import dataclass
from typing import Final

from tests.mutation.edits import Change, Edit, Environment, Off, Value

__all__ = ["RULES", "Rule"]


@dataclass(frozen=True)
class Rule:
    """One row.

    Attributes:
        attack: What somebody tries.
        where: The function that refuses it, `module:name`.
        test: The test that shows it, as pytest names it.
        changes: What takes the rule out.
    """

    attack: str
    where: str
    test: str
    changes: tuple[Change, ...]

    @property
    def shown(self) -> str:
        """The rule as the document has it."""
        return self.where.replace("transport.", "transport/").replace("rpc.", "rpc/")


def _edit(attack: str, where: str, test: str, old: str, new: str) -> Rule:
    return Rule(attack, where, f"tests/{test}", (Edit(where, old, new),))


def _off(attack: str, where: str, test: str) -> Rule:
    return Rule(attack, where, f"tests/{test}", (Off(where),))


_NTLM = "transport/test_negotiate_ntlm.py::test_"
_SPNEGO = "transport/test_negotiate_spnego.py::test_"
_VIOLATION = "transport/test_acceptance.py::test_each_violation_is_refused"
_H_NTLM, _H_KRB = "hostile/test_ntlm.py::test_", "hostile/test_kerberos.py::test_"
_H_NEG, _H_REC = "hostile/test_negotiate.py::test_", "hostile/test_records.py::test_"
_H_BIND = "hostile/test_binding.py::test_"
_SESSION = "transport/test_session.py::test_"
_S_HOSTILE = "transport/test_session_hostile.py::test_"
_FIELDS, _FRAMES = (
    f"transport/test_handshake_{name}.py::test_" for name in ("fields", "frames")
)
_H_HOSTILE = "transport/test_handshake_hostile.py::test_"
_HAND = "transport/test_handshake.py::test_"
_AEAD = "transport/test_aead.py::test_"
_SUITES = "transport/test_suites.py::test_"
_DOORS = "hostile/test_door.py::test_"
_SERVER = "rpc/test_server_connection.py::test_"
_CLIENT = "rpc/test_client_connection_hostile.py::test_"

_WHO: Final = (
    Rule(
        "NTLMv1, and a known user without a password (empty NT, zero LM response)",
        "transport._negotiate_ntlm:NtlmContext.__init__",
        f"tests/{_NTLM}only_version_2_with_a_password_gets_in",
        (
            Value(
                "transport._negotiate_ntlm:_ENVIRONMENT.environ",
                {"LM_COMPAT_LEVEL": "3"},
            ),
        ),
    ),
    _off(
        "NTLM with less than NTLMv2, 128-bit keys, session security, key exchange",
        "transport._acceptance:ntlm_strong",
        f"{_NTLM}each_strength_that_a_client_leaves_out_is_missed",
    ),
    Rule(
        "The path takes the message integrity code out of NTLM",
        "transport._acceptance:ntlm_strong",
        f"tests/{_H_NTLM}a_stripped_mic_is_missed_by_both_ends",
        (Off("transport._acceptance:ntlm_strong"),),
    ),
    _off(
        "A client that agrees on no integrity and sends the constant signature",
        "transport._acceptance:protection_agreed",
        f"{_H_NTLM}no_integrity_is_what_is_missed",
    ),
    _off(
        "A context that names nobody",
        "transport._acceptance:principal_named",
        _VIOLATION,
    ),
    _off(
        "A negotiation that is complete around a mechanism that is not",
        "transport._acceptance:inner_context_complete",
        _VIOLATION,
    ),
    _off(
        "Another mechanism than those allowed",
        "transport._acceptance:mechanism_allowed",
        _VIOLATION,
    ),
    _off(
        "A session key that is short or all zero",
        "transport._acceptance:session_key_strong",
        _VIOLATION,
    ),
    _off(
        "A Kerberos session key of arcfour or another weak kind",
        "transport._acceptance:enctype_strong",
        f"{_H_KRB}an_arcfour_session_key_is_refused_by_both_ends",
    ),
    _off(
        "A Kerberos client that asks for no proof of the server",
        "transport._acceptance:mutual_authentication",
        f"{_H_KRB}a_client_that_asks_for_less_is_refused",
    ),
    _off(
        "A ticket for another service than HELLO names",
        "transport._acceptance:target_equal",
        f"{_H_KRB}a_ticket_for_another_service_than_hello_s",
    ),
    _off(
        "Over TLS: NTLM with an all-zero channel binding",
        "transport._acceptance:channel_bound",
        f"{_H_BIND}an_all_zero_binding_is_none",
    ),
    _off(
        "Over TLS: a Kerberos client without channel bindings",
        "transport._acceptance:channel_bound",
        f"{_H_BIND}a_proof_without_channel_bindings_is_refused",
    ),
    Rule(
        "Over TLS: somebody between who ends TLS",
        "transport._handshake:Handshake._statement",
        f"tests/{_H_BIND}nor_does_finished_fit_another_channel",
        (
            Edit(
                "transport._handshake:Handshake._statement",
                "self._transcript.digest() + binding",
                "self._transcript.digest()",
            ),
        ),
    ),
    _off(
        "Over TLS: an end that leaves channel binding out where it is demanded",
        "transport._agreement:_check_binding",
        f"{_H_BIND}where_it_is_demanded_a_session_without_it_is_refused",
    ),
    Rule(
        "A replayed AP-REQ (libkrb5's replay cache stays on)",
        "transport._negotiate_kerberos:KerberosAcceptor.context",
        f"tests/{_H_KRB}a_replayed_proof_gets_nobody_in",
        (Environment("KRB5RCACHENAME", "none:"),),
    ),
    _edit(
        "NegTokenResp(accept-completed) as the first message",
        "transport._negotiate_spnego:SpnegoContext.step",
        f"{_H_NTLM}a_negotiation_that_begins_with_its_end",
        "if not self._init_sent:",
        "if False:",
    ),
    _edit(
        "NegTokenResp(accept-completed) as the second message",
        "transport._negotiate_spnego:SpnegoContext._check_end",
        f"{_SPNEGO}a_negotiation_is_not_ended_before_its_mechanism",
        "if not self._context.complete:",
        "if False:",
    ),
    _edit(
        "A bare mechanism's token in place of a negotiation",
        "transport._negotiate_spnego:SpnegoContext.step",
        f"{_SPNEGO}a_bare_mechanisms_token_is_no_negotiation",
        "if not spnego:",
        "if False:",
    ),
    _edit(
        "A stripped mechListMIC",
        "transport._negotiate_spnego:SpnegoContext._check_end",
        f"{_SPNEGO}a_server_does_not_leave_out_its_code",
        "if self._mic_required or not preferred:",
        "if False:",
    ),
    _edit(
        "A server that talks a client of Kerberos alone down to NTLM",
        "transport._negotiate_spnego:SpnegoContext._pin",
        f"{_H_NEG}a_server_cannot_talk_a_client_down_to_ntlm",
        "if chosen not in self._context_list:",
        "if False:",
    ),
    _edit(
        "A server that changes the mechanism half way",
        "transport._negotiate_spnego:SpnegoContext._pin",
        f"{_SPNEGO}a_server_does_not_change_its_choice",
        "if self._pinned not in (None, chosen):",
        "if False:",
    ),
    _edit(
        "Finding out which users exist",
        "transport._negotiate_accounts:Accounts.find",
        f"{_NTLM}an_unknown_user_reads_like_a_wrong_password",
        "return self._accounts.get(_key(domain, user), nobody)",
        "return self._accounts[_key(domain, user)]",
    ),
    _edit(
        "Finding out which users exist, by what REJECT says",
        "transport._hello:reject_code",
        "transport/test_hello.py::test_unknown_user_and_wrong_password_read_the_same",
        "return _BY_REASON.get(error.reason, RejectCode.CREDENTIALS)",
        "return RejectCode(1 + list(FailureReason).index(error.reason) % 10)",
    ),
)

_HANDSHAKE: Final = (
    _edit(
        "A changed field of a HELLO: version, suite, level, limit, target, nonce, key",
        "transport._handshake:Handshake._verify_finished",
        f"{_FIELDS}a_changed_field_of_a_hello_fails_both_ends",
        "self._context.verify(statement, bytes(frame.body))",
        "pass",
    ),
    Rule(
        "The same, were HELLO no part of the transcript",
        "transport._handshake:Handshake._send",
        f"tests/{_FIELDS}a_changed_field_of_a_hello_fails_both_ends",
        (
            Edit(
                "transport._handshake:Handshake._send",
                "self._transcript.update(frame)",
                "self._transcript.update(frame if kind is FrameType.TOKEN else b'')",
            ),
            Edit(
                "transport._handshake:Handshake.receive",
                "self._awaiting_hello = False\n            "
                "self._transcript.update(frame.encoded)",
                "self._awaiting_hello = False",
            ),
        ),
    ),
    _edit(
        "FINISHED sent back to its sender",
        "transport._handshake:Handshake._statement",
        f"{_FRAMES}finished_sent_back_proves_nothing_whatever_the_mechanism",
        "+ label +",
        "+",
    ),
    _edit(
        "FINISHED before this end is complete",
        "transport._handshake:Handshake.receive",
        f"{_H_HOSTILE}a_finished_that_comes_too_early",
        "case FrameType.FINISHED if self._sent_finished and not self._peer_finished:",
        "case FrameType.FINISHED:",
    ),
    _edit(
        "A frame that the moment of the handshake does not allow",
        "transport._handshake:Handshake.receive",
        f"{_H_HOSTILE}a_client_out_of_step",
        'raise RemoteProtocolError(f"{kind.name} frame at the wrong moment")',
        "pass",
    ),
    Rule(
        "Weak facts in a complete context: the rules run before FINISHED",
        "transport._acceptance:accept",
        f"tests/{_HAND}the_rules_run_before_finished_is_sent",
        (Value("transport._acceptance:RULES", ()),),
    ),
    _edit(
        "A server that chooses a version or suite not offered",
        "transport._agreement:check_choice",
        f"{_H_HOSTILE}a_server_chooses_among_what_was_offered",
        "if answer.version not in hello.versions or answer.suite not in hello.suites:",
        "if False:",
    ),
    _edit(
        "A server that chooses a lower minimum than was offered",
        "transport._agreement:check_choice",
        f"{_H_HOSTILE}a_server_chooses_among_what_was_offered",
        "if answer.minimum not in hello.levels:",
        "if False:",
    ),
    _edit(
        "A client that offers no level as high as the server's minimum",
        "transport._hello:lowest",
        f"{_H_HOSTILE}a_client_out_of_step",
        "if level >= floor",
        "",
    ),
    _edit(
        "An end that authenticates led to suite channel, which does not",
        "transport._config:SessionConfig.suites",
        "transport/test_handshake_channel.py::"
        "test_an_end_that_authenticates_never_accepts_channel",
        "list(self.policy.suites)",
        "[*self.policy.suites, SuiteName.CHANNEL]",
    ),
    _edit(
        "An X25519 share that forces an all-zero secret",
        "transport._aead:shared_secret",
        f"{_AEAD}a_key_that_forces_the_secret_is_refused",
        "if not any(shared):",
        "if False:",
    ),
    _edit(
        "REJECT, which anybody can make, kept talking to",
        "transport._session:Session._fail",
        f"{_H_HOSTILE}a_rejection_ends_it_and_is_not_answered",
        " and not handshake.rejected",
        "",
    ),
    _edit(
        "A handshake that never ends",
        "transport._session:Session.handle_timeout",
        f"{_SESSION}the_handshake_has_a_deadline",
        "if self._deadline is not None and now >= self._deadline:",
        "if False:",
    ),
    _edit(
        "A handshake of tokens without end",
        "transport._handshake:Handshake._count_leg",
        f"{_HAND}more_than_eight_legs",
        "if self._legs > _MOST_LEGS:",
        "if False:",
    ),
    _edit(
        "Memory: frames without end while a step is taken",
        "transport._session:Session.receive_data",
        f"{_S_HOSTILE}during_a_step_one_frame_waits_and_no_more_is_held",
        "if self._stepping and decoder.buffered",
        "if False and decoder.buffered",
    ),
    _edit(
        "Memory: a frame that claims a length over the limit",
        "transport._frames:FrameDecoder._check",
        f"{_H_HOSTILE}a_client_out_of_step",
        "if length > self.limit:",
        "if False:",
    ),
    _edit(
        "Tokens on which a library fails in a way of its own",
        "transport._handshake:mechanism_errors",
        f"{_HAND}whatever_a_mechanism_raises_is_a_failed_authentication",
        "except Exception as error:",
        "except ZeroDivisionError as error:",
    ),
)

_OPEN: Final = (
    _edit(
        "An unprotected call or message in an authenticated session",
        "transport._session:Session._receive_record",
        f"{_H_REC}an_unprotected_record_sent_by_the_peer_itself",
        "if level < self._minimum:",
        "if False:",
    ),
    _edit(
        "A CLOSE that nobody signed",
        "transport._session:Session._receive_frame",
        f"{_S_HOSTILE}what_no_key_vouches_for_is_an_integrity_error",
        "if frame.level != self._suite.control_level:",
        "if False:",
    ),
    _edit(
        "A stream that is cut off, passed for a clean end",
        "transport._session:Session._end_of_stream",
        f"{_SESSION}the_end_of_the_stream_is_a_truncation_unless_close_came",
        "if self._state is SessionState.CLOSED and not held:",
        "if not held:",
    ),
    _edit(
        "A record after CLOSE",
        "transport._session:Session._receive_record",
        f"{_SESSION}nothing_comes_after_close",
        "if self._state is SessionState.CLOSED:",
        "if False:",
    ),
    _edit(
        "Another try after a failed check",
        "transport._session:Session._fail",
        f"{_SESSION}an_error_parks_the_session_for_good",
        "self._error = error",
        "pass",
    ),
    _edit(
        "A handshake begun again in an open session",
        "transport._session:Session._receive_frame",
        f"{_H_HOSTILE}nothing_of_the_handshake_comes_after_it",
        'raise self._not_sent_so(f"{frame.kind.name} frame in state '
        '{self._state.name}")',
        "pass",
    ),
    _edit(
        "A wrap token that is not encrypted in a sealed record",
        "transport._suites:GssSuite._open",
        f"{_H_REC}an_unencrypted_wrap_token_in_a_sealed_record",
        "if not encrypted:",
        "if False:",
    ),
    _edit(
        "A Kerberos wrap token with a changed rotation count",
        "transport._negotiate_kerberos:KerberosContext.messages",
        f"{_H_REC}a_wrap_token_with_another_rotation",
        r' or token[6:8] != b"\0\0"',
        "",
    ),
    _edit(
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
    _edit(
        "Suite aes256gcm: frames repeated, dropped or moved; a nonce used twice",
        "transport._aead:_Direction._count",
        f"{_AEAD}repeated_dropped_moved_and_reflected_frames_are_found",
        "self.counter += 1",
        "self.counter += 0",
    ),
    _edit(
        "Suite aes256gcm: an unprotected frame in the place of a protected one",
        "transport._aead:_Direction.next_nonce",
        f"{_AEAD}an_unprotected_frame_in_the_place_of_a_protected_one_is_found",
        "self.unprotected & 0xFFFFFFFF",
        "0",
    ),
    _edit(
        "Suite aes256gcm: a frame sent back to its sender",
        "transport._aead:AeadSuite.__init__",
        f"{_AEAD}repeated_dropped_moved_and_reflected_frames_are_found",
        'for way in (b"c2s", b"s2c")',
        'for way in (b"c2s", b"c2s")',
    ),
    _edit(
        "Suite aes256gcm: keys without the mechanism's session key",
        "transport._aead:_extract",
        f"{_AEAD}everything_derives_from_everything",
        "+ session_key +",
        "+",
    ),
    _edit(
        "Suite aes256gcm: keys of another handshake",
        "transport._aead:_extract",
        f"{_AEAD}everything_derives_from_everything",
        "hmac.digest(transcript,",
        "hmac.digest(bytes(32),",
    ),
    _edit(
        "Suite aes256gcm: a recording opened with a password that leaks later",
        "transport._aead:_extract",
        f"{_AEAD}everything_derives_from_everything",
        "+ shared",
        "",
    ),
    _edit(
        "An early REKEY",
        "transport._aead:AeadSuite.rekey",
        f"{_H_REC}a_rekey_that_comes_early",
        "if taken < _FEWEST_FRAMES:",
        "if False:",
    ),
    _edit(
        "A REKEY that does not come",
        "transport._aead:AeadSuite.unprotect",
        f"{_H_REC}a_rekey_that_does_not_come",
        "if into.worn and kind is not FrameType.REKEY:",
        "if False:",
    ),
    _edit(
        "A REKEY that nobody signed",
        "transport._aead:AeadSuite.rekey",
        f"{_AEAD}a_rekey_is_signed",
        "if frame.level != _SIGN:",
        "if False:",
    ),
    _off(
        "A REKEY in suite gss",
        "transport._suites:GssSuite.rekey",
        f"{_H_REC}a_rekey_that_somebody_makes_up",
    ),
)

_CALLS: Final = (
    _edit(
        "A call below the level its method declares",
        "rpc._server_connection:ServerConnection._receive_call",
        f"{_SERVER}a_call_below_its_methods_level_does_not_run",
        "if level < declared:",
        "if False:",
    ),
    _edit(
        "A part or cancellation below the level of its call",
        "rpc._server_connection:ServerConnection._receive",
        f"{_SERVER}an_item_below_its_calls_level_is_fatal",
        "elif level < call.level:",
        "elif False:",
    ),
    _edit(
        "A reply or status below the level of its call",
        "rpc._client_connection:ClientConnection._receive",
        f"{_CLIENT}an_answer_below_its_calls_level_is_fatal",
        "if level < call.level:",
        "if False:",
    ),
    _edit(
        "An unprotected call in somebody's name",
        "rpc._server_connection:ServerConnection._receive_call",
        f"{_SERVER}an_unprotected_call_has_no_caller",
        "caller=self._peer if level else ANONYMOUS",
        "caller=self._peer",
    ),
)

_DOOR: Final = (
    _edit(
        "A flood of half-open connections",
        "transport._door:Door.refusal",
        f"{_DOORS}half_open_connections_are_bounded",
        "if self._handshakes >= limits.handshakes:",
        "if False:",
    ),
    _edit(
        "A flood of half-open connections from one address",
        "transport._door:Door.refusal",
        f"{_DOORS}half_open_connections_of_one_peer_are_bounded",
        "if handshakes >= limits.handshakes_per_peer:",
        "if False:",
    ),
    _edit(
        "More connections than the server can hold",
        "transport._door:Door.refusal",
        f"{_DOORS}connections_are_bounded",
        "if self._connections >= limits.connections:",
        "if False:",
    ),
    _edit(
        "All connections taken by one address",
        "transport._door:Door.refusal",
        f"{_DOORS}connections_of_one_peer_are_bounded",
        "if connections >= limits.connections_per_peer:",
        "if False:",
    ),
    _edit(
        "Guessing passwords without a pause",
        "transport._door:Door.refusal",
        f"{_DOORS}whoever_fails_again_and_again_has_to_wait_longer_each_time",
        "if failures is not None and failures.until > now:",
        "if False:",
    ),
    _edit(
        "A listener without protection where others can reach it",
        "transport._plain:check_plain",
        f"{_DOORS}a_plain_connection_stays_on_this_machine",
        "if isinstance(address, TcpAddress) and not _is_loopback(address.host):",
        "if False:",
    ),
    _edit(
        "A session that goes on after its ticket has ended",
        "transport._driver:lifetime_end",
        "transport/test_driver.py::test_a_lifetime_is_the_policys_or_the_proofs",
        "if expires_at is not None:",
        "if False:",
    ),
    _edit(
        "A password to be guessed at leisure from a token in the log",
        "transport._negotiate_ntlm:NtlmContext.__init__",
        f"{_NTLM}the_log_says_more_and_no_secret",
        "self._is_wrapped = True",
        "self._is_wrapped = False",
    ),
)

RULES: Final = (*_DOOR, *_WHO, *_HANDSHAKE, *_OPEN, *_CALLS)
"""Every row, in the document's order."""


def main() -> None:
    """Print the table as docs/security.md has it."""
    print("| Attack | Rule | Test |\n|---|---|---|")
    for rule in RULES:
        print(f"| {rule.attack} | `{rule.shown}` | `{rule.test}` |")


if __name__ == "__main__":
    main()
