"""These tests run in a namespace, against one domain controller for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.inside import RunInside
from tests.support.parts import Part
from tests.support.samba import DomainController

_NEEDED = (Part.SAMBA, Part.GSSAPI, Part.GSS_NTLMSSP)


def pytest_configure(config: pytest.Config) -> None:
    """Have the tests of this folder run inside."""
    config.pluginmanager.register(RunInside(Path(__file__).parent, *_NEEDED))


@pytest.fixture(scope="session")
def dc() -> Iterator[DomainController]:
    """The domain controller."""
    with DomainController() as running:
        yield running
