"""docs/security.md names every rule, and every rule's test fails without the rule."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.edits import applied, resolve
from tests.mutation.plugin import HELD
from tests.mutation.rules import RULES, Rule

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "security.md"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run all tests of the table once, in a process of their own."""
    report = tmp_path_factory.mktemp("mutation") / "report.json"
    tests = list(dict.fromkeys(rule.test for rule in RULES))
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "pytest", "-q", "-p", "tests.mutation.plugin"),
            *("-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"),
            # Source is not parsed for what nobody reads; and before 3.11.8 Python fails
            # at that if garbage is collected meanwhile.
            "--tb=native",
            *tests,
        ],
        cwd=ROOT,
        env=os.environ | {"SIGNETRPC_MUTATIONS": str(report), "SIGNETRPC_NO_SKIPS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    assert report.exists(), done.stdout[-4000:]
    read: dict[str, str] = json.loads(report.read_text())
    return read


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.attack)
def test_without_its_rule_the_attack_is_not_refused(
    rule: Rule, outcomes: dict[str, str]
) -> None:
    if "skipped" in outcomes[rule.attack].lower():
        pytest.skip(f"its test was skipped: {rule.test}")
    assert outcomes[rule.attack] == HELD


def test_changes_are_undone() -> None:
    for rule in RULES:
        with applied(rule.changes):
            pass
        with applied(rule.changes):
            pass


def test_each_rule_is_where_the_table_says() -> None:
    for rule in RULES:
        assert resolve(rule.where) is not None


def test_the_document_has_the_same_table() -> None:
    rows = re.findall(r"^\| (.+) \| `(.+)` \| `(.+)` \|$", DOCUMENT.read_text(), re.M)
    assert rows == [(rule.attack, rule.shown, rule.test) for rule in RULES]
