"""A process becomes a user for good; whatever is different is noticed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from signetrpc.rpc import _worker_identity as identity
from signetrpc.rpc._worker_identity import IdentityError, become, check, read_status
from tests.mutation.edits import TAKEN_OUT
from tests.support.becoming import MEMORY, USER
from tests.support.parts import Part, require

ROOT = Path(__file__).parents[2]
NO_CAPABILITIES = "0" * 16


@contextmanager
def process(
    action: str, *how: str
) -> Generator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """Give what a process says that has become somebody; it ends afterwards."""
    require(Part.ROOT)
    # Who has become somebody else cannot write what was measured.
    env = {name: os.environ[name] for name in os.environ if "COV" not in name}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.becoming", action, *how],
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line, "it ended"
        yield json.loads(line), running


@cache
def _facts(how: str, taken_out: str | None) -> dict[str, Any]:
    with process("facts", how) as (facts, _):
        return facts


Facts = Callable[[], dict[str, Any]]


@pytest.fixture(params=["root", "plain"])
def facts(request: pytest.FixtureRequest) -> Facts:
    """Gives what a process says that root made, or a service with two capabilities."""
    return lambda: _facts(request.param, os.environ.get(TAKEN_OUT))


# What it is then.


def test_the_kernel_says_that_it_is_the_user(facts: Facts) -> None:
    status: dict[str, str] = facts()["status"]
    check(USER, status)
    assert status["Uid"].split() == [str(USER.uid)] * 4
    assert status["Gid"].split() == [str(USER.gid)] * 4
    assert status["Groups"].split() == list(map(str, USER.groups))
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert status[name] == NO_CAPABILITIES
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        ("setuid", "PermissionError"),
        ("setresuid", "PermissionError"),
        ("saved uid", "PermissionError"),
        ("setgid", "PermissionError"),
        ("saved gid", "PermissionError"),
        ("another user", "PermissionError"),
        ("setgroups", "PermissionError"),
        ("capabilities", "PermissionError"),
        ("root's file", "PermissionError"),
        ("root's process", "PermissionError"),
        ("memory limit", "ValueError"),
        ("core limit", "ValueError"),
        ("too much memory", "MemoryError"),
        ("some memory", ""),
        ("its groups", ""),
    ],
)
def test_what_it_can_do(facts: Facts, attempt: str, error: str) -> None:
    assert facts()["attempts"][attempt] == error


def test_nothing_of_where_it_came_from_is_left(facts: Facts) -> None:
    found = facts()
    assert found["cwd"] == "/"
    assert found["umask"] == 0o077
    assert found["core"] == [0, 0]
    assert found["data"] == [MEMORY, MEMORY]
    assert found["session"]


def test_a_child_that_is_no_other_user_dies_with_its_parent() -> None:
    with process("family") as (found, parent):
        assert found["died already"] == "IdentityError"
        assert found["dies by"] == [9, 0]
        parent.kill()
        assert parent.stdout is not None
        # It has this end too, so the end comes when it has ended.
        assert parent.stdout.read() == ""


def test_the_session_keyring_is_its_own(facts: Facts) -> None:
    before, after = facts()["keyrings"]
    assert after != before or before is None  # where the kernel gives none to anybody


@pytest.mark.parametrize(
    "command",
    [
        *("head -c1 mem", "head -c1 environ", "head -c1 maps", "ls fd"),
        *("readlink -v root", "readlink -v cwd", "readlink -v exe"),
    ],
)
def test_others_of_the_same_user_do_not_see_into_it(command: str) -> None:
    with process("stay") as (found, _):
        *words, file = command.split()
        done = subprocess.run(
            [*words, f"/proc/{found['pid']}/{file}"],
            user=USER.uid,
            group=USER.gid,
            extra_groups=list(USER.groups),
            cwd="/",
            capture_output=True,
            text=True,
        )
        assert done.returncode and not done.stdout
        assert "Permission denied" in done.stderr


def test_a_template_keeps_two_capabilities_and_adopts_orphans() -> None:
    with process("two_capabilities") as (found, _):
        status = found["status"]
        for name in ("CapPrm", "CapEff"):
            assert int(status[name], 16) == (1 << 6) | (1 << 7)
        assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
        assert found["orphan"] == 7
        assert found["more"] == "PermissionError"
        assert found["root's groups"] == ""


# What is noticed.


def good() -> dict[str, str]:
    return {
        "Uid": "\t".join([str(USER.uid)] * 4),
        "Gid": "\t".join([str(USER.gid)] * 4),
        "Groups": " ".join(map(str, reversed(USER.groups))),
        "CapInh": NO_CAPABILITIES,
        "CapPrm": NO_CAPABILITIES,
        "CapEff": NO_CAPABILITIES,
        "CapAmb": NO_CAPABILITIES,
        "NoNewPrivs": "1",
        "Umask": "0077",
        "Threads": "1",
    }


def test_the_order_of_groups_is_no_difference() -> None:
    check(USER, good())


@pytest.mark.parametrize("name", good())
def test_a_field_that_is_missing_is_noticed(name: str) -> None:
    status = good()
    del status[name]
    with pytest.raises(IdentityError, match=f"^{name} (is|are) "):
        check(USER, status)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("Uid", _) for _ in ("0 {} {} {}", "{} 0 {} {}", "{} {} 0 {}", "{} {} {} 0")),
        *(("Gid", _) for _ in ("0 {} {} {}", "{} 0 {} {}", "{} {} 0 {}", "{} {} {} 0")),
        ("Uid", "{} {} {}"),
        ("Groups", ""),
        ("Groups", "0 {} 61003"),
        ("Groups", "{}"),
        ("Groups", "{} {} 61003"),
        *(
            (name, value)
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")
            for value in ("0000000000000080", "8000000000000000", "")
        ),
        ("NoNewPrivs", "0"),
        ("Umask", "0022"),
        ("Threads", "2"),
    ],
)
def test_each_difference_is_noticed_and_named(name: str, value: str) -> None:
    own = USER.uid if name == "Uid" else USER.gid
    status = good() | {name: value.replace("{}", str(own))}
    with pytest.raises(IdentityError, match=f"^{name} (is|are) "):
        check(USER, status)


def test_what_the_kernel_says_is_read_from_it() -> None:
    status = read_status()
    assert status["Pid"] == str(os.getpid())
    assert status["Uid"].split()[:3] == [str(each) for each in os.getresuid()]
    assert {*good()} <= {*status}


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Every step seems to work, and this process stays what it is."""

    def nothing(*_: object, **__: object) -> int:
        return 0

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setsid", nothing)
    monkeypatch.setattr(os, "getcwd", lambda: "/")
    for name in ("switch_ids", "seal_off", "check", "_prctl"):
        monkeypatch.setattr(identity, name, nothing)
    monkeypatch.setattr(identity, "_regain_uid", refused)
    monkeypatch.setattr(identity, "_regain_gid", refused)
    become(USER, max_memory_bytes=MEMORY)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "result", "says"),
    [
        ("_prctl", 1, "the process can still be traced"),
        ("_regain_uid", None, "could become root again"),
        ("_regain_gid", None, "could become root again"),
    ],
)
def test_a_step_that_did_not_work_is_noticed(
    pretended: pytest.MonkeyPatch, name: str, result: object, says: str
) -> None:
    def answer(*_: object) -> object:
        return result

    pretended.setattr(identity, name, answer)
    with pytest.raises(IdentityError, match=says):
        become(USER, max_memory_bytes=MEMORY)


