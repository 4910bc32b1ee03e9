"""One row of docs/security.md's table."""

from dataclasses import dataclass

from tests.mutation.edits import Change, Edit, Everywhere, Off

__all__ = ["Rule", "edit", "everywhere", "off"]


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
        module, _, name = self.where.partition(":")
        return f"{module.replace('.', '/')}:{name}"


def edit(attack: str, where: str, test: str, old: str, new: str) -> Rule:
    """Return a rule that is taken out by changing text where it is."""
    return Rule(attack, where, f"tests/{test}", (Edit(where, old, new),))


def off(attack: str, where: str, test: str) -> Rule:
    """Return a rule that is a whole function, taken out by letting it do nothing."""
    return Rule(attack, where, f"tests/{test}", (Off(where),))


def everywhere(attack: str, where: str, test: str, *changes: Edit | Off) -> Rule:
    """Return a rule that is taken out in other processes too.

    Args:
        attack: As in `Rule`.
        where: As in `Rule`.
        test: As in `Rule`.
        changes: What takes it out, and whatever else would notice.
    """
    return Rule(attack, where, f"tests/{test}", (Everywhere(changes),))
