"""The table of docs/security.md: attack, rule, test, and how the rule is taken out.

python -m tests.mutation.rules        prints the document's table
"""

from typing import Final

from tests.mutation import (
    rules_authorization,
    rules_calls,
    rules_crossing,
    rules_door,
    rules_flow,
    rules_handshakes,
    rules_identity,
    rules_proofs,
    rules_sessions,
    rules_workers,
)
from tests.mutation.rule import Rule

__all__ = ["RULES", "Rule"]

RULES: Final = (
    *rules_door.RULES,
    *rules_proofs.RULES,
    *rules_identity.RULES,
    *rules_authorization.RULES,
    *rules_handshakes.RULES,
    *rules_sessions.RULES,
    *rules_calls.RULES,
    *rules_flow.RULES,
    *rules_workers.RULES,
    *rules_crossing.RULES,
)
"""Every row, in the document's order."""


def main() -> None:
    """Print the table as docs/security.md has it."""
    print("| Attack | Rule | Test |\n|---|---|---|")
    for rule in RULES:
        print(f"| {rule.attack} | `{rule.shown}` | `{rule.test}` |")


if __name__ == "__main__":
    main()
