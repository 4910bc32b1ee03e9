"""Fixtures for the contract suites."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def short_linger() -> Iterator[None]:
    """Wait for a dead peer a moment only: the matrix has a hundred of them."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("_pipes", "_pipes_asyncio"):
            patch.setattr(f"signetrpc.transport.{module}.LINGER_SECONDS", 0.05)
        yield
