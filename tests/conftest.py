"""Fixtures for every test, and the rule that nothing may be skipped."""

import pytest

from tests.support.fixtures import kdc, kerberos_environment
from tests.support.skips import pytest_configure

__all__ = ["anyio_backend", "kdc", "kerberos_environment", "pytest_configure"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each `@pytest.mark.anyio` test on asyncio and on trio."""
    backend: str = request.param
    return backend
