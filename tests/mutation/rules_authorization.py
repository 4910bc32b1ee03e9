"""Who may call what, and what is kept of it."""

from typing import Final

from tests.mutation.rule import edit

__all__ = ["RULES"]

_AUTHORIZATION = "rpc/test_authorization.py::test_"
_RULES = "rpc/test_rules.py::test_"
_FILE = "rpc/test_rules_file.py::test_"
_AUDIT = "rpc/test_audit_"

RULES: Final = (
    edit(
        "An authorizer that fails",
        "rpc._authorization:decide",
        f"{_AUTHORIZATION}an_exception_means_no_and_is_logged_whole",
        'return f"authorisation failed: {type(error).__name__}"',
        "return None",
    ),
    edit(
        "An authorizer whose answer only looks like yes",
        "rpc._authorization:decide",
        f"{_AUTHORIZATION}a_coroutine_is_not_a_yes",
        "if answer is True:",
        "if answer:",
    ),
    edit(
        "A caller who is kept out, and whom another rule lets in",
        "rpc._rules:Rules.__call__",
        f"{_RULES}a_rule_that_denies_wins_wherever_it_stands",
        "if entry.denying:",
        "if False:",
    ),
    edit(
        "A namesake from another realm",
        "rpc._rules:_misfit",
        f"{_RULES}who_a_rule_is_about",
        "if rule.principals and key not in rule.principals:",
        "if rule.principals and key[2] not in {each[2] for each in rule.principals}:",
    ),
    edit(
        "Another spelling of a name that is kept out",
        "rpc._rules:Rules.__call__",
        f"{_RULES}no_spelling_of_a_name_that_is_kept_out_gets_in",
        "wide = folded(key)",
        "wide = key",
    ),
    edit(
        "Kept out by group: a caller who lets nobody look its groups up",
        "rpc._rules:_misfit",
        f"{_RULES}whose_groups_are_unknown_is_kept_out_with_those_kept_out",
        "if rule.allows or not _groups_unknown(request):",
        "if True:",
    ),
    edit(
        "Kept out by security identifier: a caller who comes without a PAC",
        "rpc._rules:_misfit",
        f"{_RULES}whose_identifiers_are_unknown_is_kept_out_with_those_kept_out",
        "if caller.sids else rule.allows",
        "if caller.sids else True",
    ),
    edit(
        "A call with less protection than its rule demands",
        "rpc._rules:_misfit",
        f"{_RULES}a_level_is_the_least",
        "if request.protection < rule.protection:",
        "if False:",
    ),
    edit(
        "An anonymous caller, where rules let in whoever is authenticated",
        "rpc._rules:Rules.__call__",
        f"{_RULES}the_default_may_be_all_who_are_authenticated",
        "return entry.open and not caller.anonymous",
        "return entry.open",
    ),
    edit(
        "A misspelt condition that would make a rule wider",
        "rpc._rules_file:_Reader._known",
        f"{_FILE}errors_name_line_and_key",
        "if key not in known:",
        "if False:",
    ),
    edit(
        "A name that forges a line of the audit",
        "rpc._audit_record:_quoted",
        f"{_AUDIT}record.py::test_no_word_of_a_peer_passes_for_another",
        "if _PLAIN.fullmatch(text):",
        "if True:",
    ),
    edit(
        "Calls faster than their records can be written, to fill the memory",
        "rpc._audit:Audit.record",
        f"{_AUDIT}loss.py::test_what_does_not_fit_is_lost_counted_and_told_once",
        "or writer.queue.qsize() >= self._capacity",
        "",
    ),
)
