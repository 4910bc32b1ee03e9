"""Who somebody is beyond a name: groups, delegated credentials, local users."""

from typing import Final

from tests.mutation.rule import edit

__all__ = ["RULES"]

_PAC = "transport/test_pac.py::test_"
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
)
