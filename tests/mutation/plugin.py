"""A pytest plugin that runs each test with its rules taken out, one at a time.

    python -m pytest -p tests.mutation.plugin TESTS...

A rule counts as held once its test has failed without it, in the test itself, and
passed with it, right after.  The outcome goes to the file named by
`SIGNETRPC_MUTATIONS`, as JSON: attack -> what happened.
"""

import json
import os
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.edits import applied
from tests.mutation.rules import RULES, Rule

__all__ = ["HELD"]

HELD = "held"


class _Mutations:
    def __init__(self, report: Path) -> None:
        self._report = report
        self._outcomes = {rule.attack: "its test was not run" for rule in RULES}

    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool:
        test = item.nodeid.partition("[")[0]
        for rule in RULES:
            if rule.test == test and self._outcomes[rule.attack] != HELD:
                self._outcomes[rule.attack] = self._try(item, rule)
        return True

    def _try(self, item: pytest.Item, rule: Rule) -> str:
        try:
            with applied(rule.changes):
                reports = self._run(item)
        except AssertionError as error:
            return f"cannot be taken out: {error}"
        if not any(each.when == "call" and each.failed for each in reports):
            others = [each.longreprtext for each in reports if not each.passed]
            return "\n".join(others) or "passes without it"
        broken = [each for each in self._run(item) if not each.passed]
        return HELD if not broken else f"fails with it: {broken[0].longreprtext}"

    def _run(self, item: pytest.Item) -> list[pytest.TestReport]:
        if isinstance(item, pytest.Function):
            item._initrequest()  # pyright: ignore[reportPrivateUsage]
        # What the last one left open and this one does not share.
        item.session._setupstate.teardown_exact(item)  # pyright: ignore
        # Some other test is said to be next: then this one's fixtures are taken down,
        # and those of wider scope stay.
        others = (each for each in item.session.items if each is not item)
        return runtestprotocol(item, log=False, nextitem=next(others, None))

    def pytest_sessionfinish(self) -> None:
        self._report.write_text(json.dumps(self._outcomes, indent=1))


def pytest_configure(config: pytest.Config) -> None:
    """Take over the running of tests."""
    report = Path(os.environ["SIGNETRPC_MUTATIONS"])
    config.pluginmanager.register(_Mutations(report))
