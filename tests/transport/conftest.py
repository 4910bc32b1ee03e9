"""Fixtures for the tests of the transport."""

import pytest

from tests.support.sessions import SUITES


@pytest.fixture(params=SUITES, scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    """Run a test over each suite that protects by itself."""
    name: str = request.param
    return name
