"""Fixtures for every test, and the rule that nothing may be skipped."""

import pytest
from hypothesis import settings

from tests.support.fixtures import (
    delegation_environment,
    kdc,
    kerberos_environment,
    ldap_kdc,
)
from tests.support.sharing import (
    pytest_collection_modifyitems,
    pytest_report_to_serializable,
    pytest_xdist_make_scheduler,
)
from tests.support.skips import pytest_configure

__all__ = [
    "anyio_backend",
    "delegation_environment",
    "kdc",
    "kerberos_environment",
    "ldap_kdc",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_report_to_serializable",
    "pytest_xdist_make_scheduler",
]

# A busy machine is no failure: no example is judged by how long it takes.
settings.register_profile("signetrpc", deadline=None)
settings.load_profile("signetrpc")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each `@pytest.mark.anyio` test on asyncio and on trio."""
    backend: str = request.param
    return backend
