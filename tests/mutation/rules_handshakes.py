"""The handshake: what both ends said, and what it may cost."""

from typing import Final

from tests.mutation.edits import Edit, Value
from tests.mutation.rule import Rule, edit

__all__ = ["RULES"]

_SESSION = "transport/test_session.py::test_"
_S_HOSTILE = "transport/test_session_hostile.py::test_"
_FIELDS = "transport/test_handshake_fields.py::test_"
_FRAMES = "transport/test_handshake_frames.py::test_"
_H_HOSTILE = "transport/test_handshake_hostile.py::test_"
_HAND = "transport/test_handshake.py::test_"
_AEAD = "transport/test_aead.py::test_"

RULES: Final = (
    edit(
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
    edit(
        "FINISHED sent back to its sender",
        "transport._handshake:Handshake._statement",
        f"{_FRAMES}finished_sent_back_proves_nothing_whatever_the_mechanism",
        "+ label +",
        "+",
    ),
    edit(
        "FINISHED before this end is complete",
        "transport._handshake:Handshake.receive",
        f"{_H_HOSTILE}a_finished_that_comes_too_early",
        "case FrameType.FINISHED if self._sent_finished and not self._peer_finished:",
        "case FrameType.FINISHED:",
    ),
    edit(
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
    edit(
        "A server that chooses a version or suite not offered",
        "transport._agreement:check_choice",
        f"{_H_HOSTILE}a_server_chooses_among_what_was_offered",
        "if answer.version not in hello.versions or answer.suite not in hello.suites:",
        "if False:",
    ),
    edit(
        "A server that chooses a lower minimum than was offered",
        "transport._agreement:check_choice",
        f"{_H_HOSTILE}a_server_chooses_among_what_was_offered",
        "if answer.minimum not in hello.levels:",
        "if False:",
    ),
    edit(
        "A client that offers no level as high as the server's minimum",
        "transport._hello:lowest",
        f"{_H_HOSTILE}a_client_out_of_step",
        "if level >= floor",
        "",
    ),
    edit(
        "An end that authenticates led to suite channel, which does not",
        "transport._config:SessionConfig.suites",
        "transport/test_handshake_channel.py::"
        "test_an_end_that_authenticates_never_accepts_channel",
        "list(self.policy.suites)",
        "[*self.policy.suites, SuiteName.CHANNEL]",
    ),
    edit(
        "An X25519 share that forces an all-zero secret",
        "transport._aead:shared_secret",
        f"{_AEAD}a_key_that_forces_the_secret_is_refused",
        "if not any(shared):",
        "if False:",
    ),
    edit(
        "REJECT, which anybody can make, kept talking to",
        "transport._session:Session._fail",
        f"{_H_HOSTILE}a_rejection_ends_it_and_is_not_answered",
        " and not handshake.rejected",
        "",
    ),
    edit(
        "A handshake that never ends",
        "transport._session:Session.handle_timeout",
        f"{_SESSION}the_handshake_has_a_deadline",
        "if self._deadline is not None and now >= self._deadline:",
        "if False:",
    ),
    edit(
        "A handshake of tokens without end",
        "transport._handshake:Handshake._count_leg",
        f"{_HAND}more_than_eight_legs",
        "if self._legs > _MOST_LEGS:",
        "if False:",
    ),
    edit(
        "Memory: frames without end while a step is taken",
        "transport._session:Session.receive_data",
        f"{_S_HOSTILE}during_a_step_one_frame_waits_and_no_more_is_held",
        "if self._stepping and decoder.buffered",
        "if False and decoder.buffered",
    ),
    edit(
        "Memory: a frame that claims a length over the limit",
        "transport._frames:FrameDecoder._check",
        f"{_H_HOSTILE}a_client_out_of_step",
        "if length > self.limit:",
        "if False:",
    ),
    edit(
        "Tokens on which a library fails in a way of its own",
        "transport._handshake:mechanism_errors",
        f"{_HAND}whatever_a_mechanism_raises_is_a_failed_authentication",
        "except Exception as error:",
        "except ZeroDivisionError as error:",
    ),
)
