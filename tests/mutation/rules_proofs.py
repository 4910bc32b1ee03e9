"""Who somebody is: the mechanisms, the acceptance rules, channel binding."""

from typing import Final

from tests.mutation.edits import Edit, Environment, Off, Value
from tests.mutation.rule import Rule, edit, off

__all__ = ["RULES"]

_NTLM = "transport/test_negotiate_ntlm.py::test_"
_SPNEGO = "transport/test_negotiate_spnego.py::test_"
_VIOLATION = "transport/test_acceptance.py::test_each_violation_is_refused"
_H_NTLM = "hostile/test_ntlm.py::test_"
_H_KRB = "hostile/test_kerberos.py::test_"
_H_NEG = "hostile/test_negotiate.py::test_"
_H_BIND = "hostile/test_binding.py::test_"

RULES: Final = (
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
    off(
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
    off(
        "A client that agrees on no integrity and sends the constant signature",
        "transport._acceptance:protection_agreed",
        f"{_H_NTLM}no_integrity_is_what_is_missed",
    ),
    off(
        "A context that names nobody",
        "transport._acceptance:principal_named",
        _VIOLATION,
    ),
    off(
        "A negotiation that is complete around a mechanism that is not",
        "transport._acceptance:inner_context_complete",
        _VIOLATION,
    ),
    off(
        "Another mechanism than those allowed",
        "transport._acceptance:mechanism_allowed",
        _VIOLATION,
    ),
    off(
        "A session key that is short or all zero",
        "transport._acceptance:session_key_strong",
        _VIOLATION,
    ),
    off(
        "A Kerberos session key of arcfour or another weak kind",
        "transport._acceptance:enctype_strong",
        f"{_H_KRB}an_arcfour_session_key_is_refused_by_both_ends",
    ),
    off(
        "A Kerberos client that asks for no proof of the server",
        "transport._acceptance:mutual_authentication",
        f"{_H_KRB}a_client_that_asks_for_less_is_refused",
    ),
    off(
        "A ticket for another service than HELLO names",
        "transport._acceptance:target_equal",
        f"{_H_KRB}a_ticket_for_another_service_than_hello_s",
    ),
    off(
        "Over TLS: NTLM with an all-zero channel binding",
        "transport._acceptance:channel_bound",
        f"{_H_BIND}an_all_zero_binding_is_none",
    ),
    off(
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
    off(
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
    edit(
        "NegTokenResp(accept-completed) as the first message",
        "transport._negotiate_spnego:SpnegoContext.step",
        f"{_H_NTLM}a_negotiation_that_begins_with_its_end",
        "if not self._init_sent:",
        "if False:",
    ),
    edit(
        "NegTokenResp(accept-completed) as the second message",
        "transport._negotiate_spnego:SpnegoContext._check_end",
        f"{_SPNEGO}a_negotiation_is_not_ended_before_its_mechanism",
        "if not self._context.complete:",
        "if False:",
    ),
    edit(
        "A bare mechanism's token in place of a negotiation",
        "transport._negotiate_spnego:SpnegoContext.step",
        f"{_SPNEGO}a_bare_mechanisms_token_is_no_negotiation",
        "if not spnego:",
        "if False:",
    ),
    edit(
        "A stripped mechListMIC",
        "transport._negotiate_spnego:SpnegoContext._check_end",
        f"{_SPNEGO}a_server_does_not_leave_out_its_code",
        "if self._mic_required or not preferred:",
        "if False:",
    ),
    edit(
        "A server that talks a client of Kerberos alone down to NTLM",
        "transport._negotiate_spnego:SpnegoContext._pin",
        f"{_H_NEG}a_server_cannot_talk_a_client_down_to_ntlm",
        "if chosen not in self._context_list:",
        "if False:",
    ),
    edit(
        "A server that changes the mechanism half way",
        "transport._negotiate_spnego:SpnegoContext._pin",
        f"{_SPNEGO}a_server_does_not_change_its_choice",
        "if self._pinned not in (None, chosen):",
        "if False:",
    ),
    edit(
        "Finding out which users exist",
        "transport._negotiate_accounts:Accounts.find",
        f"{_NTLM}an_unknown_user_reads_like_a_wrong_password",
        "return self._accounts.get(_key(domain, user), nobody)",
        "return self._accounts[_key(domain, user)]",
    ),
    edit(
        "Finding out which users exist, by what REJECT says",
        "transport._hello:reject_code",
        "transport/test_hello.py::test_unknown_user_and_wrong_password_read_the_same",
        "return _BY_REASON.get(error.reason, RejectCode.CREDENTIALS)",
        "return RejectCode(1 + list(FailureReason).index(error.reason) % 10)",
    ),
)
