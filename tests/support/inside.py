"""Runs some of a session's tests in a namespace, and reports them as if run here.

The outer session collects the tests; at the first of them it starts pytest once more
inside, with those tests alone, and takes each one's reports from there as they come:
results, durations, captured output and skips are told one by one.  Inside, the same
tests run as any others.

A folder of tests is run so by its conftest.py:

    def pytest_configure(config: pytest.Config) -> None:
        config.pluginmanager.register(RunInside(Path(__file__).parent, Part.SAMBA))

Each folder has a namespace of its own, and in it one session of fixtures.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO

import pytest

from tests.support import namespace
from tests.support.parts import Part, is_missing

_REPORTS = namespace.REPORTS


class RunInside:
    """The plugin of the outer run, for one folder.

    Args:
        folder: Whose tests to run inside.
        needed: What they need besides namespaces; without it they are skipped.
    """

    def __init__(self, folder: Path, *needed: Part) -> None:
        self._folder = folder
        self._needed = (*needed, Part.NAMESPACES)
        self._inside: Inside | None = None

    def _is_ours(self, item: pytest.Item) -> bool:
        return item.path.is_relative_to(self._folder)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Prepare the inner run, or mark the tests as skipped if there can be none."""
        ours = [item for item in items if self._is_ours(item)]
        if namespace.is_inside() or not ours or config.option.collectonly:
            return
        missing = [part.value for part in self._needed if is_missing(part)]
        if missing:
            reason = "needs " + " and ".join(missing)
            for item in ours:
                item.add_marker(pytest.mark.skip(reason=reason))
        else:
            self._inside = Inside(config, ours)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Have our tests run inside; all others run as always."""
        if self._inside is None or not self._is_ours(item):
            return None
        self._inside.run(item)
        return True

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """End the inner run, before pytest-cov in its wrapper counts what was run."""
        try:
            return (yield)
        finally:
            if self._inside is not None:
                self._inside.stop()


class Inside:
    """The inner run, as the outer session sees it.

    Args:
        config: The outer session's.
        items: The tests to run, in order.
    """

    def __init__(self, config: pytest.Config, items: Sequence[pytest.Item]) -> None:
        self._config = config
        self._names = [item.nodeid for item in items]
        self._process: subprocess.Popen[bytes] | None = None
        self._reports: IO[str] | None = None
        self._output = tempfile.TemporaryFile()

    def run(self, item: pytest.Item) -> None:
        """Take the reports of one test and pass them on."""
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports_of(item):
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def stop(self) -> None:
        """End the inner run, whatever it is at."""
        if self._process is not None:
            # At the end of its tests it is ending by itself, its coverage unwritten.
            if self._reports is not None and self._reports.read(1):
                self._process.kill()
            self._process.wait()
        if self._reports is not None:
            self._reports.close()
        self._output.close()

    def _start(self) -> IO[str]:
        reading, writing = os.pipe()
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        pytest_inside = [sys.executable, "-m", "pytest", "-q"]
        pytest_inside += ["-p", "tests.support.inside", "-p", "no:cacheprovider"]
        self._process = subprocess.Popen(
            namespace.command(*pytest_inside, "--", *self._names),
            cwd=self._config.rootpath,
            env=env | {_REPORTS: str(writing)},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
        )
        os.close(writing)
        return os.fdopen(reading)

    def _reports_of(self, item: pytest.Item) -> list[pytest.TestReport]:
        if self._reports is None:
            self._reports = self._start()
        reports: list[pytest.TestReport] = []
        while not reports or reports[-1].when != "teardown":
            line = self._reports.readline()
            if not line:
                return [*reports, self._failure(item)]
            data = json.loads(line)
            if isinstance(data["longrepr"], list):  # JSON has no tuples
                data["longrepr"] = tuple(data["longrepr"])
            report = self._config.hook.pytest_report_from_serializable(
                config=self._config, data=data
            )
            assert isinstance(report, pytest.TestReport)
            if report.nodeid != item.nodeid:
                return [*reports, self._failure(item)]
            reports.append(report)
        return reports

    def _failure(self, item: pytest.Item) -> pytest.TestReport:
        self._output.seek(0)
        said = self._output.read().decode(errors="replace")
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="failed",
            longrepr=f"the run in the namespace ended before this test did:\n{said}",
            when="call",
        )


class _Sender:
    """The plugin of the inner run: writes each report as a line of JSON."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file = open(int(os.environ[_REPORTS]), "w")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(
            config=self._config, report=report
        )
        print(json.dumps(data), file=self._file, flush=True)

    def pytest_unconfigure(self) -> None:
        self._file.close()


def pytest_configure(config: pytest.Config) -> None:
    """Inside, open the way to the outer session."""
    if namespace.is_inside():
        config.pluginmanager.register(_Sender(config))
