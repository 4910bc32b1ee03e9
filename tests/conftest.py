"""Fixtures for every test."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each `@pytest.mark.anyio` test on asyncio and on trio."""
    backend: str = request.param
    return backend
