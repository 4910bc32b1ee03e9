"""Servers as processes of their own: root's, or a plain user's with two capabilities.

The interpreter and the project are open to every user in the namespace, so a server
may run as any, and a handler may start Python (`sys.executable`) as its caller.  Real
machines can be otherwise: `closed_python` has root's home closed for a while, as it
mostly is.  A worker then serves on with what was imported before, and cannot import or
start anything more from there.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, Unpack

from tests.impersonation.serving import Options
from tests.support.people import SERVER, Person

__all__ = [
    "ServerProcess",
    "as_plain_user",
    "closed_python",
    "collect_coverage",
    "status_of",
]

ROOT: Final = Path(__file__).parents[2]
_COVERAGE: Final = Path("/run/coverage")
_COVERAGE_VARIABLE: Final = "COVERAGE_PROCESS_START"
# Files are made by every user, and workers end by way of os._exit.
_COVERAGE_CONFIG: Final = f"""\
[run]
branch = true
parallel = true
sigterm = true
concurrency = thread
patch = fork, _exit
data_file = {_COVERAGE}/.coverage
source =
    {ROOT}/rpc
    {ROOT}/transport
    {ROOT}/idl
disable_warnings = no-data-collected
"""
# What Python says when something was left lying about.
_LITTER: Final = (
    "never retrieved",
    "Exception ignored",
    "ResourceWarning",
    "never awaited",
)


def as_plain_user(*command: str, person: Person = SERVER) -> list[str]:
    """Return a command line that runs another one as a service with two capabilities.

    As systemd does with `User=`, `AmbientCapabilities=CAP_SETUID CAP_SETGID` and the
    same as CapabilityBoundingSet.  There are no groups but the user's primary one.
    """
    both = "-all,+setuid,+setgid"
    return [
        *("setpriv", f"--reuid={person.uid}", f"--regid={person.gid}"),
        *("--clear-groups", f"--inh-caps={both}", f"--ambient-caps={both}"),
        *(f"--bounding-set={both}", "--", *command),
    ]


class ServerProcess:
    """A server in a process of its own.  A context manager, which stops it.

    Attributes:
        address: Where it listens, as text for `connect`.
        pid: The process's id.
    """

    def __init__(self, *, plain: bool = False, **options: Unpack[Options]) -> None:
        """Start it and wait until it listens.

        Args:
            plain: Run as `SERVER` with two capabilities, not as root.
            options: See `Options`.  Its files have to be `SERVER`'s if `plain`.
        """
        self._log = tempfile.TemporaryFile("w+")
        command = [sys.executable, "-W", "always::ResourceWarning"]
        command += ["-m", "tests.impersonation.serving"]
        impersonation = options.get("impersonation", {})
        env = _with_coverage(dict(os.environ))
        if impersonation is not None and _COVERAGE_VARIABLE in env:
            names = [*impersonation.get("environment", ()), _COVERAGE_VARIABLE]
            options["impersonation"] = {**impersonation, "environment": names}
        command.append(json.dumps(options))
        self._process = subprocess.Popen(
            as_plain_user(*command) if plain else command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        if not self.address:
            self._process.communicate()
            with self._log:
                raise AssertionError(self.log())

    def log(self) -> str:
        """Return what it has logged until now."""
        # Not by seeking: the server writes at the place where the file is.
        descriptor = self._log.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    def kill(self) -> None:
        """End it without warning, as a crash would."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """End it in an orderly way; it must leave nothing lying about."""
        self._process.communicate()
        log = self.log()
        assert self._process.returncode == 0, log
        for litter in _LITTER:
            assert litter not in log, log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._log:
            if kind is not None:
                self.kill()
            elif self._process.poll() is None:
                self.stop()


def status_of(pid: int | str = "self") -> dict[str, str]:
    """Return what the kernel says of a process: the lines of its status file.

    As `{"Uid": "0 0 0 0", "CapEff": "00000000000000c0", ...}`.
    """
    text = Path(f"/proc/{pid}/status").read_text()
    lines = (line.partition(":") for line in text.splitlines())
    return {name: " ".join(value.split()) for name, _, value in lines}


@contextmanager
def closed_python() -> Generator[None]:
    """Have Python and the project be closed to everybody but root for a while.

    What runs already goes on with what it has imported.
    """
    stdlib = Path(sysconfig.get_path("stdlib"))
    # What is below another is closed with it, and a mount would be hidden.
    below = [path for path in (Path(sys.prefix), stdlib) if ROOT not in path.parents]
    closed: list[Path] = []
    try:
        for path in (ROOT, *below):
            _close(path)
            closed.append(path)
        yield
    finally:
        for path in closed:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


def _close(path: Path) -> None:
    """Mount over a folder one of mode 0700, with a link for each thing in it.

    The folder's own mode belongs to the machine outside.
    """
    kept = Path("/run/closed") / path.as_posix().strip("/").replace("/", "-")
    if not kept.exists():
        kept.mkdir(parents=True)
        subprocess.run(["mount", "--bind", str(path), str(kept)], check=True)
    tmpfs = ["mount", "-t", "tmpfs", "-o", "mode=700", "none", str(path)]
    subprocess.run(tmpfs, check=True)
    for each in kept.iterdir():
        (path / each.name).symlink_to(each)


def _with_coverage(env: dict[str, str]) -> dict[str, str]:
    """Have a process and its workers be measured where this one is.

    They cannot write into the project's folder.
    """
    if env.pop("COVERAGE_PROCESS_CONFIG", None) is None:
        return env
    env.pop("COVERAGE_FILE", None)  # it would override the configuration's
    config = _COVERAGE / "config"
    if not config.exists():
        _COVERAGE.mkdir()
        _COVERAGE.chmod(0o1777)
        config.write_text(_COVERAGE_CONFIG)
    return env | {_COVERAGE_VARIABLE: str(config)}


def collect_coverage() -> None:
    """Put what the servers measured where the run's own is; at its end."""
    own = Path(os.environ.get("COVERAGE_FILE", ROOT / ".coverage"))
    for file in _COVERAGE.glob(".coverage.*"):
        shutil.copy(file, own.parent)
