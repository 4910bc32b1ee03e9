"""What a wheel and an sdist hold: every file of the repository that belongs there.

A wrong layout in pyproject.toml builds an empty wheel, without an error.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ("rpc", "transport", "idl")
# In the repository and not in the sdist: what only serves work on the repository.
NOT_IN_SDIST = (".ci/", ".pre-commit-config.yaml")
# hatchling's own, beside what the repository holds.
WHEEL_EXTRAS = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of the working tree."""
    folder = tmp_path_factory.mktemp("dist")
    # Without isolation: hatchling is among the development tools already.
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


def repository_files() -> set[str]:
    """Every file that git has, or would have if it were added."""
    listing = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
    )
    return {name for name in listing.split("\0") if name and (ROOT / name).exists()}


def test_the_wheel_holds_the_code_under_one_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    expected = {
        f"signetrpc/{name}" for name in repository_files() if name.split("/")[0] in CODE
    }
    expected |= {f"{info}/{name}" for name in WHEEL_EXTRAS}
    assert set(zipfile.ZipFile(wheel).namelist()) == expected
    assert {f"signetrpc/{folder}/py.typed" for folder in CODE} <= expected


def test_the_sdist_holds_the_repository(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {
        name for name in repository_files() if not name.startswith(NOT_IN_SDIST)
    }
    assert names == expected | {"PKG-INFO"}


def test_the_wheel_names_no_top_level_but_its_own(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"signetrpc"}
