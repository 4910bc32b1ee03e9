"""A pytest plugin: with SIGNETRPC_NO_SKIPS=1, a run that skipped anything fails."""

import os

import pytest


class _Skips:
    """Turns a run in which anything was skipped into a failed one."""

    def __init__(self) -> None:
        # In order; of a module that was skipped whole, each process of a run tells.
        self._nodes: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test marked xfail is also reported as skipped, with its reason.
        if report.skipped and not hasattr(report, "wasxfail"):
            self._nodes[report.nodeid] = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._nodes[report.nodeid] = None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        # Where everything was skipped, pytest says that there are no tests.
        passed = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self._nodes and session.exitstatus in passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        if self._nodes:
            terminalreporter.section("skipped, where nothing may be", red=True)
            for node in self._nodes:
                terminalreporter.line(node)


def pytest_configure(config: pytest.Config) -> None:
    """Forbid skips where SIGNETRPC_NO_SKIPS is 1, as in `scripts/test`."""
    if os.environ.get("SIGNETRPC_NO_SKIPS") == "1":
        config.pluginmanager.register(_Skips())