def test_a_folder_that_was_not_left_is_noticed(pretended: pytest.MonkeyPatch) -> None:
    pretended.setattr(os, "getcwd", lambda: "/root")
    with pytest.raises(IdentityError, match="the folder is still /root"):
        become(USER, max_memory_bytes=MEMORY)


def test_what_the_kernel_refuses_is_an_error() -> None:
    with pytest.raises(OSError, match="prctl 99999: Invalid argument"):
        identity._prctl(99999)  # pyright: ignore[reportPrivateUsage]


# Keyrings.


@pytest.mark.parametrize(
    ("before", "joined", "after", "says"),
    [
        (5, True, 6, None),
        (5, False, 5, "no session keyring of its own"),
        (5, True, 5, "the session keyring is still the service's"),
        (None, False, None, None),
        (None, True, 6, None),
    ],
)
def test_keyrings(
    monkeypatch: pytest.MonkeyPatch,
    before: int | None,
    joined: bool,
    after: int | None,
    says: str | None,
) -> None:
    answers = [before, after]

    def keyctl(operation: int, argument: int | None) -> int:
        if operation == 1:
            if not joined:
                raise OSError(1, "refused")
            return 6
        answer = answers.pop(0)
        if answer is None:
            raise OSError(38, "no such call")
        return answer

    monkeypatch.setattr(identity, "_keyctl", keyctl)
    if says is None:
        identity._leave_keyring()  # pyright: ignore[reportPrivateUsage]
        return
    with pytest.raises(IdentityError, match=says):
        identity._leave_keyring()  # pyright: ignore[reportPrivateUsage]


def test_a_machine_whose_keyrings_are_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="vax"))
    with pytest.raises(IdentityError, match="keyrings of vax are not known here"):
        identity._leave_keyring()  # pyright: ignore[reportPrivateUsage]
