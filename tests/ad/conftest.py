"""These tests run in a namespace, against one domain controller for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.inside import Inside, is_inside
from tests.support.parts import Part, is_missing
from tests.support.samba import DomainController

_FOLDER = Path(__file__).parent
_NEEDED = (Part.SAMBA, Part.GSSAPI, Part.GSS_NTLMSSP, Part.NAMESPACES)
_INSIDE = pytest.StashKey[Inside]()


@pytest.fixture(scope="session")
def dc() -> Iterator[DomainController]:
    """The domain controller."""
    with DomainController() as running:
        yield running


def _is_ours(item: pytest.Item) -> bool:
    return item.path.is_relative_to(_FOLDER)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Prepare the inner run, or mark the tests as skipped if there can be none."""
    ours = [item for item in items if _is_ours(item)]
    if is_inside() or not ours or config.option.collectonly:
        return
    missing = [part.value for part in _NEEDED if is_missing(part)]
    if missing:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="needs " + " and ".join(missing)))
    else:
        config.stash[_INSIDE] = Inside(config, ours)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Have our tests run inside; all others run as always."""
    inside = item.config.stash.get(_INSIDE, None)
    if inside is None or not _is_ours(item):
        return None
    inside.run(item)
    return True


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the inner run."""
    inside = config.stash.get(_INSIDE, None)
    if inside is not None:
        inside.stop()
