"""Fixtures for the tests of the transport."""

import pytest

from tests.support.mechanisms import real
from tests.support.sessions import SUITES

__all__ = ["real", "suite"]


@pytest.fixture(params=SUITES, scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    """Run a test over each suite that protects by itself."""
    name: str = request.param
    return name
