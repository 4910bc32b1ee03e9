"""A pytest plugin: how `pytest -n N` shares the tests out among N processes.

A file's tests stay together and in order, so what they share is made once; and so do
those of a folder that runs in a namespace (`tests.support.inside`).  Long shares come
first: at the end there are only short ones to wait for.
"""

import importlib
import os
from collections.abc import Generator
from pathlib import PurePosixPath
from typing import Any, Final

import pytest

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_report_to_serializable",
    "pytest_xdist_make_scheduler",
    "share_of",
]

TOGETHER: Final = ("tests/impersonation", "tests/ad")
"""Folders that are one share each."""
FIRST: Final = (
    *TOGETHER,
    "tests/mutation",
    "tests/conformance/interop",
    "tests/e2e",
    "tests/soak",
)
"""Where the long shares are, the longest first."""


def share_of(nodeid: str) -> str:
    """Return which share a test is of; one process runs all of it, in order."""
    file = nodeid.partition("::")[0]
    for folder in TOGETHER:
        if PurePosixPath(file).is_relative_to(folder):
            return folder
    return file


def _turn(item: pytest.Item) -> int:
    file = PurePosixPath(item.nodeid.partition("::")[0])
    for turn, folder in enumerate(FIRST):
        if file.is_relative_to(folder):
            return turn
    return len(FIRST)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a process that gets a part of the tests, bring the long ones to the front."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_turn)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Have what a test logged be sent, whatever it is: execnet takes Unicode alone."""
    return _unicode((yield))


def _unicode(value: Any) -> Any:
    parts = value  # pyright would know less of it once it is known to be a list
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, list):
        return [_unicode(each) for each in parts]
    if isinstance(value, tuple):
        return tuple(_unicode(each) for each in parts)
    if isinstance(value, dict):
        return {key: _unicode(each) for key, each in parts.items()}
    return value


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Make the scheduler, whatever `--dist` says: no other keeps folders together."""
    config.option.loadscopereorder = False  # by number of tests is not by time
    # pytest-xdist has no types.
    scheduler = importlib.import_module("xdist.scheduler").LoadScopeScheduling(
        config, log
    )
    scheduler._split_scope = share_of
    return scheduler
