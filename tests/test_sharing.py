"""How tests are shared out among processes, and what becomes of one that crashes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sharing import share_of

ROOT = Path(__file__).parent.parent

CRASH = "import os\n\n\ndef test_crashes():\n    os._exit(0)\n"
HANG = "import signal\n\n\ndef test_hangs():\n    signal.pause()\n"
ODD = "import logging\n\n\ndef test_logs():\n    logging.warning('\\ud800')\n"
WITHIN_SECONDS = [
    "-ofaulthandler_timeout=2",
    "-ofaulthandler_exit_on_timeout=true",
]
ORDER = """\
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range(20))
def test(number):
    with Path(__file__).with_suffix(".log").open("a") as file:
        print(number, file=file)
"""


def _run(folder: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-p", "tests.support.sharing"]
        + ["--max-worker-restart=0", "-p", "no:cacheprovider", "-c", os.devnull]
        + [*options, "--rootdir", str(folder), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("source", [CRASH, HANG])
def test_a_process_that_ends_fails_the_run(tmp_path: Path, source: str) -> None:
    name = "test_crashes" if source is CRASH else "test_hangs"
    (tmp_path / "test_it.py").write_text(f"{source}\n\ndef test_passes():\n    pass\n")
    code, output = _run(tmp_path, *WITHIN_SECONDS)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert f"crashed while running 'test_it.py::{name}'" in output
    assert "restarting disabled" in output


def test_a_files_tests_run_in_order_in_one_process(tmp_path: Path) -> None:
    files = [tmp_path / f"test_{name}.py" for name in "abcd"]
    for file in files:
        file.write_text(ORDER)
    code, output = _run(tmp_path)
    assert code == pytest.ExitCode.OK
    assert "80 passed" in output
    for file in files:
        numbers = file.with_suffix(".log").read_text().split()
        assert numbers == [str(number) for number in range(20)]


def test_what_is_not_unicode_is_reported_too(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(f"{ODD}    assert not '\\ud800'\n")
    code, output = _run(tmp_path)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "1 failed" in output and "\\ud800" in output


def test_a_folder_that_runs_in_a_namespace_is_one_share() -> None:
    assert share_of("tests/ad/test_calls.py::test_it[a::b/c]") == "tests/ad"
    assert share_of("tests/ad/test_share.py::test_it") == "tests/ad"
    assert share_of("tests/rpc/test_a.py::test_it[x]") == "tests/rpc/test_a.py"
    assert share_of("tests/rpc/test_b.py::test_it") == "tests/rpc/test_b.py"
