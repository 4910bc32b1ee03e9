"""Workers are measured too where a test run is, though they are other users."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["measured"]

ROOT: Final = Path(__file__).parents[2]
_VARIABLE: Final = "COVERAGE_PROCESS_START"
# Files are made by every user, and workers end by way of os._exit.
_CONFIG: Final = """\
[run]
branch = true
parallel = true
concurrency = thread
patch = fork, _exit
data_file = {folder}/.coverage
source =
    {root}/rpc
    {root}/transport
disable_warnings = no-data-collected
"""


@contextmanager
def measured() -> Generator[list[str]]:
    """Give the names of the variables that have a template and its workers measured.

    What they measured is put where the run's own is, at the end of the block.
    """
    if "COVERAGE_PROCESS_CONFIG" not in os.environ:
        yield []
        return
    own = Path(os.environ.get("COVERAGE_FILE", ROOT / ".coverage"))
    with tempfile.TemporaryDirectory(prefix="measured-") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        config = folder / "config"
        config.write_text(_CONFIG.format(folder=folder, root=ROOT))
        config.chmod(0o644)
        os.environ[_VARIABLE] = str(config)
        try:
            yield [_VARIABLE]
        finally:
            del os.environ[_VARIABLE]
            for file in folder.glob(".coverage.*"):
                shutil.copy(file, own.parent)
