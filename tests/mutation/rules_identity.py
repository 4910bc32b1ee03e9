"""Who somebody is beyond a name: groups, delegated credentials, local users."""

from typing import Final

from tests.mutation.edits import Edit
from tests.mutation.rule import Rule, edit

__all__ = ["RULES"]

_PAC = "transport/test_pac.py::test_"
_DELEGATION = "transport/test_delegation.py::test_"
_WINBIND = "transport/test_negotiate_winbind.py::test_"

RULES: Final = (
    edit(
        "A PAC that nobody vouched for",
        "transport._pac:authenticated_sids",
        f"{_PAC}a_pac_that_nobody_vouched_for_names_no_groups",
        "if not (found.authenticated and found.complete):",
        "if False:",
    ),
    edit(
        "A PAC that cannot be read, to be in no group that a rule keeps out",
        "transport._pac:authenticated_sids",
        f"{_PAC}a_pac_that_cannot_be_read_lets_nobody_in",
        "except ValueError as error:",
        "except ValueError:\n        return frozenset()\n"
        "    except ZeroDivisionError as error:",
    ),
    edit(
        "A PAC with more groups than anybody can be in",
        "transport._pac:_count",
        f"{_PAC}one_group_over_the_limit",
        "if count > MAX_GROUPS:",
        "if False:",
    ),
    edit(
        "A PAC with a count that is not of what it counts",
        "transport._pac:_count",
        f"{_PAC}a_count_and_what_it_counts",
        "if announced != count:",
        "if False:",
    ),
    edit(
        "A PAC that ends before what it names",
        "transport._pac:_Reader._advance",
        f"{_PAC}each_byte_that_is_missing_is_missed",
        "if length > len(self._data) - start:",
        "if False:",
    ),
    edit(
        "Groups that winbind did not vouch for",
        "transport._negotiate_winbind:_sids",
        f"{_WINBIND}groups_that_nobody_vouched_for_let_nobody_in",
        "if not (attribute.authenticated and attribute.complete):",
        "if False:",
    ),
    edit(
        "A credential that the library hands out for every client, read as delegated",
        "transport._delegation:received",
        f"{_DELEGATION}what_the_library_hands_out_for_everybody_is_not_delegated",
        "if targets and _evident(ticket)",
        "if targets",
    ),
    edit(
        "The service's own ticket, read as its caller's forwarded one",
        "transport._delegation:received",
        f"{_DELEGATION}a_service_that_calls_itself_does_not_delegate_its_own_ticket",
        "if _is_proxy(tickets):",
        "if False:",
    ),
    Rule(
        "A credential taken from a client that allows no delegation",
        "transport._acceptance:accept",
        f"tests/{_DELEGATION}below_that_level_there_is_nothing",
        (
            Edit(
                "transport._acceptance:accept",
                "impersonation is ImpersonationLevel.DELEGATE",
                "True",
            ),
            Edit(
                "transport._negotiate_kerberos:KerberosAcceptor.context",
                "if not delegate:",
                "if False:",
            ),
        ),
    ),
    edit(
        "A forwarded ticket that is somebody else's than the caller's",
        "transport._delegation:_own",
        f"{_DELEGATION}a_ticket_of_somebody_elses_is_no_delegation",
        "ticket.client == caller and ",
        "",
    ),
    edit(
        "The service's own ticket-granting ticket in a caller's worker: what it gets",
        "transport._delegation:for_worker",
        f"{_DELEGATION}a_worker_gets_the_callers_tickets_and_nothing_of_the_services",
        "token=_export(credential.principal, fetched),",
        "token=credential.token,",
    ),
    edit(
        "The service's own ticket-granting ticket in a caller's worker: what it writes",
        "transport._delegation:write_cache",
        f"{_DELEGATION}the_services_own_ticket_is_never_written_out",
        "if _is_proxy(tickets) or",
        "if False and",
    ),
)
