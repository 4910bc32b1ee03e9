"""These tests run in a namespace, as root, on a machine with users of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.impersonation.processes import collect_coverage
from tests.support.inside import RunInside
from tests.support.people import People


def pytest_configure(config: pytest.Config) -> None:
    """Have the tests of this folder run inside."""
    config.pluginmanager.register(RunInside(Path(__file__).parent))


@pytest.fixture(scope="session")
def people() -> Iterator[People]:
    """The users, for all tests of the folder."""
    yield People()
    collect_coverage()
