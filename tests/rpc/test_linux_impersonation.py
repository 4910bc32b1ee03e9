"""What can be said of how handlers run as their callers."""

import dataclasses
from typing import Any

import pytest

from signetrpc.rpc import LinuxImpersonation, UserTable

TABLE = UserTable({})


def test_the_defaults_are_those_of_the_documentation() -> None:
    found = dataclasses.asdict(LinuxImpersonation(mapping=[]))
    assert found == {
        "mapping": [],
        "lowest_uid": 1000,
        "lowest_gid": 100,
        "max_workers": 64,
        "max_user_workers": 16,
        "max_memory_bytes": 1024**3,
        "max_calls": 1024,
        "stall_seconds": 60.0,
        "idle_seconds": 60.0,
        "recheck_seconds": 60.0,
        "start_seconds": 10.0,
        "environment": (),
    }


@pytest.mark.parametrize(
    "name",
    [
        "max_workers",
        "max_user_workers",
        "max_memory_bytes",
        "max_calls",
        "stall_seconds",
        "idle_seconds",
        "recheck_seconds",
        "start_seconds",
    ],
)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_what_has_to_be_more_than_nothing(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} {value} is not over 0"):
        LinuxImpersonation(mapping=TABLE, **{name: value})


@pytest.mark.parametrize("name", ["lowest_uid", "lowest_gid"])
def test_root_is_never_among_those_allowed(name: str) -> None:
    given: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} 0 is not at least 1"):
        LinuxImpersonation(mapping=TABLE, **given)
    given[name] = 1
    assert getattr(LinuxImpersonation(mapping=TABLE, **given), name) == 1


def test_it_is_a_value() -> None:
    config = LinuxImpersonation(mapping=TABLE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_workers = 5  # type: ignore[misc]  # pyright: ignore
    assert config == LinuxImpersonation(mapping=TABLE)
