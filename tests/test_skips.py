"""Where nothing may be skipped, a skipped test or module fails the run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SKIPPED_TEST = "import pytest\n\n\ndef test():\n    pytest.skip('no part')\n"
SKIPPED_MODULE = "import pytest\n\npytest.importorskip('no_such_module')\n"
EXPECTED_FAILURE = (
    "import pytest\n\n\n@pytest.mark.xfail(strict=True)\ndef test():\n    assert 0\n"
)


@pytest.fixture(params=[0, 2], ids="in {} processes".format)
def processes(request: pytest.FixtureRequest) -> int:
    """How many pytest shares the tests out among; 0 for itself alone."""
    count: int = request.param
    return count


def _run(
    folder: Path, source: str, *, no_skips: str, processes: int = 0
) -> tuple[int, str]:
    (folder / "test_it.py").write_text(source + "\n\ndef test_passes():\n    pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.skips"]
        + ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(folder)]
        + ["-n", str(processes), str(folder)],
        cwd=ROOT,
        env=os.environ | {"SIGNETRPC_NO_SKIPS": no_skips},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("source", [SKIPPED_TEST, SKIPPED_MODULE])
def test_a_skip_fails_the_run_and_is_named(
    tmp_path: Path, source: str, processes: int
) -> None:
    code, output = _run(tmp_path, source, no_skips="1", processes=processes)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "skipped, where nothing may be" in output
    # Each process tells of a module, and the run of it once.
    assert output.partition("nothing may be")[2].count("test_it.py") == 1


@pytest.mark.parametrize("source", [SKIPPED_TEST, SKIPPED_MODULE])
def test_elsewhere_a_skip_is_no_failure(tmp_path: Path, source: str) -> None:
    # A module that is skipped whole leaves no test behind.
    allowed = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert _run(tmp_path, source, no_skips="0")[0] in allowed


def test_an_expected_failure_is_not_a_skip(tmp_path: Path) -> None:
    assert _run(tmp_path, EXPECTED_FAILURE, no_skips="1")[0] == pytest.ExitCode.OK
